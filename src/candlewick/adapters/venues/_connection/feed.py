"""A feed: as many lanes as the symbols need, behind one spool."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from candlewick.adapters.venues._connection.dialect import Dialect, Limits
from candlewick.adapters.venues._connection.lane import Lane
from candlewick.adapters.venues._connection.spool import Spool, SpoolingSink
from candlewick.contracts.market import Instrument
from candlewick.kernel.clock import Clock
from candlewick.kernel.net.breaker import CircuitBreaker
from candlewick.kernel.net.budget import RateBudget
from candlewick.ports.venue import Sink, UnknownSymbol

_DRAIN_S = 0.02


class LiveFeed:
    """``ports.venue.Feed`` over any dialect. ``spool_folder`` None: trades go to the sink even when it is congested."""

    def __init__(
        self,
        dialect: Dialect,
        symbols: Sequence[str],
        instruments: Sequence[Instrument],
        sink: Sink,
        clock: Clock,
        random: Callable[[], float],
        *,
        limits: Limits,
        spool_folder: Path | None,
        spool_bytes: int,
    ) -> None:
        self._dialect = dialect
        self._limits = limits
        self._clock = clock
        self._random = random
        self._known = {i.symbol: i for i in instruments}
        self._spool = Spool(spool_folder, max_bytes=spool_bytes) if spool_folder is not None else None
        self._sink = SpoolingSink(sink, self._spool)
        self._connects = RateBudget(clock, limit=limits.connections_a_window, window_s=300.0)
        self._breaker = CircuitBreaker(clock, failures=limits.breaker_failures, open_s=limits.breaker_open_s)
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._opened = 0
        self._first = self._checked(symbols)
        self._failed: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()

    def _checked(self, symbols: Sequence[str]) -> list[Instrument]:
        unknown = [s for s in symbols if s not in self._known]
        if unknown:
            raise UnknownSymbol(f"the venue must list the symbol, was {unknown[0]!r}")
        return [self._known[s] for s in symbols]

    def lanes(self) -> Sequence[Lane]:
        return tuple(self._lanes)

    async def run(self) -> None:
        """Until cancelled or closed. Raises VenueForbidden and programming errors."""
        if self._closing.is_set():
            return
        self._failed = asyncio.get_running_loop().create_future()
        drain = asyncio.create_task(self._drain())
        closing = asyncio.create_task(self._closing.wait())
        try:
            await self._place(self._first)
            ends: set[asyncio.Future[Any]] = {self._failed, closing, drain}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for done in (self._failed, drain):
                if done.done():
                    done.result()
        finally:
            closing.cancel()
            drain.cancel()
            await self._stop(list(self._lanes))
            self._sink.drain()
            if self._spool is not None:
                self._spool.close()

    async def _drain(self) -> None:
        while True:
            self._sink.drain()
            await self._clock.sleep(_DRAIN_S)

    async def follow(self, symbols: Sequence[str]) -> None:
        """Raises UnknownSymbol."""
        followed = {s for lane in self._lanes for s in lane.instruments}
        new = [i for i in self._checked(symbols) if i.symbol not in followed]
        if self._failed is None:
            self._first.extend(i for i in new if i not in self._first)
        else:
            await self._place(new)

    def learn(self, instruments: Sequence[Instrument]) -> None:
        """As the port says."""
        news = {i.symbol: i for i in instruments}
        self._known.update(news)
        self._first = [news.get(i.symbol, i) for i in self._first]
        for lane in self._lanes:
            lane.learn(instruments)

    async def unfollow(self, symbols: Sequence[str]) -> None:
        gone = set(symbols)
        self._first = [i for i in self._first if i.symbol not in gone]
        for lane in list(self._lanes):
            await lane.unfollow([s for s in lane.instruments if s in gone])
            if not lane.instruments:
                await self._stop([lane])

    async def _place(self, instruments: Sequence[Instrument]) -> None:
        left = list(instruments)
        for lane in list(self._lanes):
            part, left = left[: max(0, lane.room())], left[max(0, lane.room()) :]
            if part:
                await lane.follow(part)
        while left:
            lane = self._new_lane()
            size = max(1, lane.room())
            await lane.follow(left[:size])
            left = left[size:]
            self._lanes[lane] = asyncio.create_task(self._watched(lane))

    def _new_lane(self) -> Lane:
        self._opened += 1
        return Lane(
            f"{self._dialect.exchange}-{self._opened}",
            self._dialect,
            self._limits,
            self._clock,
            self._random,
            self._sink,
            self._connects,
            self._breaker,
        )

    async def _watched(self, lane: Lane) -> None:
        try:
            await lane.run()
        except Exception as error:
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)

    async def _stop(self, lanes: Sequence[Lane]) -> None:
        tasks = [self._lanes.pop(lane) for lane in lanes]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def waiting_bytes(self) -> int:
        """In the spool."""
        return self._spool.bytes if self._spool is not None else 0

    async def close(self) -> None:
        """Ends ``run``; what is gathered is handed over first, what is spooled stays for the next start."""
        self._closing.set()
