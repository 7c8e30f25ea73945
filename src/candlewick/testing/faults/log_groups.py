"""Faults of consumer groups: positions forgotten or shared, partitions given away without a word."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from candlewick.kernel.errors import CandlewickError
from candlewick.ports.log import Assignment, Consumer, Position, Transaction
from candlewick.testing.faults.log_proxy import Fault, FaultyConsumer, FaultyProducer, FaultyTransaction, Places


class CommitDropped(Fault):
    """Commits are taken and forgotten: what was done is delivered again."""

    async def commit(self, consumer: FaultyConsumer, positions: Places) -> None:
        return


class OneGroup(Fault):
    """All groups share their positions."""

    def group(self, group: str | None) -> str | None:
        return "all" if group else None


class EachItsOwn(Fault):
    """Members do not divide: each reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self._members = 0

    def group(self, group: str | None) -> str | None:
        self._members += 1
        return f"{group}-{self._members}" if group else None


class _Wrapped:
    def __init__(self, inner: Assignment) -> None:
        self._inner = inner

    async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        await self._inner.assigned(partitions)

    async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        await self._inner.revoked(partitions)

    async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        await self._inner.lost(partitions)


class RevokedUntold(Fault):
    """Partitions go to another member and their owner is not told before."""

    def listener(self, listener: Assignment | None) -> Assignment | None:
        class Untold(_Wrapped):
            async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
                return

        return Untold(listener) if listener is not None else None


class LostIsRevoked(Fault):
    """Partitions that are another's already are called revoked."""

    def listener(self, listener: Assignment | None) -> Assignment | None:
        class Revoked(_Wrapped):
            async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
                try:
                    await self._inner.revoked(partitions)
                except CandlewickError:
                    return

        return Revoked(listener) if listener is not None else None


class ZombieCommits(Fault):
    """A commit of partitions that are another member's passes."""

    async def commit(self, consumer: FaultyConsumer, positions: Places) -> None:
        try:
            await consumer.inner.commit(positions)
        except CandlewickError:
            return

    @asynccontextmanager
    async def transaction(self, producer: FaultyProducer) -> AsyncIterator[Transaction]:
        class Lenient(FaultyTransaction):
            def advance(self, consumer: Consumer, positions: Places) -> None:
                return

        async with producer.inner.transaction() as inner:
            yield Lenient(inner)


class DeafWhenTold(Fault):
    """A member that seeks when it is assigned reads from where the group was."""

    async def seek(
        self, consumer: FaultyConsumer, topic: str, partition: int, after: Position | None
    ) -> Position | None:
        return after


class StaysSeated(Fault):
    """A consumer that closes keeps its seat until the time-out."""

    async def close_consumer(self, consumer: FaultyConsumer) -> None:
        return


class NewNameEachTime(Fault):
    """A restarted member is a stranger."""

    def __init__(self) -> None:
        super().__init__()
        self._members = 0

    def member(self, member: str) -> str:
        self._members += 1
        return f"{member}-{self._members}"
