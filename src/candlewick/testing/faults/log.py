"""Every law of the log's suite, and at least one fault that its test must see."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from candlewick.kernel.errors import CandlewickError
from candlewick.ports.log import (
    Assignment,
    Consumer,
    NewRecord,
    NotShared,
    Position,
    Producer,
    Record,
    RecordTooLarge,
    Start,
    TopicState,
    Transaction,
)
from candlewick.testing.faults.log_proxy import (
    Fault,
    FaultyConsumer,
    FaultyLog,
    FaultyProducer,
    FaultyTransaction,
    Places,
)


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


FAULTS: Mapping[str, tuple[Callable[[], Fault], ...]] = {
    "test_records_of_a_key_keep_their_order": (Reordered, LostWrite),
    "test_partition_is_murmur2_of_the_key": (OwnHash,),
    "test_what_is_read_is_what_was_sent_and_where": (NoneIsEmpty, WrongPlacesTold),
    "test_acknowledged_records_survive_a_kill": (LostWrite, LazyWrite),
    "test_close_keeps_what_was_accepted": (LazyWrite,),
    "test_poll_gives_no_more_than_asked": (Unasked,),
    "test_poll_waits_for_the_first_record_and_no_longer_than_told": (Oversleeping,),
    "test_cancelled_poll_loses_nothing": (ForgetfulCancel,),
    "test_broadcast_consumers_each_read_everything": (BroadcastIsShared, BroadcastCommits),
    "test_seek_by_position_reads_on_behind_it": (SeekIncludes,),
    "test_seek_by_time_is_exact": (TimeOffByOne,),
    "test_start_says_where_a_reader_begins": (AlwaysOldest,),
    "test_ends_and_lag_tell_how_far_behind": (NoLag,),
    "test_read_at_looks_into_one_partition": (UnboundedLook,),
    "test_large_records_pass_and_too_large_ones_are_refused_whole": (HalfCalls,),
    "test_send_waits_while_the_queue_is_over_its_bound": (Bottomless,),
    "test_two_opened_logs_share_one_storage": (DeafToOthers,),
    "test_positions_rise_across_a_clean_restart": (OffsetsStartAgain,),
    "test_a_lost_tail_is_never_given_again": (OffsetsStartAgain,),
    "test_a_transaction_is_all_there": (PositionsForgotten,),
    "test_an_aborted_transaction_leaves_nothing": (CommitsOnError,),
    "test_an_open_transaction_is_unseen_and_nothing_overtakes_it_backwards": (VisibleBeforeCommit,),
    "test_a_kill_between_any_two_steps_keeps_all_or_nothing": (PositionsFirst, PositionsForgotten),
    "test_a_newer_producer_fences_the_older": (NoFencing,),
    "test_a_member_without_its_partitions_cannot_advance": (ZombieCommits,),
    "test_a_group_goes_on_from_its_committed_positions": (CommitDropped,),
    "test_groups_do_not_touch_each_other": (OneGroup,),
    "test_members_divide_the_partitions": (EachItsOwn,),
    "test_partitions_are_revoked_before_another_has_them": (RevokedUntold,),
    "test_a_leaving_member_is_followed_at_once": (StaysSeated,),
    "test_a_silent_member_loses_its_partitions": (LostIsRevoked, ZombieCommits),
    "test_a_restarted_member_takes_its_seat_again": (NewNameEachTime,),
    "test_records_leave_by_age_oldest_first": (KeepsAll,),
    "test_a_position_that_left_moves_to_the_oldest_kept_and_says_so": (HoleUntold,),
    "test_compaction_keeps_the_newest_of_each_key": (NewestCompacted, KeepsAll),
    "test_dead_letters_are_written_and_read_like_any_topic": (DeadLettersVanish,),
    "test_an_operator_is_told_what_is_kept": (Miscounted,),
}
"""Test of the suite -> faults that it, run against a sound adapter with the fault, must answer with AssertionError."""
