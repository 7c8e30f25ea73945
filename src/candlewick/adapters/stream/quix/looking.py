"""Reading topics and groups' positions beside everybody, in no group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Admin, Place
from candlewick.adapters._kafka.errors import TopicsMissing, translated
from candlewick.adapters._kafka.names import HEADER
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.contracts import codec
from candlewick.ports.log import LogUnavailable

_NAME: Final = "handover"


class Look:
    """Names are the brokers' own. Methods wait. Raises LogUnavailable, and TopicsMissing for a topic that is not
    there."""

    def __init__(self, brokers: str, admin: Admin, options: KafkaOptions) -> None:
        self._brokers, self._admin, self._options = brokers, admin, options

    def client(self, group: str) -> Consumer:
        """One that speaks of a group and never joins it; to be closed."""
        settings: dict[str, Any] = self._options.reading(self._brokers, _NAME, None, None)
        # One by one, not in batches: so being told of the end is sound.
        settings |= {"group.id": group, "enable.partition.eof": True, "fetch.wait.max.ms": 5}
        # Else what leaves by retention while it is read would be passed over in silence.
        return Consumer(settings | {"auto.offset.reset": "error"})

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """Where a group goes on; below 0 where it has no position."""
        client = self.client(group)
        try:
            found = client.committed([TopicPartition(*place) for place in places], self._options.answer_within_s)
            return {(one.topic, one.partition): one.offset for one in found}
        except KafkaException as error:
            raise translated(error, "asking for a group's positions") from None
        finally:
            client.close()

    def places(self, topic: str) -> list[Place]:
        """Every partition that the brokers have."""
        found = self._admin.topics([topic])
        if topic not in found:
            raise TopicsMissing(f"topic must be there, was {topic!r}", hint="Run 'candlewick topics apply'")
        return [(topic, number) for number in range(len(found[topic].partitions))]

    def since(self, places: Sequence[Place], at_ms: int) -> dict[Place, int]:
        """The first offset appended at or after a time, else the end."""
        # Asked first: what is appended between the two questions must not be jumped over.
        ends = self._admin.offsets(places, LATEST)
        found = self._admin.offsets(places, OffsetSpec.for_timestamp(max(at_ms, 0)))
        return {place: offset if offset >= 0 else ends[place] for place, offset in found.items()}

    def is_empty(self, topic: str) -> bool:
        """Whether a reader finds nothing in it."""
        return next(self.read(topic), None) is None

    def read(
        self, topic: str, begins: Mapping[Place, int] | None = None, ends: Mapping[Place, int] | None = None
    ) -> Iterator[Message]:
        """All that is visible now between two positions of each partition, in its order; partitions that are not named
        from their beginning and to their end."""
        places = self.places(topic)
        lows, highs = self._admin.offsets(places, EARLIEST), self._admin.offsets(places, LATEST)
        first = {place: max((begins or {}).get(place, 0), lows[place]) for place in places}
        last = {place: min((ends or {}).get(place, highs[place]), highs[place]) for place in places}
        open_ = {place for place in places if first[place] < last[place]}
        if not open_:
            return
        client = self.client(f"{self._options.prefix}{_NAME}.look")
        try:
            client.assign([TopicPartition(*place, first[place]) for place in open_])
            while open_:
                message = client.poll(self._options.answer_within_s)
                if message is None:
                    raise LogUnavailable(f"the brokers give nothing of what they have, was {topic!r}")
                place, problem = (topic, message.partition() or 0), message.error()
                if problem is not None and problem.code() == KafkaError._AUTO_OFFSET_RESET:
                    raise LogUnavailable(f"records left by retention while they were read, was {place!r}")
                if problem is not None and problem.code() != KafkaError._PARTITION_EOF:
                    continue
                if problem is not None or (message.offset() or 0) >= last[place]:
                    open_.discard(place)
                elif place in open_:
                    yield message
                    if (message.offset() or 0) + 1 >= last[place]:
                        open_.discard(place)
        finally:
            client.close()


def header_of(message: Message, name: str) -> bytes | None:
    """One header's bytes."""
    for key, value in message.headers() or ():
        if key == name:
            return value if isinstance(value, bytes) else str(value).encode()
    return None


def id_of(message: Message) -> UUID:
    """The message's own id."""
    return codec.decode_envelope(header_of(message, HEADER) or b"").id


def cause_of(message: Message) -> UUID:
    """The input message an output was made from; a dead letter is that message itself."""
    envelope = codec.decode_envelope(header_of(message, HEADER) or b"")
    return envelope.causation_id or envelope.id
