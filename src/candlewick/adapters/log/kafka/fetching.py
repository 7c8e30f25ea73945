"""One client that reads, and what it has brought and nobody has taken yet. Used on one thread at a time.

The client fetches ahead on threads of its own, bounded by ``fetch_bytes``; when nobody polls, it stops fetching.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from candlewick.adapters._kafka.admin import Place
from candlewick.adapters._kafka.errors import is_fenced, translated
from candlewick.adapters._kafka.names import HEADER, Names
from candlewick.kernel.clock import NS_PER_MS
from candlewick.kernel.errors import CandlewickError, Fenced
from candlewick.ports.log import LogCorrupt, Position, Record

# How soon a poll that nobody waits for any more, and a close, get the thread back.
_SLICE_S = 0.1
_STEP_S = 0.005
_METADATA_S = 10.0
# The client makes the whole list at once; a poll for more takes what is there again.
_CONSUME_MOST = 10_000


class Fetcher:
    """Places are (topic of the catalogue, partition)."""

    def __init__(self, kafka: Consumer, names: Names, epochs: Mapping[str, int]) -> None:
        """``epochs`` by names on the brokers; a topic that is not in it has epoch 0."""
        self.kafka = kafka
        self.owned: set[Place] = set()
        #: Set from any thread: the fetch under way returns soon with what it has.
        self.hurry = threading.Event()
        self.fault: BaseException | None = None
        self._names = names
        self._epochs = epochs
        self._held: deque[Record | CandlewickError] = deque()
        self._next: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._last: dict[Place, Position] = {}
        self._met: set[str] = set()

    # -- what is read -----------------------------------------------------------------------------------------------

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Read these partitions and no others, from these offsets on."""
        self._forget(self.owned)
        self.owned = set(offsets)
        self._next.update(offsets)
        for topic in {place[0] for place in offsets} - self._met:
            # Else the client looks for a topic's leaders at its next round, up to a second later.
            try:
                self.kafka.list_topics(self._names.prefix + topic, timeout=_METADATA_S)
            except KafkaException as error:
                raise translated(error, f"asking for topic {topic!r}") from None
            self._met.add(topic)
        self.kafka.assign([self._there(place, offset) for place, offset in offsets.items()])

    def add(self, places: Iterable[Place]) -> None:
        """The group gave these partitions; where they begin the client asks itself."""
        self.owned.update(places)

    def begin(self, places: Iterable[Place], offsets: Mapping[Place, int]) -> None:
        """Read what the group has just given: from these offsets on, the rest from where the group is. Called while the
        client tells of them, once."""
        self.kafka.incremental_assign([self._there(place, offsets.get(place, OFFSET_INVALID)) for place in places])
        self._next.update(offsets)

    def drop(self, places: Iterable[Place]) -> None:
        """What is held of these is nobody's any more."""
        gone = set(places)
        self.owned -= gone
        self._forget(gone)

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """Go on elsewhere in partitions that are read."""
        self._forget(offsets)
        for place, offset in offsets.items():
            self._seek(self._there(place, offset))
            self._next[place] = offset

    def _seek(self, where: TopicPartition) -> None:
        # Until its fetching has begun, a partition cannot be sought in.
        deadline = time.monotonic() + 5.0
        while True:
            try:
                self.kafka.seek(where)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:
                    raise translated(error, "seeking") from None
                self._pull(1, _STEP_S)
            else:
                # Anything pulled while waiting was from the old place.
                self._forget([(self._names.here(where.topic), where.partition)])
                return

    def _forget(self, places: Iterable[Place]) -> None:
        gone = set(places)
        kept = [one for one in self._held if not isinstance(one, Record) or (one.topic, one.partition) not in gone]
        if len(kept) != len(self._held):
            self._held = deque(kept)
        for place in gone:
            self._next.pop(place, None)
            self._ends.pop(place, None)
            self._last.pop(place, None)

    # -- reading ----------------------------------------------------------------------------------------------------

    def fetch(self, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        """The next records; waits for the first. Raises LogCorrupt, Fenced, whatever a callback raised."""
        deadline = time.monotonic() + timeout_s
        while True:
            if not self._held:
                left = deadline - time.monotonic()
                self._pull(1, max(min(left, _SLICE_S), 0.0))
            if self._held and len(self._held) < max_records:
                self._pull(max_records - len(self._held), 0.0)
            if self._held or self.hurry.is_set() or time.monotonic() >= deadline:
                return self._hand(max_records, max_bytes)

    def warm(self, ends: Mapping[Place, int], timeout_s: float) -> None:
        """Wait until the first record of those before ``ends`` is here, if there should be one."""
        deadline = time.monotonic() + timeout_s
        if any(self._next.get(place, 0) < end for place, end in ends.items()):
            while not self._held and time.monotonic() < deadline:
                self._pull(1, _SLICE_S)

    def read_to(self, ends: Mapping[Place, int], limit: int, timeout_s: float) -> list[Record]:
        """All before ``ends`` of the partitions that are read, ``limit`` at most."""
        found: list[Record] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < limit and any(self.place_of(place) < end for place, end in ends.items()):
            if time.monotonic() > deadline:
                raise translated(KafkaException(KafkaError(KafkaError._TIMED_OUT)), "reading")
            found += self.fetch(limit - len(found), 1 << 30, _SLICE_S)
        return found

    def place_of(self, place: Place) -> int:
        """The offset behind all that was handed out, -1: unknown. Holes behind it are included for a client that is
        told of the end of partitions."""
        at = self._next.get(place, -1)
        end = self._ends.get(place)
        if end is None or end <= at:
            return at
        is_held = any(isinstance(one, Record) and (one.topic, one.partition) == place for one in self._held)
        return at if is_held else end

    def last_of(self, place: Place) -> Position | None:
        """The newest record handed out since reading began there."""
        return self._last.get(place)

    def give_back(self, records: Sequence[Record | CandlewickError]) -> None:
        """What was handed out and reached nobody; the next fetch gives it again."""
        for record in reversed(records):
            if not isinstance(record, Record):
                self._held.appendleft(record)
                continue
            place = (record.topic, record.partition)
            if place in self.owned:
                self._held.appendleft(record)
                self._next[place] = record.position.offset
                self._last.pop(place, None)

    def _hand(self, max_records: int, max_bytes: int) -> list[Record]:
        found: list[Record] = []
        size = 0
        held = self._held
        while held and len(found) < max_records:
            one = held[0]
            if not isinstance(one, Record):
                if found:
                    break
                held.popleft()
                raise one
            size += len(one.key) + len(one.header) + (len(one.value) if one.value is not None else 0)
            if found and size > max_bytes:
                break
            held.popleft()
            found.append(one)
            place = (one.topic, one.partition)
            self._next[place] = one.position.offset + 1
            self._last[place] = one.position
        return found

    def _pull(self, count: int, timeout_s: float) -> None:
        if self.fault is not None:
            raise self.fault
        try:
            messages = self.kafka.consume(min(count, _CONSUME_MOST), timeout_s)
        except KafkaException as error:
            raise translated(error, "reading") from None
        for message in messages:
            problem = message.error()
            place = (self._names.here(message.topic() or ""), message.partition())
            if problem is None:
                # A callback inside consume may have taken the partition of a message that came with it.
                if place in self.owned:
                    self._held.append(self._record(message, place))
            elif problem.code() == KafkaError._PARTITION_EOF:
                if place in self.owned:
                    self._ends[place] = message.offset()
            elif problem.code() == KafkaError._FATAL or problem.fatal() or is_fenced(problem):
                self.fault = Fenced(f"another consumer has taken the seat: {problem.str()}, was {problem.name()!r}")
            else:
                told = translated(problem, f"reading {place}")
                if isinstance(told, LogCorrupt):
                    self._held.append(told)
        if self.fault is not None and not self._held:
            raise self.fault

    def _record(self, message: Message, place: Place) -> Record | CandlewickError:
        header = b""
        for name, value in message.headers() or ():
            if name == HEADER:
                header = value or b""
        offset = message.offset()
        try:
            key = (message.key() or b"").decode()
        except UnicodeDecodeError:
            return LogCorrupt(f"a record's key is no text in {place} at {offset}, was {message.key()!r}")
        position = Position(self._epochs.get(message.topic(), 0), offset)
        at_ms = message.timestamp()[1]
        return Record(place[0], place[1], position, key, message.value(), header, at_ms * NS_PER_MS)

    def _there(self, place: Place, offset: int) -> TopicPartition:
        return TopicPartition(self._names.prefix + place[0], place[1], offset)
