"""The gateway's own routes, and the door that sends every other path to its service."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from candlewick.kernel.openapi import reply
from candlewick.ports.runtime import Context, ServiceClient
from candlewick.services.gateway.api.description import asyncapi, page, whole_openapi
from candlewick.services.gateway.domain import SERVICES, Keeping, keeping_of, query_of, service_of
from candlewick.services.gateway.handlers.keeping import KeptAnswers
from candlewick.services.gateway.handlers.overview import Overview, Status
from candlewick.services.gateway.settings import GatewaySettings

_encode = msgspec.json.Encoder().encode


def new_router(
    context: Context, overview: Overview, own: ServiceClient, clients: Mapping[str, ServiceClient]
) -> APIRouter:
    """The status of the whole."""
    router = APIRouter()
    settings: GatewaySettings = context.settings

    @router.get("/api/v1/status", tags=["status"], **reply(Status, "The whole at a glance.", errors=(503,)))
    async def get_status() -> Response:
        """Mode, freshness, open gaps, events a second, and the state of every service."""
        status = await overview.status(context.mode, settings.mode_detail, dict(clients))
        return Response(_encode(status), media_type="application/json")

    @router.get("/openapi.json", include_in_schema=False)
    async def get_openapi() -> Response:
        """One document for all services."""
        return Response(_encode(await whole(own, clients)), media_type="application/json")

    @router.get("/asyncapi.json", include_in_schema=False)
    async def get_asyncapi() -> Response:
        """One document for all sockets."""
        return Response(_encode(asyncapi(await whole(own, clients))), media_type="application/json")

    @router.get("/docs", include_in_schema=False)
    async def get_docs() -> Response:
        """Routes and sockets to read."""
        return Response(page(await whole(own, clients)), media_type="text/html")

    return router


async def whole(own: ServiceClient, clients: Mapping[str, ServiceClient]) -> dict[str, Any]:
    """The document of all services, with the gateway's own part first."""
    _, _, body = await own.get("/service/openapi.json")
    return await whole_openapi(msgspec.json.decode(body), clients)


class Door:
    """Sends requests and sockets to the service that owns the path; some answers are kept on the way back."""

    def __init__(self, context: Context, kept: KeptAnswers) -> None:
        self._upstreams = {name: context.upstream(name) for name in SERVICES}
        self._kept = kept

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        path, service = scope["path"], service_of(scope["path"]) or ""
        keeping = keeping_of(path) if scope.get("method") == "GET" else None
        query = query_of(scope["query_string"]) if keeping is not None else None
        if keeping is None or query is None:
            return self._upstreams[service](scope, receive, send)
        return self._send_kept(service, path, query, keeping, send)

    def at_once(self, scope: Any) -> Any:
        """What the service of the path has ready, when it runs in this process."""
        find = getattr(self._upstreams[service_of(scope["path"]) or ""], "at_once", None)
        return None if find is None else find(scope)

    async def _send_kept(self, service: str, path: str, query: Mapping[str, str], keeping: Keeping, send: Any) -> None:
        told = await self._kept.get(service, path, query, keeping)
        headers = {**told.headers, "content-length": str(len(told.body))}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": told.status, "headers": raw})
        await send({"type": "http.response.body", "body": told.body})
