"""One WebSocket client, from accept to close: snapshot or resumption, updates, heartbeats, an honest end [13, 22]."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.metrics import Metrics
from candlewick.services.realtime.domain import Cursor, Kind, error_data, frame, parse_token, token
from candlewick.services.realtime.errors import BadCursor, Hole, SlowClient
from candlewick.services.realtime.handlers import Fanout, Listener
from candlewick.services.realtime.settings import RealtimeSettings

CLOSE_BAD_REQUEST, CLOSE_IDLE, CLOSE_SLOW, CLOSE_UNAVAILABLE = 4000, 4001, 4008, 1013
_NS_PER_MS = 1_000_000


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
        self._cursors: dict[str, Cursor] = {}
        self._heard_ns = clock.monotonic_ns()

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
                for data, cursors in await self._fanout.resume(self._listener, parse_token(after)):
                    self._cursors = cursors
                    await self._say("update", data)
                return
            except (Hole, BadCursor) as error:
                await self._say("error", error_data(Hole.code, error.detail))
        first = await snapshot()
        if first is not None:
            await self._say("snapshot", first)

    async def _update(self, listening: "asyncio.Future[None]") -> None:
        listener = self._listener
        while not listening.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(listener.filled.wait(), self._settings.heartbeat_s)
            if self._clock.monotonic_ns() - self._heard_ns > self._settings.idle_s * 1e9:
                self._metrics.count("websocket_closed_total", 1, "idle")
                await self._socket.close(CLOSE_IDLE, "nothing heard for too long")
                return
            if listener.too_slow:
                raise SlowClient(f"more than {self._settings.queue_bytes} bytes wait; come back with the last id")
            if not listener.filled.is_set():
                await self._say("heartbeat", b"null")
                continue
            listener.filled.clear()
            for data, cursors in listener.queue.take():
                self._cursors = {**self._cursors, **cursors}
                await self._say("update", data)

    async def _listen(self) -> None:
        """Anything a client says proves that it is there; the transport's pongs count through ``ws_ping_timeout``."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self._listener.filled.set()
                return
            self._heard_ns = self._clock.monotonic_ns()

    async def _end(self, error: CandlewickError) -> None:
        self._metrics.count("websocket_closed_total", 1, error.code)
        close = CLOSE_SLOW if isinstance(error, SlowClient) else CLOSE_BAD_REQUEST
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._say("error", error_data(error.code, error.detail))
            await self._socket.close(close, error.code)

    async def _say(self, kind: Kind, data: bytes) -> None:
        now_ms = self._clock.now_ns() // _NS_PER_MS
        await self._socket.send_text(frame(kind, token(self._cursors), now_ms, data).decode())
