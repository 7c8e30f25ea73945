"""What waits for the log: bounded in bytes, trades in order, quotes and books conflated; and who empties it."""

import asyncio
from collections import deque
from typing import Any

from candlewick.contracts.base import Message
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Retryable
from candlewick.ports.runtime import Messaging
from candlewick.services.collector.domain import TOPICS, conflation_key, event_time, weight

_RETRY_S = 0.1


class OutgoingQueue:
    """Filled by a feed on the event loop, emptied by one writer task."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: deque[tuple[Message, int]] = deque()
        self._newest: dict[tuple[str, str], tuple[Message, int]] = {}
        self._bytes = 0
        self._filled = asyncio.Event()
        self.conflated = 0

    @property
    def bytes(self) -> int:
        return self._bytes

    def is_congested(self) -> bool:
        """Over half full: the feed should send its trades to the spool until this is False again."""
        return self._bytes > self._max_bytes // 2

    def put(self, message: Message, ts_recv: int) -> None:
        """Take a message; one that can be conflated replaces the one that waits."""
        key = conflation_key(message)
        if key is None:
            self._kept.append((message, ts_recv))
            self._bytes += weight(message)
        else:
            if key in self._newest:
                self.conflated += 1
            self._newest[key] = (message, ts_recv)
        self._filled.set()

    async def take(self) -> list[tuple[Message, int]]:
        """Everything that waits, oldest first, trades before quotes; waits for the first."""
        await self._filled.wait()
        self._filled.clear()
        taken = [*self._kept, *self._newest.values()]
        self._kept.clear()
        self._newest.clear()
        return taken

    def done(self, taken: list[tuple[Message, int]]) -> None:
        """The log has them."""
        self._bytes -= sum(weight(message) for message, _ in taken if conflation_key(message) is None)

    def is_empty(self) -> bool:
        return not self._kept and not self._newest


class Writer:
    """Empties the queue into the log: what is gathered in ``linger`` goes in one append, topics apart [8, 16]."""

    def __init__(
        self, queue: OutgoingQueue, messaging: Messaging, clock: Clock, logger: Any, *, linger_s: float
    ) -> None:
        self._queue, self._messaging, self._clock, self._logger = queue, messaging, clock, logger
        self._linger_s = linger_s
        self.refusal: Retryable | None = None
        """Why the log takes nothing now; None while it does."""
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Until cancelled. What a full or busy log refuses is tried again, in order; nothing is dropped."""
        while True:
            taken = await self._queue.take()
            self._idle.clear()
            await self._write(taken)
            self._queue.done(taken)
            if self._queue.is_empty():
                self._idle.set()
            await self._clock.sleep(self._linger_s)

    async def _write(self, taken: list[tuple[Message, int]]) -> None:
        by_topic: dict[str, list[tuple[Message, int, int]]] = {}
        for message, ts_recv in taken:
            by_topic.setdefault(TOPICS[type(message)], []).append((message, event_time(message, ts_recv), ts_recv))
        for topic, messages in by_topic.items():
            while True:
                try:
                    await self._messaging.publish(topic, messages)
                except Retryable as error:
                    if self.refusal is None:
                        self._logger.error(
                            "the log takes nothing; what comes waits", code=error.code, detail=str(error)
                        )
                    self.refusal = error
                    await self._clock.sleep(_RETRY_S)
                else:
                    if self.refusal is not None:
                        self._logger.info("the log takes events again", waited_for=self.refusal.code)
                    self.refusal = None
                    break

    async def drained(self) -> None:
        """Returns when everything put so far is in the log."""
        while not self._queue.is_empty() or not self._idle.is_set():
            await self._clock.sleep(0.001)
            await self._idle.wait()
