"""Final candles from the log into the store, with their positions in the same transaction [14]."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from candlewick.contracts import codec, topics
from candlewick.contracts.history import CandlesFetched, CandlesRepaired
from candlewick.contracts.stream import FINAL, CandleBatch, CandleColumns
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.kernel.patience import Patience
from candlewick.ports.log import Consumer, LogCorrupt, NewRecord, Position, Producer, Record
from candlewick.ports.runtime import Context
from candlewick.services.history.domain import rows
from candlewick.services.history.domain.gaps import MINUTE_S
from candlewick.services.history.domain.seam import Hole, Seam

TOPICS = (topics.NORMALIZED_OHLCV.name, topics.HISTORY_CANDLES.name)
GROUP = "history.candles"
_MOST_RECORDS = 2000
_LOOK_EVERY_S = 0.01

OnHoles = Callable[[str, str, Sequence[Hole]], Awaitable[None]]
_Batch = tuple[str, str, CandleColumns]


def marks_of(positions: Mapping[tuple[str, int], Position]) -> dict[str, int]:
    """Positions as the store's inbox marks."""
    marks: dict[str, int] = {}
    for (topic, partition), position in positions.items():
        marks[f"{topic}:{partition}:epoch"] = position.epoch
        marks[f"{topic}:{partition}:offset"] = position.offset
    return marks


def positions_of(marks: Mapping[str, int]) -> dict[tuple[str, int], Position]:
    """The other way round; marks of others are left out."""
    found = {}
    for name, offset in marks.items():
        topic, _, rest = name.partition(":")
        partition, _, kind = rest.partition(":")
        if kind == "offset":
            found[topic, int(partition)] = Position(marks[f"{topic}:{partition}:epoch"], offset)
    return found


class Storing:
    """Reads as a shared consumer, but goes on where the store says, not the group: the store's file is the one place
    that knows what it holds. A batch is open for ``commit_ms`` at most.

    Holes in the minutes are told to ``on_holes`` before their rows are stored, so that a kill between the two tells of
    them again rather than never.
    """

    def __init__(self, context: Context, on_holes: OnHoles, *, commit_ms: int) -> None:
        self._context, self._on_holes = context, on_holes
        self._store, self._clock, self._logger = context.candles, context.clock, context.logger
        self._open_ns = commit_ms * NS_PER_MS
        self.patience = Patience(self._clock, self._logger, "the candle store")
        self._seam = Seam()
        self._hand: list[Record] = []
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._is_stopped = False
        self.stored = self.repeated = 0
        self.repeated_of: dict[tuple[str, str], int] = {}

    async def start(self) -> None:
        self._consumer = await self._context.log.consumer(
            TOPICS, group=GROUP, member=self._context.member, on_assignment=self
        )
        self._context.background("store candles", self.run(self._consumer))

    async def stop(self) -> None:
        self._is_stopped = True
        if self._consumer is not None:
            await self._consumer.close()
        if self._producer is not None:
            await self._producer.close()

    async def caught_up(self) -> None:
        """Returns when the store holds all that was visible in the log at the call."""
        watcher = await self._context.log.consumer(TOPICS, group=None, member=self._context.member)
        try:
            ends = dict(await watcher.end_positions())
        finally:
            await watcher.close()
        while ends:
            known = positions_of(await self._store.marks())
            ends = {place: end for place, end in ends.items() if place not in known or known[place] < end}
            if ends:
                await self._clock.sleep(_LOOK_EVERY_S)

    async def run(self, consumer: Consumer) -> None:
        """Until cancelled. A full disk is waited out with everything in hand; a damaged place in the log is told and
        read past."""
        while True:
            try:
                await self._round(consumer)
            except LogCorrupt as error:
                self._logger.error("part of the log is damaged; its candles are missing", code=error.code,
                                   detail=error.detail)  # fmt: skip
                self._context.metrics.count("events_dead_total", 1, self._context.name, "log", error.code)
            except Retryable as error:
                if self._is_stopped:
                    return
                await self.patience.wait(error)
            else:
                self.patience.over()

    async def _round(self, consumer: Consumer) -> None:
        """Partitions may come and go in a poll, so the hand is looked at only behind it."""
        if not self._hand:
            found = await consumer.poll(timeout_s=1.0)
            self._hand += found
        until = self._clock.monotonic_ns() + self._open_ns
        while 0 < len(self._hand) < _MOST_RECORDS and (left := until - self._clock.monotonic_ns()) > 0:
            found = await consumer.poll(timeout_s=left / NS_PER_SECOND)
            self._hand += found
        await self._settle(consumer)

    async def _settle(self, consumer: Consumer) -> None:
        hand, self._hand = self._hand, []
        if hand:
            await self._keep(hand)
            await consumer.commit(_newest(hand))

    # -- assignment --------------------------------------------------------------------------------------------

    async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        known = positions_of(await self._store.marks())
        self._seam.forget()
        for topic, partition in partitions:
            if self._consumer is not None and (topic, partition) in known:
                await self._consumer.seek(topic, partition, known[topic, partition])

    async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        if self._consumer is not None:
            await self._settle(self._consumer)

    async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        gone = set(partitions)
        self._hand = [record for record in self._hand if (record.topic, record.partition) not in gone]

    # -- storing -----------------------------------------------------------------------------------------------

    async def _keep(self, records: Sequence[Record]) -> None:
        """One transaction for all; what cannot be stored is found by halving and goes to the dead letters."""
        while True:
            try:
                batches: list[_Batch] = []
                for record in records:
                    batch = self._batch(record)
                    if batch is not None:
                        batches.append(batch)
                        if record.topic == topics.NORMALIZED_OHLCV.name:
                            await self._tell_of_holes(*batch)
                new = await self._store.append_many(batches, mark=marks_of(_newest(records)))
            except Retryable as error:
                await self.patience.wait(error)
            except Exception as error:
                if len(records) == 1:
                    await self._bury(records[0], error)
                    return
                middle = len(records) // 2
                await self._keep(records[:middle])
                await self._keep(records[middle:])
                return
            else:
                self._count(records, batches, new)
                return

    def _batch(self, record: Record) -> _Batch | None:
        """The final rows of a message; None for one without any. Raises UnknownMessage, BadPayload."""
        if record.value is None:
            return None
        envelope = codec.decode_envelope(record.header)
        message = codec.decode(envelope.type, record.value)
        if not isinstance(message, CandleBatch | CandlesFetched | CandlesRepaired):
            raise codec.UnknownMessage(f"{record.topic} carries candles, was {envelope.type!r}")
        columns = message.columns_v1
        final = (columns.flags & FINAL) != 0
        if not final.all():
            columns = rows.picked(columns, final)
        return (message.exchange, message.symbol, columns) if len(columns.open_time) else None

    async def _tell_of_holes(self, exchange: str, symbol: str, columns: CandleColumns) -> None:
        minutes = columns.open_time[(columns.timeframe == MINUTE_S) & (columns.revision == 0)]
        if not len(minutes):
            if not self._seam.has_joined(exchange, symbol):
                await self._tell_of_join(exchange, symbol, int(columns.open_time.min()))
            return
        is_first = not self._seam.knows(exchange, symbol)
        if is_first:
            before = await self._store.last(exchange, symbol, MINUTE_S, 1, before_ns=int(minutes[0]))
            if len(before.open_time):
                self._seam.begin(exchange, symbol, int(before.open_time[0]))
        holes = self._seam.pass_over(exchange, symbol, columns, is_first=is_first)
        if holes:
            await self._on_holes(exchange, symbol, holes)

    async def _tell_of_join(self, exchange: str, symbol: str, first_ns: int) -> None:
        """The first minute would tell as well, but only when it has closed, and all that time a chart has a hole."""
        before = await self._store.last(exchange, symbol, MINUTE_S, 1, before_ns=first_ns)
        if len(before.open_time):
            holes = self._seam.join(exchange, symbol, int(before.open_time[0]), first_ns)
            if holes:
                await self._on_holes(exchange, symbol, holes)

    async def _bury(self, record: Record, fault: Exception) -> None:
        code = fault.code if isinstance(fault, CandlewickError) else "HANDLER_FAILED"
        known = isinstance(fault, CandlewickError)
        self._logger.error(
            "candles go to the dead letters", topic=record.topic, code=code, detail=str(fault),
            exc_info=None if known else fault,
        )  # fmt: skip
        header = codec.encode_envelope(codec.dead_letter_header(record.header, code=code, detail=str(fault)))
        dead = topics.dead_letters(record.topic)
        letter = NewRecord(dead, record.key, record.value, header, record.ts_append)
        while True:
            try:
                if self._producer is None:
                    self._producer = await self._context.log.producer(self._context.name)
                await self._producer.send([letter])
                await self._store.append_many([], mark=marks_of(_newest([record])))
            except Retryable as error:
                await self.patience.wait(error)
            else:
                break
        self._context.metrics.count("events_dead_total", 1, self._context.name, record.topic, code)

    def _count(self, records: Sequence[Record], batches: Sequence[_Batch], new: int) -> None:
        for topic in TOPICS:
            if found := sum(record.topic == topic for record in records):
                self._context.metrics.count("events_consumed_total", found, self._context.name, topic)
        given = sum(len(columns.open_time) for _, _, columns in batches)
        self.stored += new
        self.repeated += given - new
        if given > new and len(batches) == 1:
            key = batches[0][:2]
            self.repeated_of[key] = self.repeated_of.get(key, 0) + given - new


def _newest(records: Sequence[Record]) -> dict[tuple[str, int], Position]:
    return {(record.topic, record.partition): record.position for record in records}


def log_positions(marks: Mapping[str, int]) -> list[list[Any]]:
    """Marks as [topic, partition, epoch, offset], for readers of a snapshot."""
    return [[topic, part, at.epoch, at.offset] for (topic, part), at in sorted(positions_of(marks).items())]
