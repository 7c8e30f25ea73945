"""What the log's suite needs of an adapter beside the port: a way to open it, to kill it, to take its tail away."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from candlewick.contracts.topics import Topic
from candlewick.ports.log import Consumer, EventLog, NewRecord, Position, Record

EVENTS = Topic("suite.events", "suite", (), 6, 3_600, "Several partitions.")
OTHER = Topic("suite.other", "suite", (), 3, 3_600, "A second topic for transactions.")
SINGLE = Topic("suite.single", "suite", (), 1, 3_600, "One partition.")
COMPACT = Topic("suite.compact", "suite", (), 2, 0, "The newest of each key is kept.", cleanup="compact")
TOPICS = (EVENTS, OTHER, SINGLE, COMPACT)

# Far beyond what any adapter needs, so that a slow machine does not look like a broken law.
PATIENCE_S = 20.0
F = TypeVar("F", bound=Callable[..., Any])


class LogHarness:
    """Bind an adapter by overriding these. All opened logs share one storage, as processes of one machine would.

    A capability that an adapter lacks stays NotImplementedError: its tests then fail, and the binding marks them as
    strict expected failures with the reason.
    """

    steps: Sequence[str] = ()
    """Names of the places inside a commit where ``open(crash_at=...)`` can kill the log."""
    member_timeout_s: float = 10.0
    """How long a member of a group may be silent before it is out."""
    record_bytes: int = 16 << 20
    """The largest record that is taken."""
    queue_bytes: int = 1 << 20
    """The bound of bytes over which ``send`` waits."""

    async def open(self, *, crash_at: str | None = None) -> EventLog:
        """A log opened on the storage, with ``TOPICS``. ``crash_at``: it dies at that step of its next commit."""
        raise NotImplementedError

    async def crash(self, log: EventLog) -> None:
        """As kill -9 would: nothing is flushed, nothing is said to anybody."""
        raise NotImplementedError

    async def lose_tail(self) -> None:
        """After a crash of the last log: the storage forgets its last commits, as after a power loss."""
        raise NotImplementedError

    def pending_bytes(self, log: EventLog) -> int:
        """Bytes that the adapter holds and has not committed."""
        raise NotImplementedError

    async def expire(self, log: EventLog, now_ns: int) -> int:
        """Have retention and compaction applied as of ``now_ns``; returns how many records left."""
        return await log.expire(now_ns)


def law(*numbers: int) -> Callable[[F], F]:
    """Mark a test with the laws of LAWS.md that it holds; none: a promise of the port alone."""

    def mark(function: F) -> F:
        function.laws = numbers  # type: ignore[attr-defined]
        return function

    return mark


def new(key: str, value: bytes | None, topic: Topic = EVENTS) -> NewRecord:
    """A record of the suite."""
    return NewRecord(topic.name, key, value, b"header of " + key.encode(), 1)


def numbered(keys: Iterable[str], count: int, topic: Topic = EVENTS, first: int = 0) -> list[NewRecord]:
    """``count`` records for each key, round and round, with values that count up per key."""
    names = list(keys)
    return [new(key, b"%d" % i, topic) for i in range(first, first + count) for key in names]


async def take(consumer: Consumer, count: int, *, surplus_s: float = 0.2, max_records: int = 500) -> list[Record]:
    """Poll until ``count`` records came, then a little longer; what came, so that too many show too."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < count and time.monotonic() < deadline:
        records += await consumer.poll(timeout_s=0.2, max_records=max_records)
    if surplus_s:
        records += await consumer.poll(timeout_s=surplus_s)
    return records


async def everything(log: EventLog, topic: Topic, *, settle_s: float = 0.3) -> list[Record]:
    """All that a new reader sees in a topic, oldest first per partition."""
    consumer = await log.consumer([topic.name], group=None, member="everything", start="oldest")
    records: list[Record] = []
    while found := await consumer.poll(timeout_s=settle_s):
        records += found
    await consumer.close()
    return records


async def until(condition: Callable[[], Any], what: str, *, pump: Callable[[], Awaitable[Any]] | None = None) -> None:
    """Wait for something, pumping meanwhile; AssertionError when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s in vain until {what}"
        await (pump() if pump is not None else asyncio.sleep(0.01))


async def refused(kind: type[BaseException], doing: Awaitable[Any], what: str) -> None:
    """AssertionError unless ``doing`` raises ``kind``."""
    try:
        await doing
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}: {what}")


def by_key(records: Iterable[Record]) -> dict[str, list[bytes | None]]:
    """Values of each key in the order they came."""
    found: dict[str, list[bytes | None]] = defaultdict(list)
    for record in records:
        found[record.key].append(record.value)
    return dict(found)


def expected(keys: Iterable[str], count: int, first: int = 0) -> dict[str, list[bytes | None]]:
    """What ``by_key`` gives for ``numbered``."""
    return {key: [b"%d" % i for i in range(first, first + count)] for key in keys}


def last_places(records: Iterable[Record]) -> dict[tuple[str, int], Position]:
    """The position of the last record of each partition."""
    return {(record.topic, record.partition): record.position for record in records}


def assert_rising(records: Iterable[Record]) -> None:
    """Positions rise within each partition."""
    last: dict[tuple[str, int], Position] = {}
    for record in records:
        place = (record.topic, record.partition)
        assert place not in last or last[place] < record.position, (
            f"positions must rise in {place}, {last[place]} then {record.position}"
        )
        last[place] = record.position
