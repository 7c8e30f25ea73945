"""Parts of a handover that need no broker: which messages are compared, and how."""

import random
from bisect import bisect_left
from types import SimpleNamespace
from uuid import UUID

import pytest

from candlewick.adapters.stream.quix.comparing import Comparison, from_first_shown, newest, outputs_of
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope

A, B = ("input", 0), ("input", 1)


def since_of(times):
    """As a broker that holds these times answers."""
    return lambda ms: {place: bisect_left(found, ms) for place, found in times.items()}


def test_all_is_compared_where_it_is_little():
    assert newest({A: 2, B: 0}, {A: 5, B: 0}, 3, lambda _: pytest.fail("asked")) == {A: 2, B: 0}


def test_the_newest_of_all_partitions_together_are_compared():
    times = {A: [1, 2, 3, 100, 101], B: [50, 102]}
    found = newest({A: 0, B: 0}, {A: 5, B: 2}, 3, since_of(times))
    assert found == {A: 3, B: 1}


def test_of_one_batch_no_more_than_fit():
    """Brokers give all of a batch one time."""
    times = {A: [7] * 10, B: [7] * 10}
    found = newest({A: 0, B: 0}, {A: 10, B: 10}, 3, since_of(times))
    assert sum(10 - at for at in found.values()) == 3


def test_nothing_before_the_beginning_is_compared():
    times = {A: list(range(100)), B: list(range(100))}
    found = newest({A: 95, B: 98}, {A: 100, B: 100}, 4, since_of(times))
    assert found == {A: 98, B: 98}


@pytest.mark.parametrize("seed", range(20))
def test_never_more_and_never_an_older_one_for_a_newer(seed):
    draw = random.Random(seed)
    times = {place: sorted(draw.randint(0, 60) for _ in range(draw.randint(0, 80))) for place in (A, B)}
    begins = {place: draw.randint(0, len(found)) for place, found in times.items()}
    ends = {place: draw.randint(begins[place], len(found)) for place, found in times.items()}
    most = draw.randint(1, 40)
    found = newest(begins, ends, most, since_of(times))
    there = {place: times[place][begins[place] : ends[place]] for place in times}
    chosen = sorted(ms for place in times for ms in times[place][found[place] : ends[place]])
    everything = sorted(ms for ones in there.values() for ms in ones)
    assert all(begins[place] <= found[place] <= ends[place] for place in times)
    assert chosen == everything[max(len(everything) - most, 0) :]


def message(cause, key, value):
    header = codec.encode_envelope(
        Envelope(UUID(int=cause + 900), "Progress", 1, 1, key, "x", causation_id=UUID(int=cause))
    )
    return SimpleNamespace(headers=lambda: [("envelope", header)], key=key.encode, value=lambda: value)


def test_outputs_are_paired_by_their_cause():
    causes = [UUID(int=number) for number in range(1, 6)]
    old = [
        message(1, "a", b"1"),
        message(2, "b", b"2"),
        message(2, "b", b"3"),
        message(3, "c", b"4"),
        message(9, "z", b""),
    ]
    new = [
        message(1, "a", b"1"),
        message(2, "b", b"2"),
        message(2, "b", b"X"),
        message(4, "d", b"5"),
        message(4, "d", b"5"),
    ]
    found = Comparison(messages=len(causes))
    found.add("topic", causes, outputs_of(old, set(causes)), outputs_of(new, set(causes)))
    assert (found.equal, found.different, found.only_old, found.only_new) == (2, 1, 1, 2)
    assert found.examples == ["topic b", "topic c", "topic d"]
    assert found.differs
    assert UUID(int=9) not in outputs_of(old, set(causes)), "only what is compared is kept"


@pytest.mark.parametrize("differently", [message(1, "a", None), message(1, "a", b"other"), message(1, "b", b"")])
def test_another_key_or_value_or_none_at_all_is_different(differently):
    cause = UUID(int=1)
    found = Comparison()
    found.add("topic", [cause], outputs_of([message(1, "a", b"")], {cause}), outputs_of([differently], {cause}))
    assert (found.equal, found.different) == (0, 1)


def test_where_it_began_is_forgotten_each_partition_is_compared_from_what_was_shown_first():
    ids = [UUID(int=number) for number in range(6)]
    causes = dict(zip(ids, [A, B, A, A, B, A], strict=True))
    assert list(from_first_shown(causes, {ids[2]})) == [ids[2], ids[3], ids[5]]
    assert from_first_shown(causes, set()) == {}
