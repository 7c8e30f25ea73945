"""The event log: the one place where services meet.

A contract in prose, held by ``candlewick.testing.conformance.log`` for every adapter. Law numbers in brackets.

Order. Records of one key keep the order in which one producer sent them; keys share partitions, and within a partition
  offsets increase but may have holes [12]. There is no order across partitions. The partition of a key is
  ``kernel.hashing.partition_of`` everywhere, and a topic's partition count never changes in place [9].
Delivery. At least once. A record is visible to consumers only after its transaction has committed; an open transaction
  hides what is behind it in the same partition [12]. After ``send`` or ``commit`` returned, a killed process loses
  nothing that it was told of.
Transactions. One transaction covers records to any topics and the positions of one consumer: all or nothing. A second
  producer with the same transactional id fences the first, whose later calls raise Fenced.
Consumers. ``shared``: members of a group divide the partitions and go on from the group's committed positions;
  partitions taken away are ``revoked`` (finish and commit first) or ``lost`` (someone else has them already) [12].
  ``broadcast``: every consumer reads every partition from where it says [13]; it commits nothing.
Positions. (epoch, offset). When an adapter cannot be sure that it still has all it acknowledged (an unclean stop, a
  power loss) it opens a new epoch whose offsets lie beyond every position any consumer can know [12]. Seeking is by
  position and by time; a position older than what is kept moves to the oldest kept and says so.
Back-pressure. ``send`` waits while the adapter's queue is over its bound of bytes; ``poll`` returns no more than it
  was asked for.
Retention. Records leave by age and by size, oldest first; a compacted topic keeps at least the newest record of each
  key, and a record with value None deletes its key.
Dead letters. ``topics.dead_letters(name)`` exists for every topic and is written like any other.

No law: reading one event in the middle synchronously at low cost, transactions across two logs, exact offsets.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec

from candlewick.kernel.errors import Corrupt, Fatal, Rejected, Retryable

Start = Literal["committed", "oldest", "newest"]


class LogUnavailable(Retryable):
    """The log cannot take or give records now."""

    code = "LOG_UNAVAILABLE"


class RecordTooLarge(Rejected):
    """One record is larger than the log takes."""

    code = "RECORD_TOO_LARGE"


class MixedKeys(Rejected):
    """One message holds one key [9]."""

    code = "MIXED_KEYS"


class LogCorrupt(Corrupt):
    """A stored record cannot be trusted. ``poll`` raises it once per place and reads on behind it at the next call."""

    code = "LOG_CORRUPT"


class NotShared(Rejected):
    """A broadcast consumer has no group whose positions could be committed."""

    code = "NOT_SHARED"


class NotAssigned(Rejected):
    """The partition is not among those that this consumer reads now."""

    code = "NOT_ASSIGNED"


class OutcomeUnknown(Fatal):
    """A transaction's end was sent and never confirmed: only the committed positions can say whether it holds."""

    code = "LOG_OUTCOME_UNKNOWN"


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in one partition. Larger is later; ``offset`` alone means nothing across epochs."""

    epoch: int
    offset: int


class NewRecord(msgspec.Struct, frozen=True):
    """What a producer hands over. ``header`` is an encoded envelope; ``value`` None deletes the key where compacted."""

    topic: str
    key: str
    value: bytes | None
    header: bytes
    ts_event: int


class Record(msgspec.Struct, frozen=True):
    """What a consumer gets. ``ts_append`` is ns UTC at the log [19]."""

    topic: str
    partition: int
    position: Position
    key: str
    value: bytes | None
    header: bytes
    ts_append: int


class Assignment(Protocol):
    """Told of changes to a shared consumer's partitions, inside ``poll``."""

    async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """They are this member's. It may ``seek`` in them here: reading then begins there, whatever was committed."""
        ...

    async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        """They go to another member once this returns: finish and commit."""
        ...

    async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        """They are another member's already: drop what is in hand, commit nothing."""
        ...


class Consumer(Protocol):
    """Reads topics. Not for two tasks at once."""

    async def poll(self, *, max_records: int = 500, max_bytes: int = 4 << 20, timeout_s: float = 1.0) -> list[Record]:
        """The next records in order per partition; waits up to ``timeout_s`` for the first, never longer."""
        ...

    async def commit(self, positions: Mapping[tuple[str, int], Position]) -> None:
        """Shared only: the group goes on behind these positions. Raises Fenced when the partitions are gone."""
        ...

    async def seek(self, topic: str, partition: int, after: Position | None) -> Position | None:
        """Read on behind ``after`` (None: from the oldest kept). Returns where reading really goes on after."""
        ...

    async def seek_to_time(self, ts_ns: int) -> None:
        """Read on at the first records appended at or after ``ts_ns``, in every assigned partition."""
        ...

    def assignment(self) -> frozenset[tuple[str, int]]: ...

    async def end_positions(self) -> Mapping[tuple[str, int], Position]:
        """The newest visible position of each assigned partition; partitions without records are absent."""
        ...

    async def lag(self) -> int:
        """Records visible and not yet polled, over all assigned partitions; an estimate where offsets have holes."""
        ...

    async def close(self) -> None:
        """Leave at once; others need not wait for a time-out."""
        ...


class Transaction(Protocol):
    """Records and positions that become true together. Leaving the context commits; an exception aborts."""

    def send(self, records: Sequence[NewRecord]) -> None: ...

    def advance(self, consumer: Consumer, positions: Mapping[tuple[str, int], Position]) -> None:
        """The consumer's group goes on behind these positions if and when the transaction commits."""
        ...


class Producer(Protocol):
    """Writes records."""

    async def send(self, records: Sequence[NewRecord]) -> list[Position]:
        """Append; returns once they are kept, with their positions in order of ``records``. Raises RecordTooLarge,
        LogUnavailable, StorageFull (nothing of this call was kept then), Fenced."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Only for a producer made with a transactional id."""
        ...

    async def close(self) -> None: ...


class TopicState(msgspec.Struct, frozen=True):
    """What an operator wants to know of a topic."""

    name: str
    partitions: int
    records: int
    bytes: int
    oldest_ns: int | None


class EventLog(Protocol):
    """A log, opened. Built once a process and shared by its services."""

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Accepted records are kept; then nothing more is taken."""
        ...

    async def producer(self, name: str, *, transactional_id: str | None = None) -> Producer: ...

    async def consumer(
        self,
        topics: Sequence[str],
        *,
        group: str | None,
        member: str,
        start: Start = "committed",
        on_assignment: Assignment | None = None,
    ) -> Consumer:
        """``group`` None is broadcast. ``start`` says where a partition without a committed position begins
        (``committed`` then means oldest). ``member`` is stable across restarts of the same process."""
        ...

    async def read_at(self, topic: str, partition: int, after: Position | None, limit: int) -> list[Record]:
        """A bounded look into one partition, for people and tests; not for the hot path."""
        ...

    async def describe(self) -> Sequence[TopicState]: ...

    async def expire(self, now_ns: int) -> int:
        """Apply retention; returns how many records left."""
        ...

    async def check(self) -> str | None:
        """None when the log can be written, else the reason, for health."""
        ...
