"""The event log's port on Apache Kafka."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confluent_kafka import Consumer

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Admin, Place
from candlewick.adapters._kafka.errors import TopicsMissing
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.log.kafka.catalogue import KafkaTopics
from candlewick.adapters.log.kafka.consumer import KafkaConsumer
from candlewick.adapters.log.kafka.epochs import LEDGER, entry, epochs
from candlewick.adapters.log.kafka.fetching import Fetcher
from candlewick.adapters.log.kafka.places import Places
from candlewick.adapters.log.kafka.producer import KafkaProducer
from candlewick.adapters.log.kafka.writing import Delivery, Room, Writer, failed
from candlewick.contracts.topics import CATALOGUE, Topic, UnknownTopic, dead_letters
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError, Conflict, Rejected
from candlewick.kernel.ids import IdSource
from candlewick.ports.log import Assignment, LogUnavailable, NewRecord, Position, Record, Start, TopicState

T = TypeVar("T")
_DEAD_LETTERS_S = 30 * 86_400
_NEWS_S = 1.0


class KafkaEventLog:
    """Keeps ``candlewick.ports.log.EventLog``. Topics are made by ``apply``, never in passing."""

    def __init__(
        self,
        brokers: str,
        clock: Clock,
        ids: IdSource,
        *,
        topics: Sequence[Topic] = CATALOGUE,
        options: KafkaOptions | None = None,
        unfinished: Sequence[str] = (),
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """``brokers`` is ``host:port`` divided by commas. ``unfinished``: transactional ids of this process; what a
        killed predecessor left open under them is ended by ``open``, so that nobody waits for its time-out.
        ``on_step`` is called at each of ``producer.STEPS`` of a commit, on the producer's thread; for tests."""
        self._brokers = brokers
        self._clock = clock
        self._ids = ids
        self._options = options or KafkaOptions()
        self._names = Names(topics, self._options.prefix)
        self._unfinished = tuple(unfinished)
        self._on_step = on_step
        self._admin = Admin(brokers, self._options)
        self._epochs: dict[str, int] = {}
        self._places = Places(self._admin, self._names, self._options, self._epochs, self._look)
        self._room = Room(self._options.queue_bytes)
        self._producers: list[KafkaProducer] = []
        self._consumers: list[KafkaConsumer] = []
        self._looker: Fetcher | None = None
        self._looking = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    # -- beginning and end ------------------------------------------------------------------------------------------

    async def apply(self) -> None:
        """Make the topics as the catalogue says. Raises Conflict for what cannot be changed in place."""
        left = await asyncio.to_thread(KafkaTopics(self._brokers, self._names.topics, self._options).apply)
        if left:
            one = left[0]
            raise Conflict(f"{one.what} of {one.topic!r} must be {one.wanted}, was {one.found!r}", hint=one.advice)

    async def open(self) -> None:
        """Raises TopicsMissing, Conflict (another partition count), LogUnavailable, KafkaRefused."""
        if self._pool is not None:
            raise Rejected("the log is open already")
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="log-ask")
        try:
            await self._ask(self._learn)
            await asyncio.gather(*[self._end_unfinished(one) for one in self._unfinished])
        except BaseException:
            await self.close()
            raise

    def _learn(self) -> None:
        """That the topics are there, and which life each is in."""
        names = [self._names.prefix + name for name in (*self._names.all(), LEDGER)]
        there = self._admin.topics(names)
        deadline = time.monotonic() + _NEWS_S
        while len(there) < len(names) and time.monotonic() < deadline:
            # Just made, perhaps: not every broker knows it at once.
            time.sleep(_NEWS_S / 10)
            there = self._admin.topics(names)
        missing = [name for name in names if name not in there]
        if missing:
            raise TopicsMissing(
                f"{len(missing)} topics are missing on the brokers, was {missing[0]!r} the first",
                hint="Run 'candlewick topics apply'",
            )
        for topic in self._names.all():
            found = len(there[self._names.there(topic)].partitions)
            if found != self._names.partitions(topic):
                raise Conflict(
                    f"topic {topic!r} must have {self._names.partitions(topic)} partitions, was {found}",
                    hint="A partition count never changes in place: see 'candlewick topics diff'",
                )
        ids = {name: str(there[name].topic_id) for name in names[:-1]}
        known = epochs(self._ledger(), ids)
        if len(known) < len(ids):
            self._enter({name: ids[name] for name in ids if name not in known})
            known = epochs(self._ledger(), ids)
        self._epochs.update(known)

    def _ledger(self) -> list[Record]:
        place = (LEDGER, 0)
        begins = self._places.offsets([place], EARLIEST)
        return self._look(begins, self._places.offsets([place], LATEST), 1 << 62)

    def _enter(self, new: Mapping[str, str]) -> None:
        """Write topics into the ledger that it does not know; whoever else does so now, the first is believed."""
        epoch = self._clock.now_ns() // NS_PER_SECOND
        writer = Writer(self._options.writing(self._brokers, "epochs", None), "epochs", self._options.headers)
        done = threading.Event()
        delivery = Delivery(len(new), lambda _: done.set())
        records = [
            (self._names.prefix + LEDGER, 0, NewRecord(LEDGER, name, entry(topic_id, epoch), b"", 0))
            for name, topic_id in new.items()
        ]
        writer.run(lambda: writer.produce(records, delivery))
        is_told = done.wait(2 * self._options.send_within_s)
        writer.close(self._options.answer_within_s)
        if delivery.error is not None:
            raise failed(delivery.error)
        if not is_told:
            raise LogUnavailable("the ledger of epochs could not be written")

    async def _end_unfinished(self, transactional_id: str) -> None:
        producer = self._producer("unfinished", transactional_id)
        try:
            await producer.begin()
        finally:
            await producer.close()

    async def close(self) -> None:
        await self._end([one.close for one in self._consumers], [one.close for one in self._producers])

    async def abandon(self) -> None:
        """Let go as a killed process would: nothing is flushed, ended or said to anybody. For tests."""
        await self._end([one.abandon for one in self._consumers], [one.abandon for one in self._producers])

    async def _end(self, *parts: Sequence[Callable[[], object]]) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        self._room.refuse(LogUnavailable("the log is closed"))
        for part in parts:
            for done in await asyncio.gather(*[one() for one in part], return_exceptions=True):  # type: ignore[call-overload]
                # Its time-out runs out instead; closing goes on.
                if isinstance(done, BaseException) and not isinstance(done, CandlewickError):
                    raise done
        looker, self._looker = self._looker, None
        if looker is not None:
            await asyncio.to_thread(looker.kafka.close)
        await asyncio.to_thread(pool.shutdown)

    # -- reading and writing ------------------------------------------------------------------------------------------

    async def producer(self, name: str, *, transactional_id: str | None = None) -> KafkaProducer:
        """``name`` says who writes; a transactional id fences the producer that had it before."""
        self._opened()
        producer = self._producer(name, transactional_id)
        self._producers.append(producer)
        await producer.begin()
        return producer

    def _producer(self, name: str, transactional_id: str | None) -> KafkaProducer:
        return KafkaProducer(
            Writer(self._options.writing(self._brokers, name, transactional_id), name, self._options.headers),
            self._names,
            self._options,
            self._epochs,
            self._room,
            transactional_id=transactional_id,
            on_step=self._on_step,
        )

    async def consumer(
        self,
        topics: Sequence[str],
        *,
        group: str | None,
        member: str,
        start: Start = "committed",
        on_assignment: Assignment | None = None,
    ) -> KafkaConsumer:
        self._opened()
        settings = self._options.reading(self._brokers, member, group, member)
        settings["auto.offset.reset"] = "latest" if start == "newest" and group is not None else "earliest"
        self._places.of(topics)
        consumer = KafkaConsumer(
            Consumer(settings),
            self._places,
            topics,
            group=group,
            member=member,
            start=start,
            on_assignment=on_assignment,
        )
        self._consumers.append(consumer)
        await consumer.begin()
        return consumer

    async def read_at(self, topic: str, partition: int, after: Position | None, limit: int) -> list[Record]:
        def job() -> list[Record]:
            place = (topic, partition)
            count = self._names.partitions(topic)
            if not 0 <= partition < count:
                raise UnknownTopic(f"topic {topic} has {count} partitions, was {partition!r}")
            begin = self._places.behind(place, after)
            end = self._places.offsets([place], LATEST)[place]
            return self._look({place: begin}, {place: end}, limit)

        return await self._ask(job)

    def _look(self, begins: Mapping[Place, int], ends: Mapping[Place, int], limit: int) -> list[Record]:
        """Records between offsets, by a client that is kept for such questions."""
        with self._looking:
            if self._looker is None:
                settings = self._options.reading(self._brokers, f"look-{self._ids.new()}", None, None)
                # It reads what is there already, so nothing is gained by waiting at the brokers for more.
                settings |= {"auto.offset.reset": "earliest", "enable.partition.eof": True, "fetch.wait.max.ms": 1}
                self._looker = Fetcher(Consumer(settings), self._names, self._epochs)
            self._looker.assign(begins)
            try:
                found = self._looker.read_to(ends, limit, self._options.answer_within_s)
            finally:
                self._looker.assign({})
        return [one for one in found if one.position.offset < ends[one.topic, one.partition]]

    # -- keeping ------------------------------------------------------------------------------------------------------

    async def describe(self) -> Sequence[TopicState]:
        """``records`` are an estimate where offsets have holes; ``bytes`` are records times what a few of them have,
        before compression."""
        return await self._ask(self._describe)

    def _describe(self) -> list[TopicState]:
        places = self._places.of(self._names.all())
        lows = self._places.offsets(places, EARLIEST)
        highs = self._places.offsets(places, LATEST)
        first = self._places.sample([place for place in places if highs[place] > lows[place]], lows, highs)
        states = []
        for name in self._names.all():
            mine = [record for record in first if record.topic == name]
            count = sum(highs[place] - lows[place] for place in places if place[0] == name)
            size = sum(len(r.key.encode()) + len(r.header) + len(r.value or b"") for r in mine)
            states.append(
                TopicState(
                    name,
                    self._names.partitions(name),
                    count,
                    count * size // len(mine) if mine else 0,
                    min((r.ts_append for r in mine), default=None),
                )
            )
        return states

    async def expire(self, now_ns: int) -> int:
        """Brokers apply age by themselves, a segment at a time; this does it to the record. An estimate is returned
        where offsets have holes. Compacted topics are the brokers' alone."""
        return await self._ask(lambda: self._expire(now_ns))

    def _expire(self, now_ns: int) -> int:
        gone: dict[Place, int] = {}
        count = 0
        for topic in self._names.topics:
            for name, kept_s in ((topic.name, topic.retention_s), (dead_letters(topic.name), _DEAD_LETTERS_S)):
                if name == topic.name and topic.cleanup == "compact":
                    continue
                places = self._places.of([name])
                lows = self._places.offsets(places, EARLIEST)
                for place, offset in self._places.since(places, now_ns - kept_s * NS_PER_SECOND).items():
                    if offset > lows[place]:
                        gone[self._names.there(name), place[1]] = offset
                        count += offset - lows[place]
        self._admin.delete_before(gone)
        return count

    async def check(self) -> str | None:
        """Asks whether every partition has a leader and replicas enough to take a record."""
        if self._pool is None:
            return "LOG_UNAVAILABLE: the log is closed"
        try:
            return await self._ask(self._check)
        except CandlewickError as error:
            return f"{error.code}: {error}"

    def _check(self) -> str | None:
        metadata = self._admin.metadata()
        silent, thin = [], []
        for name in map(self._names.there, self._names.all()):
            found = metadata.topics.get(name)
            if found is None or found.error is not None:
                return f"LOG_UNAVAILABLE: topic {name!r} cannot be read"
            for number, partition in found.partitions.items():
                if partition.leader < 0:
                    silent.append(f"{name}:{number}")
                elif len(partition.replicas) >= 3 and len(partition.isrs) < 2:
                    thin.append(f"{name}:{number}")
        if silent:
            return f"LOG_UNAVAILABLE: {len(silent)} partitions have no leader, {silent[0]} the first"
        if thin:
            return f"LOG_UNAVAILABLE: {len(thin)} partitions have one replica in sync, {thin[0]} the first"
        return None

    # -- small things -------------------------------------------------------------------------------------------------

    def pending_bytes(self) -> int:
        """Accepted and not yet confirmed by the brokers."""
        return self._room.used

    def transactional_ids(self) -> frozenset[str]:
        """Of the producers that this log made."""
        return frozenset(one.transactional_id for one in self._producers if one.transactional_id is not None)

    async def _ask(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._opened(), job)

    def _opened(self) -> ThreadPoolExecutor:
        if self._pool is None:
            raise LogUnavailable("the log is closed")
        return self._pool
