"""How far a group is, asked from the brokers."""

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Admin, Place
from candlewick.adapters._kafka.errors import translated
from candlewick.adapters._kafka.options import KafkaOptions

_POLL_S = 0.05


class Progress:
    """Places are by the brokers' names. Methods wait and are called on one thread. Raises LogUnavailable."""

    def __init__(
        self, brokers: str, admin: Admin, options: KafkaOptions, group: str, topics: Mapping[str, int]
    ) -> None:
        """``topics``: input topics and how many partitions each has."""
        self._admin = admin
        self._within_s = options.answer_within_s
        self._places = [(topic, number) for topic, count in topics.items() for number in range(count)]
        settings = options.reading(brokers, "progress", None, None)
        # It asks for the group's positions and reads beside it; it never joins.
        settings["group.id"] = group
        # Told of the end one by one, not in batches: that is sound.
        settings["enable.partition.eof"] = True
        settings["fetch.wait.max.ms"] = 5
        self._kafka = Consumer(settings)
        self._known: dict[Place, tuple[int, int, bool]] = {}

    def close(self) -> None:
        self._kafka.close()

    def ends(self) -> dict[Place, int]:
        """Behind every record visible now."""
        return self._admin.offsets(self._places, LATEST)

    def committed(self, places: Sequence[Place]) -> dict[Place, int]:
        """Where the group goes on; the oldest kept where it never was or has been left behind."""
        asked = [TopicPartition(topic, number) for topic, number in places]
        try:
            found = self._kafka.committed(asked, timeout=self._within_s)
        except KafkaException as error:
            raise translated(error, "asking for the group's positions") from None
        at = {(one.topic, one.partition): one.offset for one in found}
        lows = self._admin.offsets(places, EARLIEST)
        return {place: max(offset, lows[place]) for place, offset in at.items()}

    def left(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """Those of ``ends`` before which a record lies that the group has not done."""
        at = self.committed(list(ends)) if ends else {}
        behind = {place: end for place, end in ends.items() if at[place] < end}
        return {place: end for place, end in behind.items() if self._holds(place, at[place], end)}

    def _holds(self, place: Place, begin: int, end: int) -> bool:
        """Whether a record lies between: the end of a transaction takes an offset and is no record."""
        known = self._known.get(place)
        if known is not None and known[:2] == (begin, end):
            return known[2]
        found = self._look(place, begin, end)
        self._known[place] = (begin, end, found)
        return found

    def _look(self, place: Place, begin: int, end: int) -> bool:
        where = TopicPartition(*place, begin)
        try:
            self._kafka.assign([where])
            deadline = time.monotonic() + self._within_s
            while time.monotonic() < deadline:
                message = self._kafka.poll(_POLL_S)
                if message is None:
                    continue
                problem = message.error()
                if problem is None:
                    return int(message.offset() or 0) < end
                if problem.code() == KafkaError._PARTITION_EOF:
                    return False
        except KafkaException as error:
            raise translated(error, "looking for what is left") from None
        finally:
            self._kafka.unassign()
        return True
