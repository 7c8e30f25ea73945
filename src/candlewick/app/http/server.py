"""Serves ASGI applications on the running loop."""

import asyncio
import socket
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

from candlewick.kernel.errors import Fatal

_DRAIN_S = 3
# A caller's idle connection may be used again until it has been idle for as long as that caller keeps one (3 s between
# services, app.http.lanes): closed before, a request may just be on its way into it and be lost.
_LINGER_S = 4.0
_LEAVE_WITHIN_S = 15
_LOOK_S = 0.05
# Unsent bytes that the kernel keeps for a connection: beyond it a client that does not read is noticed here, where what
# waits can be conflated, not after the megabytes that loopback and long lines are given.
_UNSENT_BYTES = 128 << 10


class PortTaken(Fatal):
    """The port to listen on belongs to another program."""

    code = "PORT_TAKEN"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything starts. Raises PortTaken with what to do."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="Choose another with --port, or stop the other program",
        ) from None
    if (lowat := getattr(socket, "TCP_NOTSENT_LOWAT", None)) is not None:  # accepted sockets inherit it
        listener.setsockopt(socket.IPPROTO_TCP, lowat, _UNSENT_BYTES)
    listener.listen(1024)
    listener.setblocking(False)
    return listener


class Server:
    """One application on one socket; ``stop`` lets requests in hand finish, for three seconds. ``leave`` is for when
    another process takes connections from the same socket: nobody who is served now gets an error."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        import uvicorn

        from candlewick.app.http.lines import LineProtocol
        from candlewick.app.http.wire import WireProtocol

        self._listener = listener
        self.app, self._is_leaving = app, False
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                interface="asgi3",
                log_config=None,
                access_log=False,
                lifespan="off",
                http=cast(Any, partial(WireProtocol, at_once=self._at_once)),
                ws=LineProtocol,
                ws_max_size=1 << 20,
                ws_ping_interval=30.0,
                ws_ping_timeout=300.0,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=_DRAIN_S,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup([self._listener])
        self._task = asyncio.ensure_future(self._server.main_loop())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
        await self._server.shutdown([self._listener])

    def _serve(self, scope: Any, receive: Any, send: Any) -> Any:
        if not self._is_leaving or scope["type"] != "http":
            return self.app(scope, receive, send)

        async def last(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        return self.app(scope, receive, last)

    def _at_once(self, scope: Any) -> Any:
        find = getattr(self.app, "at_once", None)
        return None if find is None or self._is_leaving else find(scope)

    async def leave(self, closed: Callable[[], None]) -> None:
        """Take no new connection, and tell so by ``closed``; answer what comes over those that are there and close each
        behind its next answer. Sockets are closed with 1012 (service restart, RFC 6455's registry), one after the other
        so that their clients do not come back all at once. Requests in hand have 15 s."""
        if self._task is None:
            return
        from candlewick.app.http.lines import LineProtocol

        self._is_leaving = True
        for server in self._server.servers:
            server.close()
        closed()
        loop = asyncio.get_running_loop()
        until = loop.time() + _LINGER_S
        connections = self._server.server_state.connections
        while connections and (left := until - loop.time()) > 0:
            # One whose handshake is on its way would be refused with 500: its turn comes when it is open.
            sockets = [one for one in connections if isinstance(one, LineProtocol) and one.handshake_complete]
            for one in sockets[: max(1, int(len(sockets) * _LOOK_S / left) + 1)]:
                one.shutdown()
            await asyncio.sleep(_LOOK_S)
        self._server.config.timeout_graceful_shutdown = _LEAVE_WITHIN_S
        await self.stop()
