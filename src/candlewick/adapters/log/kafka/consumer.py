"""Reading records: broadcast from where it says, shared from where its group is."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Place
from candlewick.adapters._kafka.errors import UNSETTLED, translated
from candlewick.adapters.log.kafka.fetching import Fetcher
from candlewick.adapters.log.kafka.places import Places
from candlewick.kernel.errors import Fenced
from candlewick.ports.log import (
    Assignment,
    LogCorrupt,
    LogUnavailable,
    NotAssigned,
    NotShared,
    Position,
    Record,
    Start,
)

T = TypeVar("T")
_WARM_S = 1.0
# The end of a transaction takes an offset and is no record: so many it is worth looking whether there are any.
_FEW = 64
_LEAVE_S = 2.0
_SETTLE_S = 1.0
# The client looks twice a second whether it was polled in time.
_NOTICE_S = 1.2
_STEP_S = 0.02


class KafkaConsumer:
    """One client on one thread of its own. Callbacks of the group run inside ``poll``, as the client's do."""

    def __init__(
        self,
        kafka: Consumer,
        places: Places,
        topics: Sequence[str],
        *,
        group: str | None,
        member: str,
        start: Start,
        on_assignment: Assignment | None,
    ) -> None:
        self._places = places
        self._fetcher = Fetcher(kafka, places.names, places.epochs)
        self._topics = tuple(topics)
        self._group = group
        self._member = member
        self._start: Start = start
        self._told = on_assignment
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"log-read-{member}")
        self._reading: asyncio.Future[list[Record]] | None = None
        self._raised: BaseException | None = None
        self._polled_at = time.monotonic()
        #: Ends before which there is nothing that was not read.
        self._hollow: dict[Place, int] = {}
        #: While ``assigned`` is told: where reading shall begin in what came.
        self._sought: dict[Place, int] | None = None
        self._is_closed = False

    # -- beginning and end ------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Join the group, or take every partition."""
        await self._on_thread(self._join if self._group is not None else self._take_all)

    def _join(self) -> None:
        try:
            self._fetcher.kafka.subscribe(
                [self._places.names.there(topic) for topic in self._topics],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
        except KafkaException as error:
            raise translated(error, "joining the group") from None

    def _take_all(self) -> None:
        wanted = self._places.of(self._topics)
        ends = self._places.offsets(wanted, LATEST)
        begins = ends if self._start == "newest" else self._places.offsets(wanted, EARLIEST)
        self._fetcher.assign(begins)
        # Connections are made and the first records are here before anybody polls with little patience.
        self._fetcher.warm(ends, _WARM_S)

    async def close(self) -> None:
        if self._is_closed:
            return
        await self._finish(self._leave)

    async def abandon(self) -> None:
        """Let go as a killed process would: the group hears nothing. For tests."""
        if not self._is_closed:
            await self._finish(self._fetcher.kafka.close)

    async def _finish(self, leave: Callable[[], None]) -> None:
        self._is_closed = True
        self._fetcher.hurry.set()
        try:
            await self._on_thread(leave)
        finally:
            await asyncio.to_thread(self._thread.shutdown)

    def _leave(self) -> None:
        kafka = self._fetcher.kafka
        if self._group is not None and self._fetcher.fault is None:
            # A static member that closes keeps its seat until its time-out; one that unsubscribes gives it up.
            with contextlib.suppress(KafkaException):
                kafka.unsubscribe()
                deadline = time.monotonic() + _LEAVE_S
                while kafka.memberid() and time.monotonic() < deadline:
                    kafka.consume(100, _STEP_S)
        kafka.close()

    # -- reading ----------------------------------------------------------------------------------------------------

    async def poll(self, *, max_records: int = 500, max_bytes: int = 4 << 20, timeout_s: float = 1.0) -> list[Record]:
        self._ensure_open()
        await self._recover()
        self._fetcher.hurry.clear()
        self._reading = reading = self._on_thread(lambda: self._fetch(max_records, max_bytes, timeout_s))
        try:
            records = await asyncio.shield(reading)
        except asyncio.CancelledError:
            # Its thread reads on, for nobody: what it finds is to be found again.
            self._fetcher.hurry.set()
            raise
        self._reading = None
        return records

    def _fetch(self, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        if self._group is not None and time.monotonic() - self._polled_at > self._places.options.poll_within_s:
            self._was_silent()
        try:
            records = self._fetcher.fetch(max_records, max_bytes, timeout_s)
        finally:
            self._polled_at = time.monotonic()
        raised, self._raised = self._raised, None
        if raised is not None:
            self._fetcher.give_back(records)
            raise raised
        return records

    def _was_silent(self) -> None:
        """Nobody polled for so long that the client has left the group, or does so now. It would tell of partitions
        that a rebalance wanted before as revoked, though they are another member's by now."""
        deadline = time.monotonic() + _NOTICE_S
        while self._fetcher.kafka.memberid():
            if time.monotonic() > deadline:
                return
            time.sleep(_STEP_S)
        self._lose(sorted(self._fetcher.owned))

    async def _recover(self) -> None:
        """After a cancelled read: wait for its thread and give back what it found."""
        reading = self._reading
        if reading is not None:
            # Cancelled here too, the next call finds it all the same. Its thread is idle once it has ended.
            await asyncio.wait([reading])
            self._reading = None
            error = reading.exception()
            if error is None:
                self._fetcher.give_back(reading.result())
            elif isinstance(error, LogCorrupt):
                self._fetcher.give_back([error])

    async def seek(self, topic: str, partition: int, after: Position | None) -> Position | None:
        self._ensure_open()
        if self._sought is not None:
            # Our own thread waits inside poll until ``assigned`` has returned.
            return await asyncio.to_thread(self._seek, (topic, partition), after, self._sought.update)
        await self._recover()
        return await self._on_thread(lambda: self._seek((topic, partition), after, self._fetcher.seek))

    def _seek(self, place: Place, after: Position | None, go: Callable[[Mapping[Place, int]], None]) -> Position | None:
        if place not in self._fetcher.owned:
            raise NotAssigned(f"only assigned partitions can be sought in, was {place!r}")
        offset = self._places.behind(place, after)
        go({place: offset})
        if after is None:
            return None
        if after.epoch == self._places.epoch(place[0]) and after.offset + 1 == offset:
            return after
        return Position(self._places.epoch(place[0]), offset - 1) if offset else None

    async def seek_to_time(self, ts_ns: int) -> None:
        self._ensure_open()
        await self._recover()
        await self._on_thread(lambda: self._seek_to_time(ts_ns))

    def _seek_to_time(self, ts_ns: int) -> None:
        self._fetcher.seek(self._places.since(self._fetcher.owned, ts_ns))

    def assignment(self) -> frozenset[Place]:
        return frozenset(self._fetcher.owned)

    async def end_positions(self) -> Mapping[Place, Position]:
        self._ensure_open()
        await self._recover()
        return await self._on_thread(lambda: self._places.newest(self._fetcher.owned, self._fetcher))

    async def lag(self) -> int:
        self._ensure_open()
        await self._recover()
        return await self._on_thread(self._lag)

    def _lag(self) -> int:
        owned = frozenset(self._fetcher.owned)
        ends = self._places.offsets(owned, LATEST)
        at = {place: self._fetcher.place_of(place) for place in owned}
        unknown = [place for place, offset in at.items() if offset < 0]
        if unknown:
            at.update(self._begins(unknown, ends))
        behind = {place: end - at[place] for place, end in ends.items() if end > at[place]}
        few = [place for place, count in behind.items() if count <= _FEW and self._hollow.get(place) != ends[place]]
        newest = self._places.newest(few) if few else {}
        for place in few:
            if place not in newest or newest[place].offset < at[place]:
                self._hollow[place] = ends[place]
        return sum(count for place, count in behind.items() if self._hollow.get(place) != ends[place])

    def _begins(self, unknown: Sequence[Place], ends: Mapping[Place, int]) -> dict[Place, int]:
        """Where partitions begin of which nothing was read yet."""
        begins = {place: ends[place] for place in unknown}
        if self._start != "newest":
            begins = self._places.offsets(unknown, EARLIEST)
        if self._group is not None:
            asked = [TopicPartition(self._places.names.there(topic), number) for topic, number in unknown]
            try:
                kept = self._fetcher.kafka.committed(asked, timeout=self._places.options.answer_within_s)
            except KafkaException as error:
                raise translated(error, "asking for the group's positions") from None
            for where in kept:
                if where.offset >= 0:
                    begins[self._places.names.here(where.topic), where.partition] = where.offset
        return begins

    # -- the group's positions ----------------------------------------------------------------------------------------

    async def commit(self, positions: Mapping[Place, Position]) -> None:
        self._ensure_open()
        offsets = self.offsets_of(positions)
        if offsets:
            # Not on our own thread: that one waits inside poll while ``revoked`` is told, and commits.
            await asyncio.to_thread(self._commit, offsets)

    def _commit(self, offsets: list[TopicPartition]) -> None:
        deadline = time.monotonic() + _SETTLE_S
        while True:
            try:
                done = self._fetcher.kafka.commit(offsets=offsets, asynchronous=False)
                failed = next((one.error for one in done or () if one.error is not None), None)
                if failed is None:
                    return
                raise KafkaException(failed)
            except KafkaException as error:
                if error.args[0].code() not in UNSETTLED:
                    raise translated(error, f"committing for group {self._group!r}") from None
                if time.monotonic() > deadline:
                    raise LogUnavailable(
                        f"the group is dividing its partitions, was {error.args[0].name()!r}", hint="Poll, then retry"
                    ) from None
                time.sleep(_STEP_S)

    def offsets_of(self, positions: Mapping[Place, Position]) -> list[TopicPartition]:
        """As the client takes them. Raises NotShared, Fenced for partitions that are not this member's."""
        if self._group is None:
            raise NotShared("a broadcast consumer commits nothing", hint="Give it a group")
        if self._fetcher.fault is not None or not self._fetcher.owned.issuperset(positions):
            raise Fenced(f"the partitions are another member's now, committing for group {self._group!r}")
        there = self._places.names.there
        return [
            TopicPartition(there(place[0]), place[1], self._places.offset_behind(place, at))
            for place, at in positions.items()
        ]

    def group_metadata(self) -> Any:
        """What a transaction shows, so that the brokers can tell a zombie from the member."""
        return self._fetcher.kafka.consumer_group_metadata()

    # -- called by the client inside poll, on our thread ---------------------------------------------

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        places = self._here(partitions)
        self._fetcher.add(places)
        if not places or self._told is None:
            return
        sought: dict[Place, int] = {}
        self._sought = sought
        try:
            self._tell(self._told.assigned(places))
        finally:
            self._sought = None
        if sought:
            self._fetcher.begin(places, sought)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        places = [place for place in self._here(partitions) if place in self._fetcher.owned]
        if places and self._told is not None:
            # Still owned while it is told, so that it can commit.
            self._tell(self._told.revoked(places))
        self._fetcher.drop(places)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._lose([place for place in self._here(partitions) if place in self._fetcher.owned])

    def _lose(self, places: Sequence[Place]) -> None:
        self._fetcher.drop(places)
        if places and self._told is not None:
            self._tell(self._told.lost(places))

    def _tell(self, telling: Coroutine[Any, Any, None]) -> None:
        if self._is_closed:
            telling.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(telling, self._loop).result()
        except Exception as error:
            self._raised = error

    def _here(self, partitions: Sequence[TopicPartition]) -> list[Place]:
        here = self._places.names.here
        return sorted((here(one.topic), one.partition) for one in partitions)

    # -- small things -------------------------------------------------------------------------------------------------

    def _on_thread(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        return self._loop.run_in_executor(self._thread, job)

    def _ensure_open(self) -> None:
        if self._is_closed:
            raise LogUnavailable("the consumer is closed")
