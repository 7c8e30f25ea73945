"""An operator's new version beside the old one: begun from a savepoint, compared, then in its place, the old one kept.

A group of its own keeps the new one's positions and state. ``begin`` copies both from the old group while that one
works on; the new one then runs with ``suffix=SHADOW``, so that it only shows what it would write. ``compare`` says how
the two differ. When both are stopped, ``promote`` hands over what the new one alone has written by then, and from there
it runs without suffix. The old group stays as it was: the same handover in the other direction is the way back.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Admin, Place
from candlewick.adapters._kafka.errors import translated
from candlewick.adapters._kafka.names import HEADER, Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream._messages import CONFLATED
from candlewick.adapters.stream.quix.options import StreamOptions, changelog_of, changelog_settings
from candlewick.contracts import codec
from candlewick.contracts.operators import Operator
from candlewick.contracts.topics import CATALOGUE, Topic, dead_letters
from candlewick.kernel.errors import Conflict
from candlewick.ports.log import LogUnavailable

SHADOW = ".shadow"
# Quix writes the positions that a changelog record belongs to here, as JSON of topic -> offset.
_PROCESSED = "__processed_tp_offsets__"
_KEPT_MS = 7 * 86_400_000
_POLL_S = 0.1
# All of a state is copied in one.
_TRANSACTION_S = 300.0
_EXAMPLES = 5


class Comparison(msgspec.Struct):
    """Outputs of the messages that both versions have processed, paired by the message they were made from."""

    messages: int = 0
    equal: int = 0
    different: int = 0
    only_old: int = 0
    only_new: int = 0
    examples: list[str] = msgspec.field(default_factory=list)
    """Keys and topics of the first that differ."""


class Handover:
    """From one group to another; names without the installation's prefix. Methods wait and are called on a thread.
    Raises LogUnavailable, and Conflict when things are not as the step needs them."""

    def __init__(
        self,
        brokers: str,
        operator: Operator,
        *,
        old: str,
        new: str,
        topics: Sequence[Topic] = CATALOGUE,
        options: KafkaOptions | None = None,
        stream: StreamOptions | None = None,
    ) -> None:
        self._brokers = brokers
        self._options = options or KafkaOptions()
        self._stream = stream or StreamOptions()
        self._names = Names(topics, self._options.prefix)
        self._admin = Admin(brokers, self._options)
        self._old, self._new = (self._options.prefix + group for group in (old, new))
        self._inputs = tuple(operator.consumes)
        self._written = (*operator.produces, *(dead_letters(topic) for topic in operator.consumes))

    # -- the savepoint ------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """The new group has the old one's state and positions, as of one commit of each partition; returns how many
        entries of state. All or nothing. Raises Conflict when the new group has positions already."""
        if any(offset >= 0 for offset in self._committed(self._new).values()):
            raise Conflict(f"the new version's group must be new, was {self._new!r}")
        self._make_topics()
        positions = dict(self._committed(self._old))
        count = 0
        with self._transaction(f"{self._new}.savepoint") as producer:
            for topic in self._inputs:
                there = self._names.there(topic)
                source, target = changelog_of(self._old, there), changelog_of(self._new, there)
                newest: dict[tuple[int, bytes], Message] = {}
                for message in self._read(source):
                    partition, key = message.partition() or 0, message.key() or b""
                    newest[partition, key] = message
                    # A commit's records carry the position it reached: state and position as of the newest one.
                    processed = msgspec.json.decode(_header(message, _PROCESSED) or b"null") or {}
                    if there in processed:
                        positions[there, partition] = processed[there] + 1
                for (partition, key), message in newest.items():
                    if message.value() is not None:
                        producer.produce(target, message.value(), key, partition=partition, headers=message.headers())
                        producer.poll(0)
                        count += 1
            begun = {place: at for place, at in positions.items() if at >= 0}
            for group in (self._new, f"{self._new}.begun"):
                self._advance(producer, group, begun)
        return count

    def _make_topics(self) -> None:
        inputs = [self._names.there(topic) for topic in self._inputs]
        shown = [self._names.there(topic) for topic in self._written]
        there = self._admin.topics([*inputs, *shown])
        wanted = []
        for name in inputs:
            replicas = self._stream.changelog_replicas or len(there[name].partitions[0].replicas)
            settings = changelog_settings(self._options, self._stream, replicas)
            wanted.append((changelog_of(self._new, name), len(there[name].partitions), replicas, settings))
        for name in shown:
            replicas = len(there[name].partitions[0].replicas)
            wanted.append((name + SHADOW, len(there[name].partitions), replicas, {"retention.ms": str(_KEPT_MS)}))
        self._admin.create(wanted)
        deadline = time.monotonic() + self._options.answer_within_s
        names = [name for name, *_ in wanted]
        while len(self._admin.topics(names)) < len(names):
            if time.monotonic() > deadline:
                raise LogUnavailable(f"new topics are not known to the brokers yet, was {names[0]!r}")
            time.sleep(_POLL_S)

    # -- comparing ----------------------------------------------------------------------------------------------------

    def compare(self) -> Comparison:
        """Of the messages that both have processed and of which the new one has shown something. Outputs that are
        conflated are left out: which of them are sent is a matter of time."""
        old, new = self._committed(self._old), self._committed(self._new)
        shown: dict[str, dict[UUID, list[Message]]] = {}
        kept: dict[str, dict[UUID, list[Message]]] = {}
        for topic in self._written:
            if topic not in CONFLATED:
                shown[topic] = self._by_cause(self._names.there(topic) + SHADOW)
                kept[topic] = self._by_cause(self._names.there(topic))
        begins = self._positions_begun()
        ends = {place: min(old[place], new[place]) for place in old}
        causes = self._causes({place: begins.get(place, 0) for place in ends}, ends)
        found = Comparison(messages=len(causes))
        for topic, outputs in shown.items():
            for cause in causes:
                ours, theirs = outputs.get(cause, []), kept[topic].get(cause, [])
                for mine, its in zip(ours, theirs, strict=False):
                    if (mine.key(), mine.value()) == (its.key(), its.value()):
                        found.equal += 1
                    else:
                        found.different += 1
                        if len(found.examples) < _EXAMPLES:
                            found.examples.append(f"{topic} {(mine.key() or b'').decode(errors='replace')}")
                found.only_new += max(len(ours) - len(theirs), 0)
                found.only_old += max(len(theirs) - len(ours), 0)
        return found

    def _positions_begun(self) -> dict[Place, int]:
        return {
            (one.topic, one.partition): one.offset
            for one in self._asked(f"{self._new}.begun", self._places())
            if one.offset >= 0
        }

    # -- taking over --------------------------------------------------------------------------------------------------

    def promote(self) -> int:
        """What the new one alone has written goes into the product's topics; returns how many records. Done again, it
        does nothing. Raises Conflict while either runs, or when the new one is behind."""
        for group in (self._old, self._new):
            if members := self._members(group):
                raise Conflict(f"group {group!r} must be stopped, was at work with {members} members")
        old, new = self._committed(self._old), self._committed(self._new)
        behind = [place for place, at in old.items() if at > new[place]]
        if behind:
            raise Conflict(
                f"the new version must be as far as the old one, was behind in {len(behind)} partitions",
                hint="Start it again as a shadow until it has caught up",
            )
        done = {(one.topic, one.partition): one.offset for one in self._asked(f"{self._new}.promoted", self._places())}
        begins = {place: max(at, done[place]) for place, at in old.items()}
        causes = self._causes(begins, new)
        counted: Counter[str] = Counter()
        with self._transaction(f"{self._new}.promotion") as producer:
            for topic in self._written:
                there = self._names.there(topic)
                for message in self._read(there + SHADOW):
                    if _cause(message) in causes:
                        producer.produce(
                            there,
                            message.value(),
                            message.key(),
                            partition=message.partition() or 0,
                            headers=message.headers(),
                        )
                        producer.poll(0)
                        counted[topic] += 1
            self._advance(producer, f"{self._new}.promoted", {place: at for place, at in new.items() if at >= 0})
        return counted.total()

    def _members(self, group: str) -> int:
        client = AdminClient(self._options.common(self._brokers, "handover"))
        future = client.describe_consumer_groups([group], request_timeout=self._options.answer_within_s)[group]
        try:
            return len(future.result().members)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise translated(error, "asking who is at work") from None

    # -- reading and writing ------------------------------------------------------------------------------------------

    def _places(self) -> list[Place]:
        return [
            (self._names.there(topic), number)
            for topic in self._inputs
            for number in range(self._names.partitions(topic))
        ]

    def _asked(self, group: str, places: Sequence[Place]) -> list[TopicPartition]:
        client = self._client(group)
        try:
            asked = [TopicPartition(*place) for place in places]
            found: list[TopicPartition] = client.committed(asked, self._options.answer_within_s)
            return found
        except KafkaException as error:
            raise translated(error, "asking for a group's positions") from None
        finally:
            client.close()

    def _committed(self, group: str) -> dict[Place, int]:
        return {(one.topic, one.partition): one.offset for one in self._asked(group, self._places())}

    def _causes(self, begins: Mapping[Place, int], ends: Mapping[Place, int]) -> set[UUID]:
        """Ids of the input messages between these positions."""
        found = set()
        for topic in self._inputs:
            there = self._names.there(topic)
            first = {number: max(at, 0) for (name, number), at in begins.items() if name == there}
            last = {number: at for (name, number), at in ends.items() if name == there}
            for message in self._read(there, first, last):
                found.add(codec.decode_envelope(_header(message, HEADER) or b"").id)
        return found

    def _by_cause(self, topic: str) -> dict[UUID, list[Message]]:
        found = defaultdict(list)
        for message in self._read(topic):
            found[_cause(message)].append(message)
        return found

    def _read(
        self, topic: str, begins: Mapping[int, int] | None = None, ends: Mapping[int, int] | None = None
    ) -> Iterator[Message]:
        """All that is visible now between two positions of each partition, in its order."""
        places = [(topic, number) for number in range(len(self._admin.topics([topic])[topic].partitions))]
        lows, highs = self._admin.offsets(places, EARLIEST), self._admin.offsets(places, LATEST)
        first = {number: max((begins or {}).get(number, 0), lows[topic, number]) for _, number in places}
        last = {number: min((ends or {}).get(number, 1 << 62), highs[topic, number]) for _, number in places}
        open_ = {number for _, number in places if first[number] < last[number]}
        client = self._client(f"{self._new}.look")
        try:
            client.assign([TopicPartition(topic, number, first[number]) for number in open_])
            while open_:
                message = client.poll(self._options.answer_within_s)
                if message is None:
                    raise LogUnavailable(f"the brokers give nothing of what they have, was {topic!r}")
                number, problem = message.partition() or 0, message.error()
                if problem is not None and problem.code() != KafkaError._PARTITION_EOF:
                    continue
                if problem is not None or (message.offset() or 0) >= last[number]:
                    open_.discard(number)
                elif number in open_:
                    yield message
                    if (message.offset() or 0) + 1 >= last[number]:
                        open_.discard(number)
        finally:
            client.close()

    def _client(self, group: str) -> Consumer:
        settings: dict[str, Any] = self._options.reading(self._brokers, "handover", None, None)
        # One by one, not in batches: so being told of the end is sound.
        return Consumer(settings | {"group.id": group, "enable.partition.eof": True, "fetch.wait.max.ms": 5})

    def _advance(self, producer: Producer, group: str, positions: Mapping[Place, int]) -> None:
        client = self._client(group)
        try:
            offsets = [TopicPartition(*place, at) for place, at in positions.items()]
            if offsets:
                group_now = client.consumer_group_metadata()
                producer.send_offsets_to_transaction(offsets, group_now, self._options.transaction_s)
        finally:
            client.close()

    @contextmanager
    def _transaction(self, name: str) -> Iterator[Producer]:
        options = replace(self._options, transaction_s=max(self._options.transaction_s, _TRANSACTION_S))
        producer = Producer(options.writing(self._brokers, "handover", name.removeprefix(options.prefix)))
        try:
            producer.init_transactions(self._options.send_within_s)
            producer.begin_transaction()
            try:
                yield producer
                producer.commit_transaction(options.transaction_s)
            except BaseException:
                producer.abort_transaction(options.transaction_s)
                raise
        except KafkaException as error:
            raise translated(error, "handing over") from None


def _header(message: Message, name: str) -> bytes | None:
    for key, value in message.headers() or ():
        if key == name:
            return value if isinstance(value, bytes) else str(value).encode()
    return None


def _cause(message: Message) -> UUID:
    """The input message an output was made from; a dead letter is that message itself."""
    envelope = codec.decode_envelope(_header(message, HEADER) or b"")
    return envelope.causation_id or envelope.id
