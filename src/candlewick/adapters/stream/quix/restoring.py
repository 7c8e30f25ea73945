"""Quix's restoring of state from the changelogs, without its waits."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

#: A poll that finds nothing ends the restoring, when the position is at the end.
POLL_S: Final = 0.1
_QUIX_POLL_S: Final = 1.0
# Behind the record that a commit wrote last stands the mark of its transaction, which nobody reads.
_MARK: Final = 1


def hasten(recovery: Any, consumer: Any, inputs: frozenset[str]) -> None:
    """Of Quix's recovery manager: a state that has all of its changelog but the last commit's mark is not restored;
    a position is asked for, where Quix would believe one that it asked for up to a second ago; and the client's
    threads, which look at partitions that go on only once a second, are woken by a question to their broker."""
    restore, read, look = recovery.do_recovery, recovery._recovery_loop, recovery._generate_recovery_partitions

    def wake(topics: Callable[[str], bool]) -> None:
        own = [TopicPartition(one.topic, one.partition, 0) for one in consumer.assignment() if topics(one.topic)]
        if own:
            with contextlib.suppress(KafkaException):
                consumer.offsets_for_times(own, timeout=_QUIX_POLL_S)

    def position(one: Any) -> Any:
        return consumer.position([TopicPartition(one.changelog_name, one.partition_num)])[0]

    def read_at_once() -> None:
        wake(lambda topic: topic not in inputs)
        read()

    def restore_and_go_on() -> None:
        restore()
        wake(inputs.__contains__)

    recovery.do_recovery = restore_and_go_on
    recovery._recovery_loop = read_at_once
    recovery._generate_recovery_partitions = lambda *args, **named: incomplete(look(*args, **named))
    recovery._get_position_with_cache = position
    recovery.MAX_INVALID_OFFSET_ATTEMPTS *= int(_QUIX_POLL_S / POLL_S)


def incomplete(states: Iterable[Any]) -> list[Any]:
    """Those whose changelog has records that they have not. ``offset`` is the last that a state has, below 0 for a new
    one; an end further behind it than a transaction's mark may hide a record."""
    return [one for one in states if one.offset < 0 or one._changelog_highwater - one.offset - 1 != _MARK]
