"""The import job: read, refuse what is bad, publish what is good, wait until it is stored, look at what is stored."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import numpy as np

from candlewick.adapters.files.tables.candles import Reading, to_candles
from candlewick.adapters.files.tables.errors import FileDamaged
from candlewick.adapters.files.tables.reading import tables
from candlewick.adapters.files.tables.table import Table, joined
from candlewick.adapters.files.tables.trades import TradeReader
from candlewick.app.importing.publisher import Publisher
from candlewick.app.importing.source import Options, Source
from candlewick.app.importing.trades import Feed
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import Progress, TradeBatch
from candlewick.contracts.history import CandlesFetched
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.candles import CandleStore
from candlewick.ports.jobs import JobContext
from candlewick.services.history.domain import derive, rows

T = TypeVar("T")
_PAGE = 1000
_PAGES_A_SEND = 20
_MESSAGES_A_SEND = 50
_MINUTE_S = SECONDS["1m"]
# Ten weeks, from a Monday: every longer candle lies in one stretch.
_STRETCH_NS = 10 * SECONDS["1w"] * NS_PER_SECOND

Waiting = Callable[[], Awaitable[None]]


class Work:
    """Imports one file after the other. ``stored`` returns when everything sent so far is in the store."""

    def __init__(
        self, publisher: Publisher, store: CandleStore, clock: Clock, options: Options, *, stored: Waiting
    ) -> None:
        self._publisher, self._store, self._clock = publisher, store, clock
        self._options, self._stored = options, stored

    async def run(self, source: Source, job: JobContext) -> None:
        """Everything of one file; run again after a stop, it reads from the start and publishes what is left."""
        reading = Reading(
            source.path, source.symbol, self._clock.now_ns(), self._options.timeframe_s, self._options.round_to
        )
        if source.content == "candles":
            await self._candles(source, reading, job)
        else:
            await self._trades(source, reading, job)

    def _pieces(self, source: Source) -> Iterator[Table]:
        """The file until its end or its damage."""
        try:
            yield from tables(source.path)
        except FileDamaged as error:
            source.damage = error.detail

    # -- candles -----------------------------------------------------------------------------------------------

    async def _candles(self, source: Source, reading: Reading, job: JobContext) -> None:
        pieces = await asyncio.to_thread(lambda: list(self._pieces(source)))
        source.rows = sum(len(piece) + len(piece.malformed) for piece in pieces)
        if not pieces:
            return
        columns = await asyncio.to_thread(lambda: to_candles(joined(pieces), source.meaning, reading, source.problems))
        source.accepted = len(columns.open_time)
        if not source.accepted:
            return
        source.timeframe_s = int(columns.timeframe[0])
        source.first_ns, source.last_ns = int(columns.open_time[0]), int(columns.open_time[-1])
        await self._publish(source, columns, job, done=int((job.checkpoint or {}).get("published", 0)))
        await self._stored()
        source.stored = await self._agreeing(source, columns)
        if self._options.derive:
            source.derived = await self._derive(source, job)

    async def _publish(self, source: Source, columns: CandleColumns, job: JobContext, *, done: int) -> None:
        pages = [CandlesFetched(self._options.exchange, source.symbol, page) for page in rows.pieces(columns, _PAGE)]
        for first in range(done // _PAGE, len(pages), _PAGES_A_SEND):
            await self._publisher.candles(pages[first : first + _PAGES_A_SEND])
            sent = min((first + _PAGES_A_SEND) * _PAGE, source.accepted)
            await job.report(sent / source.accepted, f"{sent:,} candles", checkpoint={"published": sent})

    async def _agreeing(self, source: Source, columns: CandleColumns) -> int:
        """How many of the file's candles the store gives back; others are hidden by better ones it already had."""
        seconds, agreeing = int(columns.timeframe[0]), 0
        for part in rows.pieces(columns, 100_000):
            found = await self._store.range(
                self._options.exchange, source.symbol, seconds, int(part.open_time[0]), int(part.open_time[-1]) + 1
            )
            _, here, there = np.intersect1d(part.open_time, found.open_time, return_indices=True)
            agreeing += int(rows.same_values(rows.picked(part, here), rows.picked(found, there)).sum())
        return agreeing

    async def _derive(self, source: Source, job: JobContext) -> int:
        """Longer candles that the store lacks, of the ones it has now; an hour with a hole in it says so."""
        assert source.timeframe_s is not None
        assert source.first_ns is not None
        assert source.last_ns is not None
        seconds, count = source.timeframe_s, 0
        frames = derive.targets(seconds)
        series = [s for s in await self._store.series() if (s.exchange, s.symbol, s.timeframe_s)
                  == (self._options.exchange, source.symbol, seconds)]  # fmt: skip
        if not frames or not series:
            return 0
        step = seconds * NS_PER_SECOND
        start, end = series[0].first_ns, series[0].last_ns + step
        at = open_of(source.first_ns, SECONDS["1w"])
        while at <= source.last_ns:
            until = at + _STRETCH_NS
            have = await self._store.range(self._options.exchange, source.symbol, seconds, at, until)
            for frame in frames:
                made = derive.derived(have, frame, max(at, start), min(until, end))
                known = await self._store.range(self._options.exchange, source.symbol, frame, at, until)
                new = rows.picked(made, ~np.isin(made.open_time, known.open_time))
                count += len(new.open_time)
                await self._publisher.candles(
                    [CandlesFetched(self._options.exchange, source.symbol, page) for page in rows.pieces(new, _PAGE)]
                )
            await job.report(1.0, f"{count:,} longer candles")
            at = until
        await self._stored()
        return count

    # -- trades ------------------------------------------------------------------------------------------------

    async def _trades(self, source: Source, reading: Reading, job: JobContext) -> None:
        reader = TradeReader(reading, source.meaning, source.problems)
        newest = await self._store.last(self._options.exchange, source.symbol, _MINUTE_S, 1)
        is_known = bool(len(newest.open_time) and newest.origin[0] == Origin.BUILT)
        done = int((job.checkpoint or {}).get("published", 0))
        feed: Feed | None = None
        messages: list[TradeBatch | Progress] = []
        pieces = self._pieces(source)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            source.rows += len(piece) + len(piece.malformed)
            columns = await asyncio.to_thread(reader.read, piece)
            if not len(columns.ts_event):
                continue
            source.accepted += len(columns.ts_event)
            low, high = int(columns.ts_event.min()), int(columns.ts_event.max())
            source.first_ns = low if source.first_ns is None else min(low, source.first_ns)
            source.last_ns = high if source.last_ns is None else max(high, source.last_ns)
            if feed is None:
                feed = Feed(
                    self._options.exchange, source.symbol, reader.ids,
                    is_aggregated=reader.is_aggregated or self._options.is_aggregated,
                    is_complete=self._options.is_complete, is_known=is_known and not done,
                )  # fmt: skip
            messages += feed.messages(columns)
            if source.accepted > done:  # pieces that were sent before the last stop are only read again
                for first in range(0, len(messages), _MESSAGES_A_SEND):
                    await self._publisher.trades(messages[first : first + _MESSAGES_A_SEND])
                await job.report(0.5, f"{source.accepted:,} trades", checkpoint={"published": source.accepted})
            messages = []
        if feed is not None and source.damage is None:
            await self._publisher.trades(list(feed.end()))
        await self._stored()
        if source.first_ns is not None and source.last_ns is not None:
            found = await self._store.range(
                self._options.exchange,
                source.symbol,
                _MINUTE_S,
                open_of(source.first_ns, _MINUTE_S),
                source.last_ns + 1,
            )
            source.stored = len(found.open_time)
