"""What two versions of an operator made of the same messages, held beside each other."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import blake2b
from uuid import UUID

import msgspec
from confluent_kafka import Message

from candlewick.adapters._kafka.admin import Place
from candlewick.adapters.stream.quix.looking import cause_of

#: By the message that they were made from: key and digest of each output, in its order.
Outputs = Mapping[UUID, list[tuple[bytes, bytes]]]
_EXAMPLES = 5
_DIGEST_BYTES = 16
# Beyond every time in ms that a broker can have written.
_LATEST_MS = 1 << 42


class Comparison(msgspec.Struct):
    """Outputs of messages that both versions have processed, paired by the message they were made from."""

    messages: int = 0
    equal: int = 0
    different: int = 0
    only_old: int = 0
    only_new: int = 0
    examples: list[str] = msgspec.field(default_factory=list)
    """Topics and keys of the first that differ."""

    @property
    def differs(self) -> bool:
        """Whether the two have not written the same."""
        return self.different + self.only_old + self.only_new > 0

    def add(self, topic: str, causes: Iterable[UUID], old: Outputs, new: Outputs) -> None:
        """What both wrote to one topic."""
        for cause in causes:
            ours, theirs = new.get(cause, []), old.get(cause, [])
            common = min(len(ours), len(theirs))
            equal = sum(mine == its for mine, its in zip(ours, theirs, strict=False))
            self.equal += equal
            self.different += common - equal
            self.only_new += len(ours) - common
            self.only_old += len(theirs) - common
            if ours != theirs and len(self.examples) < _EXAMPLES:
                self.examples.append(f"{topic} {(ours or theirs)[0][0].decode(errors='replace')}")


def outputs_of(messages: Iterable[Message], causes: Collection[UUID]) -> Outputs:
    """Of these causes alone, and of each output no more than what tells it from another."""
    found = defaultdict(list)
    for message in messages:
        cause = cause_of(message)
        if cause in causes:
            value = message.value()
            digest = b"" if value is None else blake2b(value, digest_size=_DIGEST_BYTES).digest()
            found[cause].append((message.key() or b"", digest))
    return found


def newest(
    begins: Mapping[Place, int],
    ends: Mapping[Place, int],
    most: int,
    since: Callable[[int], Mapping[Place, int]],
) -> dict[Place, int]:
    """Where to begin so that at most ``most`` offsets lie before ``ends``: the newest of all partitions together.
    ``since(ms)`` gives each partition's first offset that was appended at or after a time."""

    def first(at_ms: int) -> dict[Place, int]:
        found = since(at_ms)
        return {place: min(max(found[place], begin), ends[place]) for place, begin in begins.items()}

    def count(firsts: Mapping[Place, int]) -> int:
        return sum(max(ends[place] - at, 0) for place, at in firsts.items())

    if count(begins) <= most:
        return dict(begins)
    too_many, fits = 0, _LATEST_MS
    while fits - too_many > 1:
        middle = (too_many + fits) // 2
        if count(first(middle)) > most:
            too_many = middle
        else:
            fits = middle
    older, found = first(too_many), first(fits)
    # Of one millisecond not all find room: a batch has one time.
    room = most - count(found)
    for place, at in older.items():
        taken = min(room, found[place] - at)
        found[place] -= taken
        room -= taken
    return found


def from_first_shown(causes: Mapping[UUID, Place], shown: Collection[UUID]) -> dict[UUID, Place]:
    """Those of each partition from the first of which something was shown; ``causes`` in the order of the log."""
    begun, found = set(), {}
    for cause, place in causes.items():
        if cause in shown:
            begun.add(place)
        if place in begun:
            found[cause] = place
    return found
