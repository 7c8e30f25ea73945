"""Faults of transactions: seen too early, kept in part, or written by two at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from candlewick.ports.log import Consumer, NewRecord, Position, Transaction
from candlewick.testing.faults.log_proxy import Fault, FaultyProducer, FaultyTransaction, Places


class VisibleBeforeCommit(Fault):
    """A transaction's records are written as they are sent."""

    @asynccontextmanager
    async def transaction(self, producer: FaultyProducer) -> AsyncIterator[Transaction]:
        plain = await producer.log.inner.producer("early")
        async with producer.inner.transaction() as inner:

            class Early(FaultyTransaction):
                def send(self, records: Sequence[NewRecord]) -> None:
                    writes.append(asyncio.ensure_future(plain.send(records)))

            writes: list[asyncio.Future[list[Position]]] = []
            try:
                yield Early(inner)
            finally:
                await asyncio.gather(*writes)


class CommitsOnError(VisibleBeforeCommit):
    """An aborted transaction's records stay."""


class _Gathered(FaultyTransaction):
    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.positions: list[tuple[Consumer, Places]] = []

    def send(self, records: Sequence[NewRecord]) -> None:
        self.records += records

    def advance(self, consumer: Consumer, positions: Places) -> None:
        self.positions.append((consumer, positions))


class PositionsFirst(Fault):
    """Positions are committed in a transaction of their own, before the records."""

    @asynccontextmanager
    async def transaction(self, producer: FaultyProducer) -> AsyncIterator[Transaction]:
        gathered = _Gathered()
        yield gathered
        for consumer, positions in gathered.positions:
            await consumer.commit(positions)
        async with producer.inner.transaction() as inner:
            inner.send(gathered.records)


class PositionsForgotten(Fault):
    """A transaction keeps its records and not its positions."""

    @asynccontextmanager
    async def transaction(self, producer: FaultyProducer) -> AsyncIterator[Transaction]:
        gathered = _Gathered()
        yield gathered
        async with producer.inner.transaction() as inner:
            inner.send(gathered.records)


class NoFencing(Fault):
    """Two producers of one transactional id both go on."""

    def __init__(self) -> None:
        super().__init__()
        self._given = 0

    def transactional_id(self, name: str | None) -> str | None:
        self._given += 1
        return f"{name}-{self._given}" if name else None
