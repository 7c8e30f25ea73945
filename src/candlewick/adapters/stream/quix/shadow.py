"""An operator's new version beside the old one: begun from a savepoint, compared, then in its place, the old one kept.

A group of its own keeps the new one's positions and state. ``begin`` copies both from the old group while that one
works on; the new one then runs with ``suffix=SHADOW``, so that it only shows what it would write. ``compare`` says how
the two differ. When both are stopped, ``promote`` hands over what the new one alone has written by then, and from there
it runs without suffix. The old group stays as it was: the same handover in the other direction is the way back, until
``drop`` removes it. In between the old one is refused without suffix: it would write again what was handed over.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final
from uuid import UUID

import msgspec
from confluent_kafka import KafkaException, Message, Producer, TopicPartition

from candlewick.adapters._kafka.admin import LATEST, Admin, Place
from candlewick.adapters._kafka.errors import TopicsMissing, translated
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream._messages import CONFLATED
from candlewick.adapters.stream.quix import leaving
from candlewick.adapters.stream.quix.comparing import Comparison, Outputs, from_first_shown, newest, outputs_of
from candlewick.adapters.stream.quix.looking import Look, cause_of, header_of, id_of
from candlewick.adapters.stream.quix.options import SHADOW, StreamOptions, changelog_of, changelog_settings
from candlewick.adapters.stream.quix.progress import Progress
from candlewick.contracts.operators import Operator
from candlewick.contracts.topics import CATALOGUE, Topic, dead_letters
from candlewick.kernel.errors import Conflict
from candlewick.ports.log import LogUnavailable

__all__ = ["SHADOW", "Comparison", "Handover", "Standing", "Status"]

# Quix writes the positions that a changelog record belongs to here, as JSON of topic -> offset.
_PROCESSED: Final = "__processed_tp_offsets__"
# What is shown is kept as long as what is written, and may be as large.
_ALIKE: Final = (
    "retention.ms", "max.message.bytes", "message.timestamp.type", "min.insync.replicas",
    "unclean.leader.election.enable",
)  # fmt: skip
# Brokers write times by clocks of their own; an output is looked for from so long before its cause.
_CLOCKS_APART_MS: Final = 600_000
_POLL_S: Final = 0.1
# All of a state is copied in one.
_TRANSACTION_S: Final = 300.0
_MOST: Final = 100_000


class Standing(msgspec.Struct, frozen=True):
    """One group: who is at work, and how many offsets of the input it has before it."""

    group: str
    members: int
    lag: int


class Status(msgspec.Struct, frozen=True):
    """Both groups, and what has been done so far. Kafka forgets that after its ``offsets.retention.minutes``."""

    old: Standing
    new: Standing
    begun: bool
    promoted: bool


def _silent(line: str) -> None:
    """No one is told."""


class Handover:
    """From one group to another; names without the installation's prefix. Methods wait and are called on a thread;
    ``say`` is told of what takes long. Raises LogUnavailable, TopicsMissing, and Conflict when things are not as the
    step needs them."""

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
        say: Callable[[str], None] = _silent,
    ) -> None:
        self._brokers, self._say = brokers, say
        self._options = options or KafkaOptions()
        self._stream = stream or StreamOptions()
        self._names = Names(topics, self._options.prefix)
        self._admin = Admin(brokers, self._options)
        self._look = Look(brokers, self._admin, self._options)
        self._old, self._new = (self._options.prefix + group for group in (old, new))
        self._inputs = tuple(self._names.there(topic) for topic in operator.consumes)
        self._counts = {self._names.there(topic): self._names.partitions(topic) for topic in operator.consumes}
        written = (*operator.produces, *(dead_letters(topic) for topic in operator.consumes))
        self._written = {topic: self._names.there(topic) for topic in written}
        self._places: list[Place] = [(name, number) for name, count in self._counts.items() for number in range(count)]

    # -- the savepoint ------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """The new group has the old one's state and positions, as of one commit of each partition; returns how many
        entries of state. All or nothing. Raises Conflict when the new group or the shadow topics are not new."""
        if _is_anywhere(self._committed(self._new)):
            raise Conflict(f"the new version's group must be new, was {self._here(self._new)!r}")
        positions = self._committed(self._old)
        if not _is_anywhere(positions):
            raise Conflict(f"there must be a version to begin from, was nothing in group {self._here(self._old)!r}")
        self._make_topics()
        count = 0
        with self._transaction(f"{self._new}.savepoint") as producer:
            for topic in self._inputs:
                source, target = changelog_of(self._old, topic), changelog_of(self._new, topic)
                self._say(f"copying the state of {self._here(topic)}")
                newest_of: dict[tuple[int, bytes], Message] = {}
                for message in self._look.read(source):
                    partition, key = message.partition() or 0, message.key() or b""
                    newest_of[partition, key] = message
                    # A commit's records carry the position it reached: state and position as of the newest one.
                    processed = msgspec.json.decode(header_of(message, _PROCESSED) or b"null") or {}
                    if topic in processed:
                        positions[topic, partition] = processed[topic] + 1
                for message in newest_of.values():
                    if message.value() is not None:
                        _copy(producer, message, target)
                        count += 1
            for group in (self._new, f"{self._new}.begun"):
                self._advance(producer, group, positions)
        return count

    def _make_topics(self) -> None:
        shown = list(self._written.values())
        there = self._admin.topics([*self._inputs, *shown])
        if missing := [name for name in (*self._inputs, *shown) if name not in there]:
            raise TopicsMissing(f"topic must be there, was {missing[0]!r}", hint="Run 'candlewick topics apply'")
        wanted = []
        for name in self._inputs:
            replicas = self._stream.changelog_replicas or len(there[name].partitions[0].replicas)
            settings = changelog_settings(self._options, self._stream, replicas)
            wanted.append((changelog_of(self._new, name), len(there[name].partitions), replicas, settings))
        known = self._admin.settings(shown)
        for name in shown:
            replicas = len(there[name].partitions[0].replicas)
            settings = {key: value for key, value in known.get(name, {}).items() if key in _ALIKE and value is not None}
            wanted.append((name + SHADOW, len(there[name].partitions), replicas, settings))
        names = [name for name, *_ in wanted]
        for name in self._admin.topics(names):
            if not self._look.is_empty(name):
                raise Conflict(
                    f"topics of a new version must be empty, was {name!r}",
                    hint="A version is in shadow, or was left there: promote it or drop it first",
                )
        self._admin.create(wanted)
        self._wait(lambda: len(self._admin.topics(names)) == len(names), f"is not known to them yet: {names[0]!r}")

    # -- comparing ----------------------------------------------------------------------------------------------------

    def compare(self, *, most: int = _MOST) -> Comparison:
        """Outputs of messages that both have processed since the new one began or last took over.

        Bounded: at most ``most`` messages, the newest; of the product's topics what was written since ten minutes
        before the first of them; and in memory an id of each message and a digest of each output. Outputs that are
        conflated are left out: which of them are sent is a matter of time. Raises Conflict when it has not begun."""
        old, new = self._committed(self._old), self._begun()
        marks = [self._committed(f"{group}.promoted") for group in (self._old, self._new)]
        marks.append(self._committed(f"{self._new}.begun"))
        begins = {place: max(0, *(mark[place] for mark in marks)) for place in self._places}
        ends = {place: max(begin, min(old[place], new[place])) for place, begin in begins.items()}
        firsts = newest(begins, ends, most, lambda at_ms: self._look.since(self._places, at_ms))
        self._say(f"reading {sum(ends[place] - firsts[place] for place in ends)} offsets that both have processed")
        causes, at_ms = self._causes(firsts, ends)
        compared = [topic for topic in self._written if topic not in CONFLATED] if causes else []
        shown = {topic: self._outputs(self._written[topic] + SHADOW, causes, at_ms) for topic in compared}
        if not any(map(_is_anywhere, marks)):
            # Kafka has forgotten where it began.
            causes = from_first_shown(causes, {cause for outputs in shown.values() for cause in outputs})
        found = Comparison(messages=len(causes))
        for topic, outputs in shown.items():
            found.add(topic, causes, self._outputs(self._written[topic], causes, at_ms), outputs)
        return found

    def _outputs(self, topic: str, causes: Mapping[UUID, Place], at_ms: int) -> Outputs:
        self._say(f"reading what {len(causes)} messages became in {self._here(topic)}")
        return outputs_of(self._since(topic, at_ms), causes)

    # -- taking over --------------------------------------------------------------------------------------------------

    def promote(self) -> int:
        """What the new one alone has written goes into the product's topics; returns how many records. Done again, it
        does nothing. Raises Conflict while either runs, or when the new one is behind or has not begun."""
        for group in (self._old, self._new):
            self._check_stopped(group)
        old, new = self._committed(self._old), self._begun()
        if not _is_anywhere(old):
            raise Conflict(f"there must be a version to take over from, was nothing in group {self._here(self._old)!r}")
        behind = [place for place, at in old.items() if at > new[place]]
        if behind:
            raise Conflict(
                f"the new version must be as far as the old one, was behind in {len(behind)} partitions",
                hint="Start it again as a shadow until it has caught up",
            )
        done = self._committed(f"{self._new}.promoted")
        causes, at_ms = self._causes({place: max(at, done[place]) for place, at in old.items()}, new)
        counted: Counter[str] = Counter()
        with self._transaction(f"{self._new}.promotion") as producer:
            for topic, there in self._written.items():
                self._say(f"handing over {topic}")
                for message in self._since(there + SHADOW, at_ms) if causes else ():
                    if cause_of(message) in causes:
                        _copy(producer, message, there)
                        counted[topic] += 1
            self._advance(producer, f"{self._new}.promoted", new)
            for group, marked in leaving.marks(self._old, self._new, self._places[0]).items():
                self._advance(producer, group, marked)
        # What was handed over is of no more use, and nothing of it can come a second time.
        shown = [place for there in self._written.values() for place in self._look.places(there + SHADOW)]
        self._admin.delete_before(self._admin.offsets(shown, LATEST))
        return counted.total()

    # -- looking and leaving ------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Where both stand. A group that never was stands at the input's beginning."""
        old, new = (self._standing(group) for group in (self._old, self._new))
        has_begun = _is_anywhere(self._committed(self._new))
        return Status(old, new, has_begun, _is_anywhere(self._committed(f"{self._new}.promoted")))

    def _standing(self, group: str) -> Standing:
        progress = Progress(self._brokers, self._admin, self._options, group, self._counts)
        try:
            left = progress.left(progress.ends())
            at = progress.committed(list(left)) if left else {}
        finally:
            progress.close()
        lag = sum(max(end - at[place], 0) for place, end in left.items())
        return Standing(self._here(group), self._admin.members(group), lag)

    def drop(self) -> list[str]:
        """The new group, its state on the brokers and the shadow topics are gone; returns the names of the topics. What
        its processes keep on their disks is theirs. Raises Conflict while it runs."""
        self._check_stopped(self._new)
        # Positions first: without them a state is of no harm, without a state they would be.
        self._admin.forget([self._new, f"{self._new}.begun", f"{self._new}.promoted", leaving.mark(self._new)])
        names = [changelog_of(self._new, topic) for topic in self._inputs]
        names += [there + SHADOW for there in self._written.values()]
        found = sorted(self._admin.topics(names))
        self._admin.delete(found)
        self._wait(lambda: not self._admin.topics(found), "is still known to them")
        return found

    # -- asking -------------------------------------------------------------------------------------------------------

    def _here(self, name: str) -> str:
        return self._names.here(name)

    def _committed(self, group: str) -> dict[Place, int]:
        return self._look.committed(group, self._places)

    def _begun(self) -> dict[Place, int]:
        """Positions of the new group. Raises Conflict when it has none."""
        found = self._committed(self._new)
        if not _is_anywhere(found):
            raise Conflict(
                f"the new version must have begun, was nothing in group {self._here(self._new)!r}",
                hint="Begin with 'candlewick shadow begin'",
            )
        return found

    def _check_stopped(self, group: str) -> None:
        if members := self._admin.members(group):
            raise Conflict(
                f"group {self._here(group)!r} must be stopped, was at work with {members} members",
                hint=f"Stop its processes; one that was killed counts for {self._options.session_s:g} s more",
            )

    def _causes(self, begins: Mapping[Place, int], ends: Mapping[Place, int]) -> tuple[dict[UUID, Place], int]:
        """Ids of the input messages between these positions, in the order of the log, and when the first was appended
        (ms)."""
        found: dict[UUID, Place] = {}
        at_ms = 1 << 62
        for topic in self._inputs:
            for message in self._look.read(topic, begins, ends):
                found[id_of(message)] = topic, message.partition() or 0
                at_ms = min(at_ms, message.timestamp()[1])
        return found, at_ms

    def _since(self, topic: str, at_ms: int) -> Iterable[Message]:
        """What was appended since a time, with room for clocks that differ."""
        begins = self._look.since(self._look.places(topic), at_ms - _CLOCKS_APART_MS)
        return self._look.read(topic, begins)

    def _wait(self, until: Callable[[], bool], what: str) -> None:
        """Brokers learn of topics one by one."""
        deadline = time.monotonic() + self._options.answer_within_s
        while not until():
            if time.monotonic() > deadline:
                raise LogUnavailable(f"what was asked of the brokers {what}")
            time.sleep(_POLL_S)

    # -- writing ------------------------------------------------------------------------------------------------------

    def _advance(self, producer: Producer, group: str, positions: Mapping[Place, int]) -> None:
        client = self._look.client(group)
        try:
            offsets = [TopicPartition(*place, at) for place, at in positions.items() if at >= 0]
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


def _is_anywhere(positions: Mapping[Place, int]) -> bool:
    return any(at >= 0 for at in positions.values())


def _copy(producer: Producer, message: Message, topic: str) -> None:
    """To the same partition of another topic, once there is room."""
    while True:
        try:
            producer.produce(
                topic,
                message.value(),
                message.key(),
                partition=message.partition() or 0,
                headers=message.headers(),
            )
        except BufferError:
            producer.poll(_POLL_S)
        else:
            producer.poll(0)
            return
