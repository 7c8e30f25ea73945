"""Clients of the sockets: each follows one series through every break, by the tokens it was given."""

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tools.chaos.recording import EXCHANGE

_SILENT_S: Final = 5.0
_AGAIN_S: Final = 0.1
_OPEN_S: Final = 5.0
_ARRIVALS: Final = 4096


class Subscriber:
    """What one client was told of one series since it came first: the candles of its snapshot, then final ones in
    the order of their coming. ``broken`` holds every answer that a client must never get."""

    def __init__(self, port: int, symbol: str, timeframe: str) -> None:
        self.symbol, self.timeframe = symbol, timeframe
        self.snapshot: list[dict[str, Any]] = []
        self.finals: list[dict[str, Any]] = []
        self.broken: list[str] = []
        self.breaks = 0
        self.arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._url = f"ws://127.0.0.1:{port}/ws/ohlcv/{EXCHANGE}/{symbol}/{timeframe}"
        self._token = ""

    @property
    def newest(self) -> int:
        """Open time of the newest final candle, ms; 0 before the first."""
        known = self.finals or self.snapshot
        return int(known[-1]["open_time"]) if known else 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._follow()
            self.breaks += bool(self._token)
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        url = f"{self._url}?after={self._token}" if self._token else self._url
        async with connect(url, max_size=None, open_timeout=_OPEN_S, close_timeout=0.2, ping_interval=None) as socket:
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), _SILENT_S))
                self._take(message)
                if message["type"] == "error":
                    return

    def _take(self, message: dict[str, Any]) -> None:
        kind, data = message["type"], message["data"]
        if kind == "error":
            # A service that is away is no fault of the one that says so; the client comes again.
            if data["code"] == "HOLE":
                self.broken.append(f"HOLE: {data['detail']}")
                self._token = ""
            return
        if kind in ("snapshot", "update"):
            final = [candle for candle in data if candle["final"]]
            if kind == "snapshot" and not self._token:
                self.snapshot, self.finals = final, []
            else:
                self.finals += final
            if final:
                self.arrivals.append(time.monotonic())
        self._token = message["id"]
