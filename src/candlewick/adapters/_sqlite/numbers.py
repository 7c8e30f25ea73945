"""Partition numbers: a topic's partition as one integer inside one log file."""

import sqlite3
from collections.abc import Sequence

from candlewick.adapters._sqlite import schema
from candlewick.contracts.topics import Topic, UnknownTopic, dead_letters
from candlewick.kernel.hashing import partition_of

_KNOWN_KEYS = 65_536


class PartitionNumbers:
    """(topic, partition) to number and back, and the number of a key: the latter is asked for every record, so the
    answers are remembered."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self.topics = tuple(topics)
        self._topic_numbers: dict[str, tuple[int, int]] = {}
        self._topic_names: dict[int, str] = {}
        self._key_cache: dict[str, dict[str, int]] = {}

    def _read_numbers(self, connection: sqlite3.Connection) -> None:
        """Take the numbers this file gave its topics."""
        found = connection.execute("SELECT topic, name, partitions FROM topic").fetchall()
        self._topic_numbers = {name: (number << schema.PARTITION_BITS, count) for number, name, count in found}
        self._topic_names = {number: name for number, name, _ in found}

    def numbers(self, topic: str) -> range:
        """The partition numbers of a topic, partition 0 first. Raises UnknownTopic."""
        try:
            base, count = self._topic_numbers[topic]
        except KeyError:
            raise UnknownTopic(f"topic must be in the catalogue, was {topic!r}") from None
        return range(base, base + count)

    def number(self, topic: str, key: str) -> int:
        """The partition number of a key. Raises UnknownTopic."""
        known = self._key_cache.get(topic)
        if known is None:
            known = self._key_cache.setdefault(topic, {})
        found = known.get(key)
        if found is None:
            logs = self.numbers(topic)
            found = logs[partition_of(key, len(logs))]
            if len(known) > _KNOWN_KEYS:
                known.clear()
            known[key] = found
        return found

    def partition_number(self, topic: str, partition: int) -> int:
        """The number of one partition. Raises UnknownTopic."""
        logs = self.numbers(topic)
        if not 0 <= partition < len(logs):
            raise UnknownTopic(f"topic {topic} has {len(logs)} partitions, was {partition!r}")
        return logs[partition]

    def place(self, number: int) -> tuple[str, int]:
        """(topic, partition) of a partition number."""
        return self._topic_names[number >> schema.PARTITION_BITS], number & (schema.MAX_PARTITIONS - 1)

    def topic_of(self, name: str) -> Topic | None:
        """The declaration of a topic, or of the topic whose dead letters ``name`` are."""
        return next((topic for topic in self.topics if name in (topic.name, dead_letters(topic.name))), None)
