"""The OpenAPI description of one service's application, with its own named schemas."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from candlewick.kernel.openapi import components


def describe(api: FastAPI, schemas: Sequence[type[msgspec.Struct]]) -> dict[str, Any]:
    """The document of one application; every error of every route is the Problem schema."""
    document: dict[str, Any] = get_openapi(
        title=api.title, version=api.version, description=api.description, routes=api.routes, openapi_version="3.1.0"
    )
    found = document.setdefault("components", {}).setdefault("schemas", {})
    found.update(components(schemas))
    for name in ("HTTPValidationError", "ValidationError"):
        found.pop(name, None)
    return document
