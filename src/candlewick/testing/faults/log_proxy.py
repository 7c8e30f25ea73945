"""A log that passes everything on; faults override one step of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from candlewick.ports.log import (
    Assignment,
    Consumer,
    EventLog,
    NewRecord,
    Position,
    Producer,
    Record,
    Start,
    TopicState,
    Transaction,
)
from candlewick.testing.conformance.log_harness import LogHarness

Places = Mapping[tuple[str, int], Position]


class Fault:
    """One way to break a log. The plain one breaks nothing. One instance lives as long as the storage."""

    def __init__(self) -> None:
        self.opened = 0

    # What a producer does.
    async def send(self, log: "FaultyLog", producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        return await producer.send(records)

    def transaction(self, producer: "FaultyProducer") -> AbstractAsyncContextManager[Transaction]:
        return self.plain_transaction(producer)

    @asynccontextmanager
    async def plain_transaction(self, producer: "FaultyProducer") -> AsyncIterator[Transaction]:
        async with producer.inner.transaction() as inner:
            yield FaultyTransaction(inner)

    def transactional_id(self, name: str | None) -> str | None:
        return name

    # What a consumer does.
    def group(self, group: str | None) -> str | None:
        return group

    def member(self, member: str) -> str:
        return member

    def start(self, start: Start) -> Start:
        return start

    def listener(self, listener: Assignment | None) -> Assignment | None:
        return listener

    async def poll(
        self, consumer: "FaultyConsumer", max_records: int, max_bytes: int, timeout_s: float
    ) -> list[Record]:
        found = await consumer.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout_s=timeout_s)
        return self.seen(consumer.log, found)

    def seen(self, log: "FaultyLog", records: list[Record]) -> list[Record]:
        """Every record on its way to a reader."""
        return records

    async def commit(self, consumer: "FaultyConsumer", positions: Places) -> None:
        await consumer.inner.commit(positions)

    async def seek(
        self, consumer: "FaultyConsumer", topic: str, partition: int, after: Position | None
    ) -> Position | None:
        return await consumer.inner.seek(topic, partition, after)

    async def seek_to_time(self, consumer: "FaultyConsumer", ts_ns: int) -> None:
        await consumer.inner.seek_to_time(ts_ns)

    async def lag(self, consumer: "FaultyConsumer") -> int:
        return await consumer.inner.lag()

    async def close_consumer(self, consumer: "FaultyConsumer") -> None:
        await consumer.inner.close()

    # What the log does.
    async def expire(self, log: "FaultyLog", now_ns: int) -> int:
        return await log.inner.expire(now_ns)

    async def read_at(
        self, log: "FaultyLog", topic: str, partition: int, after: Position | None, limit: int
    ) -> list[Record]:
        return self.seen(log, await log.inner.read_at(topic, partition, after, limit))

    async def describe(self, log: "FaultyLog") -> Sequence[TopicState]:
        return await log.inner.describe()

    async def close(self, log: "FaultyLog") -> None:
        await log.inner.close()

    def pending_bytes(self, pending: int) -> int:
        return pending


class FaultyTransaction:
    """Passes on, naming the adapter's own consumer."""

    def __init__(self, inner: Transaction) -> None:
        self.inner = inner

    def send(self, records: Sequence[NewRecord]) -> None:
        self.inner.send(records)

    def advance(self, consumer: Consumer, positions: Places) -> None:
        assert isinstance(consumer, FaultyConsumer)
        self.inner.advance(consumer.inner, positions)


@dataclass
class FaultyProducer:
    """A producer with a fault."""

    log: "FaultyLog"
    inner: Producer

    async def send(self, records: Sequence[NewRecord]) -> list[Position]:
        return await self.log.fault.send(self.log, self.inner, records)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self.log.fault.transaction(self)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class FaultyConsumer:
    """A consumer with a fault."""

    log: "FaultyLog"
    inner: Consumer
    kept: list[Record] = field(default_factory=list)

    async def poll(self, *, max_records: int = 500, max_bytes: int = 4 << 20, timeout_s: float = 1.0) -> list[Record]:
        return await self.log.fault.poll(self, max_records, max_bytes, timeout_s)

    async def commit(self, positions: Places) -> None:
        await self.log.fault.commit(self, positions)

    async def seek(self, topic: str, partition: int, after: Position | None) -> Position | None:
        return await self.log.fault.seek(self, topic, partition, after)

    async def seek_to_time(self, ts_ns: int) -> None:
        await self.log.fault.seek_to_time(self, ts_ns)

    def assignment(self) -> frozenset[tuple[str, int]]:
        return self.inner.assignment()

    async def end_positions(self) -> Places:
        return await self.inner.end_positions()

    async def lag(self) -> int:
        return await self.log.fault.lag(self)

    async def close(self) -> None:
        await self.log.fault.close_consumer(self)


@dataclass
class FaultyLog:
    """A log with a fault."""

    inner: EventLog
    fault: Fault
    number: int
    """Which opening of the storage this is, from 1."""

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.fault.close(self)

    async def producer(self, name: str, *, transactional_id: str | None = None) -> FaultyProducer:
        return FaultyProducer(
            self, await self.inner.producer(name, transactional_id=self.fault.transactional_id(transactional_id))
        )

    async def consumer(
        self,
        topics: Sequence[str],
        *,
        group: str | None,
        member: str,
        start: Start = "committed",
        on_assignment: Assignment | None = None,
    ) -> FaultyConsumer:
        inner = await self.inner.consumer(
            topics,
            group=self.fault.group(group),
            member=self.fault.member(member),
            start=self.fault.start(start),
            on_assignment=self.fault.listener(on_assignment),
        )
        return FaultyConsumer(self, inner)

    async def read_at(self, topic: str, partition: int, after: Position | None, limit: int) -> list[Record]:
        return await self.fault.read_at(self, topic, partition, after, limit)

    async def describe(self) -> Sequence[TopicState]:
        return await self.fault.describe(self)

    async def expire(self, now_ns: int) -> int:
        return await self.fault.expire(self, now_ns)

    async def check(self) -> str | None:
        return await self.inner.check()


class FaultyHarness(LogHarness):
    """Another harness's logs with a fault in each."""

    def __init__(self, inner: LogHarness, fault: Fault) -> None:
        self.inner, self.fault = inner, fault
        self.steps = inner.steps
        self.member_timeout_s = inner.member_timeout_s
        self.record_bytes = inner.record_bytes
        self.queue_bytes = inner.queue_bytes
        self._opened: list[EventLog] = []

    async def open(self, *, crash_at: str | None = None) -> EventLog:
        self.fault.opened += 1
        inner = await self.inner.open(crash_at=crash_at)
        self._opened.append(inner)
        return FaultyLog(inner, self.fault, self.fault.opened)

    async def crash(self, log: EventLog) -> None:
        assert isinstance(log, FaultyLog)
        await self.inner.crash(log.inner)

    async def lose_tail(self) -> None:
        await self.inner.lose_tail()

    def pending_bytes(self, log: EventLog) -> int:
        assert isinstance(log, FaultyLog)
        return self.fault.pending_bytes(self.inner.pending_bytes(log.inner))

    async def release(self) -> None:
        """Let go of every log that a failed test left open."""
        for log in self._opened:
            await log.close()
