"""One WebSocket client, from accept to close: snapshot or resumption, updates, heartbeats, an honest end [13, 22]."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from fastapi import WebSocket, WebSocketDisconnect

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.kernel.metrics import Metrics
from candlewick.services.realtime.domain import Cursor, Kind, advanced, error_data, frame, parse_token, token
from candlewick.services.realtime.errors import BadCursor, Hole, MarketRefused, SlowClient
from candlewick.services.realtime.handlers import Fanout, Listener
from candlewick.services.realtime.settings import RealtimeSettings

CLOSE_BAD_REQUEST, CLOSE_IDLE, CLOSE_SLOW, CLOSE_UNAVAILABLE = 4000, 4001, 4008, 1013
_NS_PER_MS = 1_000_000


class Line(Protocol):
    """What the server tells of the wire in ``scope["extensions"]["candlewick.line"]``; other servers have none."""

    pongs: int

    def ping(self) -> None: ...

    def abort(self) -> None: ...


class Client:
    """Serves one listener until either side ends it."""

    def __init__(
        self,
        socket: WebSocket,
        listener: Listener,
        fanout: Fanout,
        settings: RealtimeSettings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._socket, self._listener, self._fanout = socket, listener, fanout
        self._settings, self._clock, self._metrics = settings, clock, metrics
        self._line: Line | None = (socket.scope.get("extensions") or {}).get("candlewick.line")
        self._cursors: dict[str, Cursor] = {}
        self._heard_ns = clock.monotonic_ns()
        self._pongs = 0

    async def serve(self, after: str | None, snapshot: Callable[[], Any]) -> None:
        """``snapshot`` gives the first data as JSON, or None while there is none."""
        await self._socket.accept()
        self._fanout.add(self._listener)
        listening = asyncio.ensure_future(self._listen())
        try:
            self._cursors = self._fanout.places(self._listener)
            await self._begin(after, snapshot)
            await self._update(listening)
        except CandlewickError as error:
            await self._end(error)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client has gone; sending to a closed socket raises RuntimeError
        finally:
            self._fanout.remove(self._listener)
            listening.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await listening

    async def _begin(self, after: str | None, snapshot: Callable[[], Any]) -> None:
        if self._listener.channel == "ohlcv":
            await self._fanout.ensure_windows(self._listener)
        if after:
            try:
                places = parse_token(after)
                missed = await self._fanout.resume(self._listener, places)
            except (Hole, BadCursor) as error:
                await self._say("error", error_data(Hole.code, error.detail))
            else:
                self._cursors = {name: place for name, place in places.items() if name in self._cursors}
                for data, cursors in missed:
                    await self._say("update", data, cursors)
                return
        first = await snapshot()
        if first is not None:
            await self._say("snapshot", first)

    async def _update(self, listening: "asyncio.Future[None]") -> None:
        listener, settings = self._listener, self._settings
        beat_ns = int(settings.heartbeat_s * NS_PER_SECOND)
        due_ns = self._clock.monotonic_ns() + beat_ns
        while not listening.done():
            wait_s = max(0, due_ns - self._clock.monotonic_ns()) / NS_PER_SECOND
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await listener.filled.wait()
            if listener.too_slow:
                raise SlowClient(f"more than {settings.queue_bytes} bytes wait; come back with the last id")
            listener.filled.clear()
            for data, cursors in listener.queue.take():
                await self._say("update", data, cursors)
            now_ns = self._clock.monotonic_ns()
            if now_ns < due_ns:
                continue
            due_ns = now_ns + beat_ns
            if self._is_idle(now_ns):
                self._metrics.count("websocket_closed_total", 1, "idle")
                await self._close(CLOSE_IDLE, "nothing heard for too long")
                return
            await self._say("heartbeat", b"null", {} if listener.queue else self._fanout.places(listener))
            if self._line is not None:
                self._line.ping()

    def _is_idle(self, now_ns: int) -> bool:
        """Neither a message nor a pong for too long."""
        if self._line is not None and self._line.pongs != self._pongs:
            self._pongs, self._heard_ns = self._line.pongs, now_ns
        return now_ns - self._heard_ns > self._settings.idle_s * NS_PER_SECOND

    async def _listen(self) -> None:
        """Anything a client says proves that it is there."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self._listener.filled.set()
                return
            self._heard_ns = self._clock.monotonic_ns()

    async def _end(self, error: CandlewickError) -> None:
        code = error.told if isinstance(error, MarketRefused) else error.code
        self._metrics.count("websocket_closed_total", 1, code)
        close = CLOSE_BAD_REQUEST
        if isinstance(error, SlowClient):
            close = CLOSE_SLOW
        elif isinstance(error, Retryable):
            close = CLOSE_UNAVAILABLE
        with suppress(WebSocketDisconnect, RuntimeError):
            try:
                await self._say("error", error_data(code, error.detail))
            except SlowClient:
                self._abort()
            else:
                await self._close(close, code)

    async def _say(self, kind: Kind, data: bytes, cursors: Mapping[str, Cursor] = {}) -> None:
        """Send with the token of what the client then has. Raises SlowClient when it takes nothing for too long:
        then nothing of this message was sent, and the token stays behind what was sent before."""
        reached = advanced(self._cursors, cursors)
        now_ms = self._clock.now_ns() // _NS_PER_MS
        try:
            async with asyncio.timeout(self._settings.send_s):
                await self._socket.send_text(frame(kind, token(reached), now_ms, data).decode())
        except TimeoutError:
            raise SlowClient(f"nothing was taken for {self._settings.send_s:g} s; come back with the last id") from None
        self._cursors = reached

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._settings.send_s):
                await self._socket.close(code, reason)
        except TimeoutError:
            self._abort()

    def _abort(self) -> None:
        """What is not read is let go of, or it would stay in memory as long as the other side keeps the line."""
        if self._line is not None:
            self._line.abort()
