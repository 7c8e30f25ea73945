"""HTTP between services: over the network, or straight into the other service's ASGI application."""

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, urlencode

from candlewick.app.http.service_app import ASGIApp
from candlewick.kernel.errors import Retryable
from candlewick.kernel.logging import correlation_id

Reply = tuple[int, Mapping[str, str], bytes]


class ServiceUnreachable(Retryable):
    """Another service did not answer."""

    code = "SERVICE_UNREACHABLE"


class AsgiClient:
    """ports.runtime.ServiceClient within one process."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app, self._service = app, service

    async def get(self, path: str, params: Mapping[str, str] = {}) -> Reply:
        return await self._ask("GET", path, urlencode(params), b"")

    async def post(self, path: str, body: bytes) -> Reply:
        return await self._ask("POST", path, "", body)

    async def _ask(self, method: str, path: str, query: str, body: bytes) -> Reply:
        headers = [(b"host", b"local"), (b"content-type", b"application/json")]
        if (correlation := correlation_id()) is not None:
            headers.append((b"x-correlation-id", correlation.encode()))
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(), "root_path": "",
            "headers": headers, "server": ("local", 0), "client": ("local", 0),
        }  # fmt: skip
        status, out, chunks = 500, {}, []
        asked = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal asked
            if asked:
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, out
            if message["type"] == "http.response.start":
                status = message["status"]
                out = {name.decode().lower(): value.decode("latin-1") for name, value in message.get("headers", ())}
            else:
                chunks.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, out, b"".join(chunks)


class HttpClient:
    """ports.runtime.ServiceClient over loopback or a network."""

    def __init__(self, base_url: str, service: str, *, timeout_s: float = 10.0) -> None:
        import httpx

        self._service = service
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_s)

    async def get(self, path: str, params: Mapping[str, str] = {}) -> Reply:
        return await self._ask("GET", path, params=dict(params))

    async def post(self, path: str, body: bytes) -> Reply:
        return await self._ask("POST", path, content=body)

    async def _ask(self, method: str, path: str, **what: Any) -> Reply:
        import httpx

        headers = {"x-correlation-id": correlation} if (correlation := correlation_id()) is not None else {}
        try:
            reply = await self._http.request(method, path, headers=headers, **what)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(
                f"service {self._service} did not answer: {str(error) or type(error).__name__}"
            ) from error
        return reply.status_code, dict(reply.headers), reply.content
