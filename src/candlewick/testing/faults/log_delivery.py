"""Faults of sending and reading: what was written is lost, moved, doubled or told wrongly."""

import asyncio
from collections.abc import Sequence

from candlewick.ports.log import NewRecord, NotShared, Position, Producer, Record, RecordTooLarge, Start
from candlewick.testing.faults.log_proxy import Fault, FaultyConsumer, FaultyLog, Places


def _moved(record: Record, **changes: object) -> Record:
    fields = {name: getattr(record, name) for name in Record.__struct_fields__}
    return Record(**{**fields, **changes})


class Reordered(Fault):
    """Records of one call are written backwards."""

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        return (await producer.send(list(reversed(records))))[::-1]


class WrongPlacesTold(Fault):
    """``send`` tells the positions in another order than that of its records."""

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        return (await producer.send(records))[::-1]


class OwnHash(Fault):
    """Partitions are picked by something else than the shared hash."""

    def seen(self, log: FaultyLog, records: list[Record]) -> list[Record]:
        return [_moved(r, partition=(r.partition + 1) % 6) for r in records]


class NoneIsEmpty(Fault):
    """A value of None comes back as no bytes."""

    def seen(self, log: FaultyLog, records: list[Record]) -> list[Record]:
        return [_moved(r, value=r.value or b"") for r in records]


class LostWrite(Fault):
    """Every seventh call is acknowledged and not written."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        self._calls += 1
        if self._calls % 7 == 0:
            return [Position(1, 1)] * len(records)
        return await producer.send(records)


class LazyWrite(Fault):
    """Records are acknowledged first and written when the next ones come; a close forgets them."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[NewRecord] = []

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        now, self._waiting = self._waiting, list(records)
        await producer.send(now)
        return [Position(1, 1)] * len(records)


class Unasked(Fault):
    """A poll gives one batch whatever it was asked for."""

    async def poll(self, consumer: FaultyConsumer, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        return await consumer.inner.poll(max_records=500, max_bytes=4 << 20, timeout_s=timeout_s)


class Oversleeping(Fault):
    """A poll does not come back at its time-out."""

    async def poll(self, consumer: FaultyConsumer, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        return await consumer.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout_s=timeout_s + 2)


class ForgetfulCancel(Fault):
    """What a cancelled poll had read is gone."""

    async def poll(self, consumer: FaultyConsumer, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        reading = asyncio.ensure_future(
            consumer.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout_s=timeout_s)
        )
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            await reading
            raise


class BroadcastIsShared(Fault):
    """Broadcast consumers divide the partitions like a group."""

    def group(self, group: str | None) -> str | None:
        return group or "everybody"


class BroadcastCommits(Fault):
    """A broadcast consumer's commit is taken without a word."""

    async def commit(self, consumer: FaultyConsumer, positions: Places) -> None:
        try:
            await consumer.inner.commit(positions)
        except NotShared:
            return


class SeekIncludes(Fault):
    """Seeking behind a position gives the record at it once more."""

    async def seek(
        self, consumer: FaultyConsumer, topic: str, partition: int, after: Position | None
    ) -> Position | None:
        before = Position(after.epoch, after.offset - 1) if after is not None else None
        await consumer.inner.seek(topic, partition, before)
        return after


class TimeOffByOne(Fault):
    """Seeking by time leaves out what was appended at that very time."""

    async def seek_to_time(self, consumer: FaultyConsumer, ts_ns: int) -> None:
        await consumer.inner.seek_to_time(ts_ns + 1)


class AlwaysOldest(Fault):
    """A reader that asked for the newest gets everything."""

    def start(self, start: Start) -> Start:
        return "oldest"


class NoLag(Fault):
    """Nobody is ever behind."""

    async def lag(self, consumer: FaultyConsumer) -> int:
        return 0


class UnboundedLook(Fault):
    """``read_at`` begins at its position and knows no limit."""

    async def read_at(
        self, log: FaultyLog, topic: str, partition: int, after: Position | None, limit: int
    ) -> list[Record]:
        return await log.inner.read_at(topic, partition, None, 10_000)


class HalfCalls(Fault):
    """Of a call with a record that is too large the others are kept."""

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        try:
            return await producer.send(records)
        except RecordTooLarge:
            await producer.send(records[:1])
            raise


class Bottomless(Fault):
    """The queue takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        self._bytes += sum([len(r.value or b"") for r in records])
        places = await producer.send(records)
        self._bytes -= sum([len(r.value or b"") for r in records])
        return places

    def pending_bytes(self, pending: int) -> int:
        return self._bytes


class DeafToOthers(Fault):
    """A reader gets what its own process wrote and nothing of another one's."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, int] = {}

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        for record in records:
            self._keys[record.key] = log.number
        return await producer.send(records)

    def seen(self, log: FaultyLog, records: list[Record]) -> list[Record]:
        return [record for record in records if self._keys.get(record.key, log.number) == log.number]


class OffsetsStartAgain(Fault):
    """Each opening counts its offsets from the beginning: what a lost tail was called is given to others."""

    def _told(self, log: FaultyLog, place: Position) -> Position:
        return Position(1, place.offset & 0xFFFF) if log.number > 1 else Position(1, place.offset)

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        return [self._told(log, place) for place in await producer.send(records)]
