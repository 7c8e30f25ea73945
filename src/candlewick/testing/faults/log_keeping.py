"""Faults of keeping: what leaves, what stays, and what an operator is told of it."""

from collections.abc import Sequence

from candlewick.ports.log import NewRecord, Position, Producer, Record, TopicState
from candlewick.testing.faults.log_proxy import Fault, FaultyConsumer, FaultyLog


class KeepsAll(Fault):
    """Nothing ever leaves."""

    async def expire(self, log: FaultyLog, now_ns: int) -> int:
        return 0


class HoleUntold(Fault):
    """A seek to what is gone claims to have found it."""

    async def seek(
        self, consumer: FaultyConsumer, topic: str, partition: int, after: Position | None
    ) -> Position | None:
        await consumer.inner.seek(topic, partition, after)
        return after


class NewestCompacted(Fault):
    """Compaction takes the newest of a key."""

    def __init__(self) -> None:
        super().__init__()
        self._hidden: set[tuple[str, int, Position]] = set()

    async def expire(self, log: FaultyLog, now_ns: int) -> int:
        for state in await log.inner.describe():
            for partition in range(state.partitions):
                newest: dict[str, Record] = {}
                for record in await log.inner.read_at(state.name, partition, None, 10_000):
                    newest[record.key] = record
                self._hidden.update([(r.topic, r.partition, r.position) for r in newest.values()])
        return await log.inner.expire(now_ns)

    def seen(self, log: FaultyLog, records: list[Record]) -> list[Record]:
        return [r for r in records if (r.topic, r.partition, r.position) not in self._hidden]


class DeadLettersVanish(Fault):
    """What goes to a topic's dead letters is never seen again."""

    async def send(self, log: FaultyLog, producer: Producer, records: Sequence[NewRecord]) -> list[Position]:
        return await producer.send([record for record in records if not record.topic.endswith(".dead-letters")])


class Miscounted(Fault):
    """An operator is told of nothing."""

    async def describe(self, log: FaultyLog) -> Sequence[TopicState]:
        return [TopicState(s.name, s.partitions, 0, 0, None) for s in await log.inner.describe()]
