"""Errors as the outside sees them: application/problem+json (RFC 9457) with a stable code. The only status table."""

import math
from http import HTTPStatus
from typing import Any

import msgspec

from candlewick.kernel.errors import CandlewickError, Conflict, NotFound, Rejected, Retryable, StorageFull
from candlewick.kernel.logging import correlation_id
from candlewick.kernel.net.deadline import DeadlineExceeded
from candlewick.kernel.openapi import Problem

_STATUS: tuple[tuple[type[CandlewickError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (Rejected, 422),
    (StorageFull, 507),
    (DeadlineExceeded, 504),
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


def retry_after(error: CandlewickError | None = None) -> bytes:
    """Whole seconds for ``Retry-After``: what the error knows, at least 1."""
    return str(max(1, math.ceil(getattr(error, "retry_after_s", 0.0)))).encode()


async def send(problem: Problem, send: Any, *, error: CandlewickError | None = None) -> None:
    """Answer an ASGI HTTP request with a problem; ``error`` is what it tells of."""
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if problem.status == 503:
        headers.append((b"retry-after", retry_after(error)))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
