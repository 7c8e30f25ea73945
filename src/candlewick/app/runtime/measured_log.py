"""How far a service is behind the log: its readers are asked now and then, whether they read or stand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.metrics import Metrics
from candlewick.ports.log import (
    Assignment,
    Consumer,
    EventLog,
    LogUnavailable,
    NewRecord,
    Position,
    Producer,
    Record,
    Start,
    TopicState,
    Transaction,
)

#: As often as Prometheus looks.
EVERY_S: Final = 15.0
# A reader gives no records while it is asked, some 40 ms on three brokers under load: a twentieth of its time at most,
# however slow they are.
_REST: Final = 20


class MeasuredLog:
    """A log as one service reads it. Consumers made here say how far they are behind as ``consumer_lag``, once they
    have been polled and until they are closed."""

    def __init__(self, inner: EventLog, service: str, metrics: Metrics, clock: Clock) -> None:
        self._inner, self._service, self._metrics, self._clock = inner, service, metrics, clock
        self._readers: dict[MeasuredConsumer, str] = {}
        self._told: set[str] = set()

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measure for the time of the block."""
        task = asyncio.ensure_future(self.measure())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def measure(self) -> None:
        """Until cancelled. What cannot be asked now keeps its last value."""
        while True:
            began_ns = self._clock.monotonic_ns()
            await self.ask()
            took_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_SECOND
            await self._clock.sleep(max(EVERY_S, _REST * took_s))

    async def ask(self) -> None:
        """Ask every reader once; those of the same topics are summed up."""
        found: Counter[str] = Counter()
        unknown = set()
        for reader, topics in list(self._readers.items()):
            if not reader.has_polled:
                continue
            try:
                found[topics] += await reader.lag()
            except CandlewickError:
                unknown.add(topics)
        self._told |= found.keys()
        for topics in self._told - unknown:
            self._metrics.gauge("consumer_lag", found[topics], self._service, topics)

    async def consumer(
        self,
        topics: Sequence[str],
        *,
        group: str | None,
        member: str,
        start: Start = "committed",
        on_assignment: Assignment | None = None,
    ) -> "MeasuredConsumer":
        inner = await self._inner.consumer(topics, group=group, member=member, start=start, on_assignment=on_assignment)
        reader = MeasuredConsumer(inner, self)
        self._readers[reader] = ",".join(topics)
        return reader

    def forget(self, reader: "MeasuredConsumer") -> None:
        """It is closed: nobody asks it any more."""
        self._readers.pop(reader, None)

    def knows(self, reader: "MeasuredConsumer") -> bool:
        """Whether it is open."""
        return reader in self._readers

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        self._readers.clear()
        await self._inner.close()

    async def producer(self, name: str, *, transactional_id: str | None = None) -> Producer:
        inner = await self._inner.producer(name, transactional_id=transactional_id)
        return inner if transactional_id is None else _Producer(inner)

    async def read_at(self, topic: str, partition: int, after: Position | None, limit: int) -> list[Record]:
        return await self._inner.read_at(topic, partition, after, limit)

    async def describe(self) -> Sequence[TopicState]:
        return await self._inner.describe()

    async def expire(self, now_ns: int) -> int:
        return await self._inner.expire(now_ns)

    async def check(self) -> str | None:
        return await self._inner.check()


class MeasuredConsumer:
    """Polls and questions take turns: a consumer is not for two tasks at once. The rest may come from inside a poll,
    when partitions are assigned or revoked, and does not wait."""

    def __init__(self, inner: Consumer, log: MeasuredLog) -> None:
        self.inner, self._log = inner, log
        self._turn = asyncio.Lock()
        self.has_polled = False

    async def poll(self, *, max_records: int = 500, max_bytes: int = 4 << 20, timeout_s: float = 1.0) -> list[Record]:
        async with self._turn:
            self.has_polled = True
            return await self.inner.poll(max_records=max_records, max_bytes=max_bytes, timeout_s=timeout_s)

    async def lag(self) -> int:
        async with self._turn:
            if not self._log.knows(self):
                raise LogUnavailable("the consumer is closed")
            return await self.inner.lag()

    async def commit(self, positions: Mapping[tuple[str, int], Position]) -> None:
        await self.inner.commit(positions)

    async def seek(self, topic: str, partition: int, after: Position | None) -> Position | None:
        return await self.inner.seek(topic, partition, after)

    async def seek_to_time(self, ts_ns: int) -> None:
        await self.inner.seek_to_time(ts_ns)

    def assignment(self) -> frozenset[tuple[str, int]]:
        return self.inner.assignment()

    async def end_positions(self) -> Mapping[tuple[str, int], Position]:
        return await self.inner.end_positions()

    async def close(self) -> None:
        self._log.forget(self)
        await self.inner.close()


class _Producer:
    """A producer whose transactions know a measured consumer by the log's own."""

    def __init__(self, inner: Producer) -> None:
        self._inner = inner

    async def send(self, records: Sequence[NewRecord]) -> list[Position]:
        return await self._inner.send(records)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._inner.transaction() as inner:
            yield _Transaction(inner)

    async def close(self) -> None:
        await self._inner.close()


class _Transaction:
    def __init__(self, inner: Transaction) -> None:
        self._inner = inner

    def send(self, records: Sequence[NewRecord]) -> None:
        self._inner.send(records)

    def advance(self, consumer: Consumer, positions: Mapping[tuple[str, int], Position]) -> None:
        self._inner.advance(consumer.inner if isinstance(consumer, MeasuredConsumer) else consumer, positions)
