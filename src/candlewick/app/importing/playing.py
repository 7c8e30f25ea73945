"""Plays a file of candles or trades as if it were happening: some history at once, then row after row at a speed."""

import asyncio

import numpy as np

from candlewick.adapters.files.tables.candles import Reading, to_candles
from candlewick.adapters.files.tables.reading import tables
from candlewick.adapters.files.tables.table import joined
from candlewick.adapters.files.tables.trades import TradeReader
from candlewick.app.importing.publisher import Publisher
from candlewick.app.importing.source import Options, Source
from candlewick.app.importing.trades import Feed
from candlewick.contracts.collector import Progress, TradeBatch
from candlewick.contracts.history import CandlesFetched
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import open_of
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.services.history.domain import derive, rows

LEAD = 500  # candles shown at once, so that the chart is not empty
_PAGE = 1000


class FilePlayer:
    """``speed`` is times real time, 0 as fast as possible. Candles appear when they close, longer ones with them."""

    def __init__(self, publisher: Publisher, clock: Clock, options: Options, *, speed: float) -> None:
        self._publisher, self._clock, self._options, self._speed = publisher, clock, options, speed
        self._first_event_ns = self._started_ns = 0

    async def play(self, source: Source) -> None:
        """To the end of the file. Raises FileDamaged where the file breaks off; what came before has been played."""
        reading = Reading(
            source.path, source.symbol, self._clock.now_ns(), self._options.timeframe_s, self._options.round_to
        )
        if source.content == "candles":
            await self._candles(source, reading)
        else:
            await self._trades(source, reading)

    async def _candles(self, source: Source, reading: Reading) -> None:
        pieces = await asyncio.to_thread(lambda: list(tables(source.path)))
        columns = await asyncio.to_thread(lambda: to_candles(joined(pieces), source.meaning, reading, source.problems))
        length_ns = int(columns.timeframe[0]) * NS_PER_SECOND
        lead = min(LEAD, len(columns.open_time) // 2)
        await self._publish(source, rows.picked(columns, np.arange(lead)))
        for frame in derive.targets(int(columns.timeframe[0])):
            end_ns = int(columns.open_time[lead])
            await self._publish(source, _derived(columns, frame, int(columns.open_time[0]), end_ns))
        for i in range(lead, len(columns.open_time)):
            close_ns = int(columns.open_time[i]) + length_ns
            await self._due(close_ns)
            await self._publish(source, rows.picked(columns, np.array([i])))
            for frame in derive.targets(int(columns.timeframe[0])):
                if open_of(close_ns, frame) == close_ns:
                    start_ns = open_of(close_ns - 1, frame)
                    await self._publish(source, _derived(columns, frame, start_ns, close_ns))

    async def _publish(self, source: Source, columns: CandleColumns) -> None:
        pages = rows.pieces(columns, _PAGE)
        await self._publisher.candles([CandlesFetched(self._options.exchange, source.symbol, page) for page in pages])

    async def _trades(self, source: Source, reading: Reading) -> None:
        reader = TradeReader(reading, source.meaning, source.problems)
        feed: Feed | None = None
        pieces = tables(source.path)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            columns = await asyncio.to_thread(reader.read, piece)
            if not len(columns.ts_event):
                continue
            if feed is None:
                feed = Feed(
                    self._options.exchange, source.symbol, reader.ids, is_aggregated=reader.is_aggregated,
                    is_complete=True, is_known=False,
                )  # fmt: skip
            for message in feed.messages(columns):
                await self._due(_time_of(message))
                await self._publisher.trades([message])
        if feed is not None:
            await self._publisher.trades(list(feed.end()))

    async def _due(self, event_ns: int) -> None:
        """Wait until the event's time has come at this speed; the first event is due at once."""
        if not self._first_event_ns:
            self._first_event_ns, self._started_ns = event_ns, self._clock.monotonic_ns()
        if self._speed:
            due_ns = self._started_ns + (event_ns - self._first_event_ns) / self._speed
            await self._clock.sleep((due_ns - self._clock.monotonic_ns()) / NS_PER_SECOND)


def _derived(columns: CandleColumns, frame: int, start_ns: int, end_ns: int) -> CandleColumns:
    first, last = np.searchsorted(columns.open_time, [start_ns, end_ns])
    return derive.derived(rows.picked(columns, np.arange(first, last)), frame, start_ns, end_ns)


def _time_of(message: TradeBatch | Progress) -> int:
    return message.complete_through if isinstance(message, Progress) else int(message.columns_v1.ts_event[-1])
