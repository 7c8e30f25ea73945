"""Which schema a message has, under which subject a registry keeps it, and how a record names it.

A subject is ``topic-full.name`` for a message and the file's path for a file that others import. A record names its
schema in the header ``__value_schema_id``: a zero byte, the id in four bytes, and the message's place in its schema.
This is what the Confluent clients write and read:
https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from candlewick.contracts.codec import PROTO_OF, SCHEMA_FILES
from candlewick.contracts.topics import Topic, dead_letters

SCHEMA_HEADER: Final = "__value_schema_id"
ENVELOPE_FILE: Final = "candlewick/kernel/v1/envelope.proto"

# An encoded envelope begins with field 1, 16 bytes, and field 2, a text: the message's name.
_ID_HEAD, _TYPE_HEAD, _TYPE_AT = b"\n\x10", 0x12, 18
_ID: Final = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """A message on a topic; ``file`` holds its schema, ``message`` is its full name there."""

    topic: str
    type_name: str
    message: str
    file: str

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.message}"


def subjects(topics: Sequence[Topic]) -> list[Subject]:
    """Every message of these topics, in their order."""
    found = []
    for topic in topics:
        for message in topic.messages:
            descriptor: Any = PROTO_OF[message].DESCRIPTOR
            found.append(Subject(topic.name, message.__name__, descriptor.full_name, descriptor.file.name))
    return found


def text_of(file: str) -> str:
    """A schema's text by the path that others import it by."""
    return SCHEMA_FILES[file]


def schema_header(schema_id: int, place: int) -> bytes:
    """What names the message at ``place`` among the outermost ones of a schema."""
    # Places are a list of numbers, written zigzag, and the list of one zero as its length alone.
    index = b"\x00" if place == 0 else b"\x02" + bytes(_varint(place << 1))
    return b"\x00" + schema_id.to_bytes(4, "big") + index


def schema_id_of(header: bytes) -> int:
    """The id in a schema header."""
    return int.from_bytes(header[1:_ID], "big")


class SchemaHeaders:
    """The header of every message of some topics; also of those among the dead letters."""

    def __init__(self, found: Mapping[Subject, bytes]) -> None:
        self._found = {
            (topic, subject.type_name.encode()): header
            for subject, header in found.items()
            for topic in (subject.topic, dead_letters(subject.topic))
        }

    def __call__(self, topic: str, envelope: bytes) -> bytes | None:
        """None for what is not known, also for bytes that are no envelope. Cheap: for every record that is written."""
        if envelope[:2] != _ID_HEAD or len(envelope) <= _TYPE_AT + 1 or envelope[_TYPE_AT] != _TYPE_HEAD:
            return None
        begin = _TYPE_AT + 2
        return self._found.get((topic, envelope[begin : begin + envelope[_TYPE_AT + 1]]))


def _varint(number: int) -> Iterator[int]:
    while number > 127:
        yield number & 127 | 128
        number >>= 7
    yield number
