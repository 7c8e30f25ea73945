"""Names here and names on the brokers, and how many partitions each topic has."""

from collections.abc import Sequence

from candlewick.contracts.topics import Topic, UnknownTopic, dead_letters
from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import MixedKeys, NewRecord

#: The record header that holds the envelope.
HEADER = "envelope"
#: They are few and people read them; every partition costs brokers memory and a fetch.
DEAD_LETTER_PARTITIONS = 1
_KEYS_KEPT = 100_000


class Names:
    """Every topic and its dead letters. Methods may be called from any thread."""

    def __init__(self, topics: Sequence[Topic], prefix: str) -> None:
        self.topics = tuple(topics)
        self.prefix = prefix
        self._partitions: dict[str, int] = {}
        for topic in topics:
            self._partitions |= {topic.name: topic.partitions, dead_letters(topic.name): DEAD_LETTER_PARTITIONS}
        self._places: dict[tuple[str, str], tuple[str, int]] = {}

    def all(self) -> list[str]:
        """Each topic followed by its dead letters."""
        return list(self._partitions)

    def partitions(self, topic: str) -> int:
        """How many. Raises UnknownTopic."""
        try:
            return self._partitions[topic]
        except KeyError:
            raise UnknownTopic(f"topic must be in the catalogue, was {topic!r}") from None

    def there(self, topic: str) -> str:
        """A topic's name on the brokers. Raises UnknownTopic."""
        self.partitions(topic)
        return self.prefix + topic

    def here(self, topic: str) -> str:
        """A topic's name in the catalogue."""
        return topic.removeprefix(self.prefix)

    def place(self, record: NewRecord) -> tuple[str, int]:
        """Where a record goes: the topic's name on the brokers and the partition of its key."""
        try:
            return self._places[record.topic, record.key]
        except KeyError:
            pass
        if not record.key:
            raise MixedKeys(f"a record needs a key, was {record.key!r}")
        found = self.there(record.topic), partition_of(record.key, self.partitions(record.topic))
        if len(self._places) < _KEYS_KEPT:
            self._places[record.topic, record.key] = found
        return found
