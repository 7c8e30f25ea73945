"""An ASGI application that forwards HTTP and WebSocket to another process."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from candlewick.app.http import problems
from candlewick.app.http.service_app import Receive, Scope, Send

_HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailers",
    b"transfer-encoding", b"upgrade", b"host", b"content-length",
}  # fmt: skip
_TIMEOUT_S = 30.0


def _told(code: int | None) -> int:
    """The close code to pass on; 1005 and 1006 mean that there was none, and a dead service is asked again later."""
    return 1013 if code in (None, 1005, 1006) else int(code or 1013)


class Proxy:
    """Forwards to ``base_url``; an upstream that does not answer is a 503 problem, or close code 1013."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url
        self._http: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(base_url=self._base, timeout=_TIMEOUT_S)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode()
        headers = [(n, v) for n, v in scope["headers"] if n not in _HOP_BY_HOP]
        request = self._http.build_request(
            scope["method"], scope["path"] + (f"?{query}" if query else ""), headers=headers, content=body
        )
        try:
            reply = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            detail = f"{self._base} did not answer: {str(error) or type(error).__name__}"
            await problems.send(problems.plain(503, "SERVICE_UNREACHABLE", detail), send)
            return
        try:
            kept = [(n, v) for n, v in reply.headers.raw if n.lower() not in _HOP_BY_HOP]
            await send({"type": "http.response.start", "status": reply.status_code, "headers": kept})
            async for chunk in reply.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await reply.aclose()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, WebSocketException

        await receive()
        query = scope["query_string"].decode()
        address = self._base.replace("http", "ws", 1) + scope["path"] + (f"?{query}" if query else "")
        try:
            upstream = await connect(address, max_size=None, compression=None)
        except (OSError, WebSocketException):
            await send({"type": "websocket.accept"})  # refused before, the client would see a bare 403
            await send({"type": "websocket.close", "code": 1013, "reason": "the service did not answer"})
            return
        await send({"type": "websocket.accept"})

        async def down() -> None:
            try:
                async for message in upstream:
                    out: MutableMapping[str, Any] = {"type": "websocket.send"}
                    out["text" if isinstance(message, str) else "bytes"] = message
                    async with asyncio.timeout(_TIMEOUT_S):
                        await send(out)
            except ConnectionClosed:
                pass
            except TimeoutError:  # a client that takes nothing: let go of what waits for it
                line = scope.get("extensions", {}).get("candlewick.line")
                if line is not None:
                    line.abort()
                return
            await send(
                {"type": "websocket.close", "code": _told(upstream.close_code), "reason": upstream.close_reason or ""}
            )

        forward = asyncio.ensure_future(down())
        try:
            while not forward.done():
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    break
                await upstream.send(message.get("text") or message.get("bytes") or "")
        except ConnectionClosed:
            await forward
        finally:
            forward.cancel()
            await upstream.close()
