"""What is asked of the brokers before partitions are taken on: all of them at once, where Quix would ask for each."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Admin
from candlewick.ports.log import LogUnavailable

_STEP_S: Final = 0.01
Place = tuple[str, int]


class Taking:
    """On the engine's thread. No transaction may be open on a changelog before state is restored from it: a killed
    owner's may have committed its positions already and its state not yet, and Quix restores only up to the oldest
    open one."""

    def __init__(
        self,
        admin: Admin,
        consumer: Any,
        inputs: frozenset[str],
        patience_s: float,
        expired: Callable[[Sequence[Place]], None],
    ) -> None:
        """``consumer`` is Quix's; ``expired`` hears of inputs whose position has left by retention."""
        self._admin, self._consumer, self._inputs = admin, consumer, inputs
        self._patience_s, self._expired = patience_s, expired

    @contextmanager
    def begun(self, partitions: Sequence[TopicPartition]) -> Iterator[None]:
        """Each partition is told where to begin, which the client would ask up to a second later. Within the block
        the consumer knows the bounds of all of them. Raises LogUnavailable, KafkaException."""
        inputs = [(one.topic, one.partition) for one in partitions if one.topic in self._inputs]
        changelogs = [(one.topic, one.partition) for one in partitions if one.topic not in self._inputs]
        ends = self._quiet_ends(changelogs, inputs)
        oldest = self._admin.offsets([*changelogs, *inputs], EARLIEST)
        begins = oldest | self._positions(inputs, oldest)
        for one in partitions:
            one.offset = begins[one.topic, one.partition]
        ask = self._consumer.get_watermark_offsets

        def known(place: TopicPartition, *args: Any, **named: Any) -> tuple[int, int]:
            at = place.topic, place.partition
            return (oldest[at], ends[at]) if at in ends else ask(place, *args, **named)

        self._consumer.get_watermark_offsets = known
        try:
            yield
        finally:
            self._consumer.get_watermark_offsets = ask

    def _quiet_ends(self, changelogs: Sequence[Place], inputs: Sequence[Place]) -> dict[Place, int]:
        """Where what can be read ends, once no transaction is open on the changelogs."""
        deadline = time.monotonic() + self._patience_s
        found, waiting = self._admin.offsets(inputs, LATEST), list(changelogs)
        while waiting:
            ends = self._admin.offsets(waiting, LATEST, visible=False)
            found |= self._admin.offsets(waiting, LATEST)
            waiting = [place for place in waiting if found[place] < ends[place]]
            if waiting:
                if time.monotonic() > deadline:
                    raise LogUnavailable(f"a transaction stays open on a changelog, was {waiting[0]!r}")
                time.sleep(_STEP_S)
        return found

    def _positions(self, inputs: Sequence[Place], oldest: dict[Place, int]) -> dict[Place, int]:
        """Where the group goes on. Positions that left by retention go to the oldest kept; the state stays."""
        found, left = {}, []
        for one in self._consumer.committed([TopicPartition(*place) for place in inputs], timeout=self._patience_s):
            if one.error is not None:
                raise KafkaException(one.error)
            place = (one.topic, one.partition)
            if 0 <= one.offset < oldest[place]:
                left.append(TopicPartition(*place, oldest[place]))
            found[place] = max(one.offset, oldest[place])
        if left:
            self._consumer.commit(offsets=left, asynchronous=False)
            self._expired([(one.topic, one.partition) for one in left])
        return found
