"""An ASGI application that forwards HTTP and WebSocket to another process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from candlewick.app.http.headers import DEADLINE, onward
from candlewick.app.http.service_app import Receive, Scope, Send
from candlewick.app.http.upstream import CONNECT_S, TELLING_S, ServiceUnreachable, Upstream
from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.deadline import Deadline, DeadlineExceeded

if TYPE_CHECKING:
    import httpx

Header = tuple[bytes, bytes]
# RFC 9110, 7.6.1, and what a client library writes itself.
_HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"trailers", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_REWRITTEN: Final = frozenset({b"host", DEADLINE, b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
# From a request's last byte to the first of its answer, where the asker does not say.
_ANSWER_S: Final = 30.0
# A body that stands still for this long is given up; how long it takes in all is not limited.
_STILL_S: Final = 30.0
_HANDSHAKE_S: Final = 5.0
_GOING_AWAY: Final = 1013


def _told(code: int | None) -> int:
    """The close code to pass on; 1005 and 1006 mean that there was none, and a dead service is asked again later."""
    return _GOING_AWAY if code in (None, 1005, 1006) else int(code or _GOING_AWAY)


def end_to_end(headers: list[Header]) -> list[Header]:
    """The headers that are meant for the other end: neither hop-by-hop ones nor those that ``Connection`` names."""
    named = {
        part.strip().lower() for name, value in headers if name.lower() == b"connection" for part in value.split(b",")
    }
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP and name.lower() not in named]


class Proxy:
    """Forwards to another process's service; one that does not answer is a 503 problem with ``Retry-After``, or close
    code 1013. Bodies go through as they come, both ways. From a request's last byte until its answer begins it has as
    long as its asker gives it, at most 30 s (504). Nothing is sent twice.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    # -- HTTP --------------------------------------------------------------------------------------------------

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(scope, receive)
        try:
            async with _UntilGone(body), self._upstream.bodies.connection(_ANSWER_S) as http:
                reply = await self._answered(http, scope, body)
                try:
                    await _pass_on(reply, body, send)
                finally:
                    await reply.aclose()
        except _Gone:
            return  # nobody is there to hear the rest
        except TimeoutError:
            raise ServiceUnreachable(f"all connections to service {self._upstream.service} are in use") from None

    async def _answered(self, http: "httpx.AsyncClient", scope: Scope, body: "_Body") -> "httpx.Response":
        """The reply, its body not read yet. Raises ServiceUnreachable, DeadlineExceeded."""
        import httpx

        upstream = self._upstream
        limit = asyncio.timeout(None)
        given_s = 0.0

        def through() -> None:
            nonlocal given_s
            given_s = deadlines.sooner(Deadline(upstream.clock, _ANSWER_S)).remaining_s()
            limit.reschedule(asyncio.get_running_loop().time() + given_s)

        onwards = onward(upstream.tracer, deadlines.sooner(Deadline(upstream.clock, _ANSWER_S)))
        request = http.build_request(
            scope["method"],
            httpx.URL(upstream.base_url).copy_with(raw_path=_target(upstream.base_url, scope)),
            headers=_forwarded(scope, onwards),
            content=body.content(through),
            timeout=httpx.Timeout(_STILL_S, connect=CONNECT_S),
        )
        with upstream.attempt() as attempt:
            try:
                async with limit:
                    if not body.is_there:
                        through()
                    reply = await http.send(request, stream=True)
            except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout) as error:
                if isinstance(error, TimeoutError) and not limit.expired():
                    raise
                if given_s >= TELLING_S:
                    attempt.answered = False
                raise DeadlineExceeded(
                    f"service {upstream.service} did not begin to answer in time, was given {given_s:.3g} s"
                ) from None
            except httpx.RequestError as error:
                attempt.answered = False
                detail = f"service {upstream.service} did not answer: {str(error) or type(error).__name__}"
                raise ServiceUnreachable(detail) from error
            attempt.answered = True
        return reply

    # -- WebSocket ---------------------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

        await receive()
        try:
            with self._upstream.attempt() as attempt:
                try:
                    upstream = await self._connected(scope)
                except (OSError, WebSocketException) as error:
                    attempt.answered = isinstance(error, InvalidStatus)
                    raise
                attempt.answered = True
        except (OSError, WebSocketException, ServiceUnreachable):
            await send({"type": "websocket.accept"})  # refused before, the client would see a bare 403
            await send({"type": "websocket.close", "code": _GOING_AWAY, "reason": "the service did not answer"})
            return
        await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})

        async def down() -> None:
            try:
                async for message in upstream:
                    out: MutableMapping[str, Any] = {"type": "websocket.send"}
                    out["text" if isinstance(message, str) else "bytes"] = message
                    async with asyncio.timeout(_STILL_S):
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
                text = message.get("text")
                await upstream.send(text if text is not None else message.get("bytes") or b"")
        except ConnectionClosed:
            await forward
        finally:
            forward.cancel()
            await upstream.close()

    async def _connected(self, scope: Scope) -> Any:
        from websockets.asyncio.client import connect

        base = self._upstream.base_url
        address = urlsplit(base)._replace(scheme="wss" if base.startswith("https") else "ws", path="").geturl()
        trace = self._upstream.tracer.carrier()
        return await connect(
            address + _target(base, scope).decode("latin-1"),
            additional_headers=[
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in _forwarded(scope, trace)
                if not name.startswith((b"sec-websocket-", b"content-length"))
            ],
            user_agent_header=None,
            subprotocols=scope.get("subprotocols") or None,
            max_size=None,
            compression=None,
            proxy=None,
            open_timeout=_HANDSHAKE_S,
        )


class _Gone(Exception):
    """The client has left."""


class _Body:
    """A request's body as it arrives, and the news that its sender has left."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        names = {name.lower() for name, _ in scope["headers"]}
        self.is_there = b"content-length" in names or b"transfer-encoding" in names
        self.is_answered = False
        self._through = asyncio.Event()

    def content(self, through: Callable[[], None]) -> AsyncIterator[bytes] | None:
        """For the request onward; None where there is no body, so that none is announced. ``through`` is called when
        all of it was read."""
        return self._chunks(through) if self.is_there else None

    async def _chunks(self, through: Callable[[], None]) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            if chunk := message.get("body", b""):
                yield chunk
            more = message.get("more_body", False)
        self._through.set()
        through()

    async def gone(self) -> None:
        """Returns once the client has left after its request was read."""
        if self.is_there:
            await self._through.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


class _UntilGone:
    """Ends the block with _Gone when the client leaves: what nobody reads need not be fetched."""

    def __init__(self, body: _Body) -> None:
        self._body = body
        self._has_left = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._watch = asyncio.ensure_future(self._body.gone())
        self._watch.add_done_callback(self._left)

    def _left(self, watch: asyncio.Future[None]) -> None:
        if not watch.cancelled() and watch.exception() is None and self._task and not self._body.is_answered:
            self._has_left = True
            self._task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._watch.remove_done_callback(self._left)
        self._watch.cancel()
        await asyncio.wait([self._watch])
        if kind is asyncio.CancelledError and self._has_left and self._task is not None:
            self._task.uncancel()
            raise _Gone


async def _pass_on(reply: "httpx.Response", body: _Body, send: Send) -> None:
    import httpx

    await send({"type": "http.response.start", "status": reply.status_code, "headers": end_to_end(reply.headers.raw)})
    try:
        async for chunk in reply.aiter_raw():
            async with asyncio.timeout(_STILL_S):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except TimeoutError:  # a client that takes nothing
        raise _Gone from None
    except httpx.RequestError as error:
        # The answer has begun: breaking off is the only way left to tell that it is not whole.
        raise ServiceUnreachable(f"the answer broke off: {str(error) or type(error).__name__}") from error
    body.is_answered = True
    await send({"type": "http.response.body", "body": b""})


def _target(base_url: str, scope: Scope) -> bytes:
    """Path and query as the client wrote them: a decoded path would lose what was quoted in it."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return urlsplit(base_url).path.rstrip("/").encode() + raw.partition(b"?")[0] + (b"?" + query if query else b"")


def _forwarded(scope: Scope, own: Mapping[str, str]) -> list[Header]:
    """The request's headers, ``own`` in place of those of the same name, and who asked."""
    headers: list[Header] = list(scope["headers"])
    added = [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
    replaced = _REWRITTEN | {name for name, _ in added}
    kept = [h for h in end_to_end(headers) if h[0] not in replaced]
    before = [value for name, value in headers if name == b"x-forwarded-for"]
    if client := scope.get("client"):
        before.append(str(client[0]).encode())
    host = next((value for name, value in headers if name == b"host"), b"")
    kept += [(b"x-forwarded-for", b", ".join(before))] if before else []
    kept += [(b"x-forwarded-host", host)] if host else []
    return [*kept, (b"x-forwarded-proto", str(scope.get("scheme", "http")).encode()), *added]
