"""A clock that moves when told to."""

import asyncio
import heapq
from itertools import count

from candlewick.kernel.clock import NS_PER_SECOND

START_NS = 1_767_225_600 * NS_PER_SECOND  # 2026-01-01 00:00 UTC
# Turns of the loop given to woken tasks before time moves on: chains of awaits that no one has to wait for are short.
_TURNS = 20


class VirtualClock:
    """kernel.clock.Clock for tests on one event loop: ``sleep`` ends when ``advance`` has passed its instant.

    Sleepers wake one instant after another, in order, each at exactly its time; tasks they wake run until they wait
    again. Work in threads is not waited for.
    """

    def __init__(self, now_ns: int = START_NS) -> None:
        self._wall_ns = now_ns
        self._monotonic_ns = 0
        self._order = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        return self._wall_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        future = asyncio.get_running_loop().create_future()
        wakes = self._monotonic_ns + round(seconds * NS_PER_SECOND)
        heapq.heappush(self._sleepers, (wakes, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking every sleeper whose time comes."""
        until = self._monotonic_ns + round(seconds * NS_PER_SECOND)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            wakes = self._sleepers[0][0]
            self._move(wakes)
            while self._sleepers and self._sleepers[0][0] == wakes:
                _, _, future = heapq.heappop(self._sleepers)
                if not future.done():
                    future.set_result(None)
            await _settle()
        self._move(until)
        await _settle()

    def jump(self, seconds: float) -> None:
        """Move the time of day alone, as when it is set; sleepers and ``monotonic_ns`` do not notice."""
        self._wall_ns += round(seconds * NS_PER_SECOND)

    def _move(self, monotonic_ns: int) -> None:
        self._wall_ns += monotonic_ns - self._monotonic_ns
        self._monotonic_ns = monotonic_ns


async def _settle() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
