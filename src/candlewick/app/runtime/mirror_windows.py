"""The windows' mirror: sliding windows kept up to date from the log, for whoever starts cold."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from candlewick.app.runtime.measured_log import MeasuredLog
from candlewick.contracts import codec
from candlewick.contracts.history import CandlesFetched, CandlesRepaired
from candlewick.contracts.stream import CandleBatch, CandleColumns
from candlewick.contracts.topics import HISTORY_CANDLES, NORMALIZED_OHLCV
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Fenced, Retryable
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.patience import Patience
from candlewick.ports.log import Consumer, EventLog, LogCorrupt, Position, Record
from candlewick.ports.windows import Place, Rows, Windows
from candlewick.quant.candles.merge import best
from candlewick.quant.candles.values import to_arrays
from candlewick.quant.windows.ring import FIELDS

GROUP: Final = "windows.mirror"
TOPICS: Final = (NORMALIZED_OHLCV.name, HISTORY_CANDLES.name)
_SERVICE: Final = "mirror"
_OLDEST: Final = Position(0, 0)
_AGAIN_S: Final = 0.2

Symbol = tuple[str, str]
Seed = Callable[[str, str, int], Awaitable[tuple[Mapping[int, Rows], Mapping[Place, Position]]]]
"""Of exchange and symbol the newest candles of every timeframe, as many of each as the last argument says, and the log
positions they include. Raises Retryable while they cannot be had."""


class WindowsMirror:
    """Applies every final candle of the log to the windows, and seeds what cannot be followed on.

    What was not seeded yet says an older position, or nothing; it never claims what it has not. Several processes may
    run one; they divide the partitions. Killed at any instant, the next one applies again what was not committed, which
    changes nothing, and seeds what it finds behind. The store of windows and the source of seeds may be away: the log
    waits for the former, symbols for the latter.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        windows: Windows,
        seed: Seed,
        member: str,
        clock: Clock,
        metrics: Metrics,
        logger: Any,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``member`` is stable across restarts of the same process. ``on_step`` is told ``applied`` between windows
        and commit; tests kill there."""
        self._log = MeasuredLog(log, _SERVICE, metrics, clock)
        self._windows, self._seed, self._member = windows, seed, member
        self._clock, self._metrics, self._logger = clock, metrics, logger
        self._on_step = on_step
        self._patience = Patience(clock, logger, "the mirror of windows")
        self._seeding_patience = Patience(clock, logger, "the seeding of windows")
        self._begun: dict[Place, Position] = {}
        self._last: dict[tuple[Symbol, Place], Position] = {}
        self._unseeded: dict[Symbol, None] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Log and windows are the caller's to open and close."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._seed_what_is_behind())
                tasks.create_task(self._log.measure())
        except ExceptionGroup as several:
            # Whoever runs this wants to know by its code what ended it.
            raise several.exceptions[0] from several

    def check(self) -> str | None:
        """For health: None while it goes on, else what it waits for."""
        waiting = self._patience.refusal or self._seeding_patience.refusal
        return str(waiting) if waiting is not None else None

    # -- following ---------------------------------------------------------------------------------------------

    async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """What others read meanwhile is not known here: nothing follows on until it is seeded or said by its store."""
        for place in partitions:
            self._begun.pop(place, None)
        self._last = {known: at for known, at in self._last.items() if known[1] not in partitions}

    async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Nothing in hand: every batch is committed before the next poll."""

    async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Nothing in hand: every batch is committed before the next poll."""

    async def _follow(self) -> None:
        consumer = await self._joined()
        try:
            while True:
                try:
                    await self._mirror(consumer)
                except Fenced:
                    self._logger.info("another mirror has taken over", group=GROUP)
                    await consumer.close()
                    consumer = await self._joined()
                except Retryable as error:
                    await self._patience.wait(error)
                else:
                    self._patience.over()
        finally:
            with suppress(CandlewickError):
                await consumer.close()

    async def _joined(self) -> Consumer:
        self._begun.clear()
        self._last.clear()
        while True:
            try:
                return await self._log.consumer(TOPICS, group=GROUP, member=self._member, on_assignment=self)
            except Retryable as error:
                await self._patience.wait(error)

    async def _mirror(self, consumer: Consumer) -> None:
        try:
            records = await consumer.poll()
        except LogCorrupt as error:
            self._logger.error("part of the log is damaged", code=error.code, detail=error.detail)
            self._metrics.count("events_dead_total", 1, _SERVICE, "log", error.code)
            return
        if not records:
            return
        by_symbol: dict[Symbol, list[tuple[Record, CandleColumns]]] = {}
        for record in records:
            place = (record.topic, record.partition)
            self._begun.setdefault(place, Position(record.position.epoch, record.position.offset - 1))
            if (read := self._read(record)) is not None:
                by_symbol.setdefault(read[0], []).append((record, read[1]))
        while True:
            try:
                await asyncio.gather(*(self._apply(symbol, some) for symbol, some in by_symbol.items()))
                self._on_step("applied")
                await consumer.commit({(r.topic, r.partition): r.position for r in records})
                break
            except Retryable as error:
                # To apply again changes nothing.
                await self._patience.wait(error)
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.count("events_consumed_total", count, _SERVICE, topic)

    def _read(self, record: Record) -> tuple[Symbol, CandleColumns] | None:
        if record.value is None:
            return None
        try:
            message = codec.decode(codec.decode_envelope(record.header).type, record.value)
        except CandlewickError as error:
            self._logger.warning("unreadable event", topic=record.topic, code=error.code, detail=error.detail)
            self._metrics.count("events_dead_total", 1, _SERVICE, record.topic, error.code)
            return None
        if not isinstance(message, (CandleBatch, CandlesFetched, CandlesRepaired)):
            return None
        return (message.exchange, message.symbol), message.columns_v1

    async def _apply(self, symbol: Symbol, some: Sequence[tuple[Record, CandleColumns]]) -> None:
        for record, columns in some:
            place = (record.topic, record.partition)
            after = self._last.get((symbol, place), self._begun[place])
            if symbol not in self._unseeded and not await self._windows.apply(
                *symbol, rows_of(columns, self._windows.capacity), place, after=after, at=record.position
            ):
                self._unseeded[symbol] = None
                self._wanted.set()
            self._last[symbol, place] = record.position

    # -- seeding -----------------------------------------------------------------------------------------------

    async def _seed_what_is_behind(self) -> None:
        while True:
            self._wanted.clear()
            for symbol in list(self._unseeded):
                try:
                    await self._seed_one(symbol)
                except Retryable as error:
                    await self._seeding_patience.wait(error)
                else:
                    self._seeding_patience.over()
            if not self._unseeded:
                await self._wanted.wait()
            else:
                await self._clock.sleep(_AGAIN_S)

    async def _seed_one(self, symbol: Symbol) -> None:
        rows, at = await self._seed(*symbol, self._windows.capacity)
        if self._is_behind(symbol, at):
            return
        await self._windows.seed(*symbol, rows, at)
        # What was passed over while this was waited for must be in the seed as well.
        if not self._is_behind(symbol, at):
            self._unseeded.pop(symbol, None)

    def _is_behind(self, symbol: Symbol, at: Mapping[Place, Position]) -> bool:
        mine = [(place, position) for (one, place), position in self._last.items() if one == symbol]
        return any(at.get(place, _OLDEST) < position for place, position in mine)


def rows_of(columns: CandleColumns, most: int) -> dict[int, Rows]:
    """Candles as rows of windows, by timeframe in seconds: of each the newest ``most`` by open time, one row each."""
    standing = best(columns)
    arrays = to_arrays(standing)
    rows: dict[int, Rows] = {}
    for seconds in sorted(set(standing.timeframe.tolist())):
        places = (standing.timeframe == seconds).nonzero()[0][-most:]
        rows[seconds] = {name: getattr(arrays, name)[places] for name, _ in FIELDS}
    return rows
