"""Errors as the outside sees them: application/problem+json (RFC 9457) with a stable code. The only status table."""

from http import HTTPStatus
from typing import Any

import msgspec

from candlewick.kernel.errors import CandlewickError, Conflict, NotFound, Rejected, Retryable, StorageFull
from candlewick.kernel.logging import correlation_id
from candlewick.kernel.openapi import Problem

_STATUS: tuple[tuple[type[CandlewickError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (Rejected, 422),
    (StorageFull, 507),
    (Retryable, 503),
    (CandlewickError, 500),
)
MEDIA_TYPE = "application/problem+json"


def of(error: CandlewickError) -> Problem:
    """The problem that tells of this error."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return Problem(HTTPStatus(status).phrase, status, error.code, error.detail, correlation_id(), hint=error.hint)


def plain(status: int, code: str, detail: str) -> Problem:
    """A problem without an exception behind it."""
    return Problem(HTTPStatus(status).phrase, status, code, detail, correlation_id())


async def send(problem: Problem, send: Any) -> None:
    """Answer an ASGI HTTP request with a problem."""
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if problem.status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
