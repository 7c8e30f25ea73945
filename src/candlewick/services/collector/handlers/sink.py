"""Where a feed puts what it understood: into the queue, suspected gaps apart, counted."""

from collections import Counter
from typing import Any

from candlewick.contracts.base import Message
from candlewick.contracts.collector import ConnectionChanged, GapSuspected, TradeBatch
from candlewick.kernel.metrics import Metrics
from candlewick.ports.frames import FrameTap
from candlewick.services.collector.handlers.queue import OutgoingQueue
from candlewick.services.collector.handlers.suspicions import Suspicions


class FeedSink:
    """ports.venue.Sink over the outgoing queue, with counters."""

    def __init__(
        self,
        exchange: str,
        queue: OutgoingQueue,
        suspicions: Suspicions,
        metrics: Metrics,
        logger: Any,
        frames: FrameTap | None,
    ) -> None:
        self._exchange, self._queue, self._metrics, self._logger = exchange, queue, metrics, logger
        self._suspicions, self._frames = suspicions, frames
        self.refused: Counter[str] = Counter()
        self.trades = 0
        self.gaps = 0
        self.connections: dict[str, str] = {}

    def message(self, message: Message, ts_recv: int) -> None:
        if isinstance(message, TradeBatch):
            columns = message.columns_v1
            self.trades += len(columns.trade_id)
            self._metrics.count("trades_total", len(columns.trade_id), self._exchange)
            self._metrics.observe("feed_lag_seconds", max(0, ts_recv - int(columns.ts_event[-1])) / 1e9, self._exchange)
        elif isinstance(message, GapSuspected):
            self.gaps += 1
            self._suspicions.add(message)
            return
        elif isinstance(message, ConnectionChanged):
            self.connections[message.connection] = message.state
            open_now = sum(state == "connected" for state in self.connections.values())
            self._metrics.gauge("feed_connections", open_now, self._exchange)
            self._logger.info("connection", exchange=self._exchange, state=message.state, detail=message.detail)
        self._queue.put(message, ts_recv)

    def frame(self, ts_recv: int, raw: bytes) -> None:
        self._metrics.count("feed_messages_total", 1, self._exchange)
        if self._frames is not None:
            self._frames.write(ts_recv, raw)

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        """Count every one; log the first of a kind and then each thousandth, so that a mad venue fills no disk."""
        self.refused[code] += 1
        self._metrics.count("feed_nonsense_total", 1, self._exchange, code)
        if self.refused[code] % 1000 == 1:
            self._logger.warning(
                "the venue sent nonsense", exchange=self._exchange, code=code, detail=detail, frame=raw[:200],
                times=self.refused[code],
            )  # fmt: skip

    def damage(self, code: str, detail: str) -> None:
        """A part of a recording that cannot be read; counted and logged as nonsense is."""
        self.refused[code] += 1
        self._metrics.count("feed_nonsense_total", 1, self._exchange, code)
        if self.refused[code] % 1000 == 1:
            self._logger.warning("recording is damaged", code=code, detail=detail, times=self.refused[code])

    def is_congested(self) -> bool:
        return self._queue.is_congested()
