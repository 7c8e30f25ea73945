"""What routes say of their replies in OpenAPI: named schemas from msgspec structs, problems for errors."""

from collections.abc import Iterable
from typing import Any

import msgspec

REF = "#/components/schemas/{name}"
PROBLEM = "Problem"


class Problem(msgspec.Struct, frozen=True):
    """The body of every error reply (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str
    correlation_id: str | None = None
    type: str = "about:blank"
    hint: str | None = None


def reply(
    kind: type[msgspec.Struct], description: str, *, status: int = 200, errors: Iterable[int] = (422, 503)
) -> dict[str, Any]:
    """Keyword arguments for a route whose JSON reply is ``kind`` and whose errors are problems."""
    schema = {"$ref": REF.format(name=kind.__name__)}
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": description, "content": {"application/json": {"schema": schema}}}
    }
    responses.update({code: problem(code) for code in errors})
    return {"responses": responses, "response_model": None, "status_code": status}


def problem(status: int) -> dict[str, Any]:
    """The OpenAPI response object of an error status."""
    meaning = {
        404: "What was asked for does not exist.",
        405: "The path has no such method.",
        409: "It contradicts what is there.",
        422: "The request is at fault.",
        503: "Cannot be answered now; the same request may succeed later.",
        504: "There was no time left to answer; a request that changes something may have been carried out.",
        507: "The disk is full; nothing was changed, and what was accepted before is safe.",
    }
    content = {"application/problem+json": {"schema": {"$ref": REF.format(name=PROBLEM)}}}
    return {"description": meaning.get(status, "An error."), "content": content}


def components(kinds: Iterable[type[msgspec.Struct]]) -> dict[str, Any]:
    """The named schemas of these structs and all that they contain."""
    _, found = msgspec.json.schema_components([Problem, *kinds], ref_template=REF)
    return dict(found)
