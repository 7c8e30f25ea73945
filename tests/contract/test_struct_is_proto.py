"""A struct and its protobuf message have the same fields, of the same types, under the same names."""

from enum import IntEnum
from typing import get_type_hints
from uuid import UUID

import pytest

from candlewick.contracts import codec, topics
from candlewick.contracts._gen.candlewick.kernel.v1 import envelope_pb2
from candlewick.contracts.base import ColumnOf, Envelope
from tools.check_proto import _messages, descriptor_set

COLUMN = envelope_pb2.Column.DESCRIPTOR
PAIRS = [*codec.PROTO_OF.items(), (Envelope, envelope_pb2.Envelope)]


def faults(kind, descriptor):
    """Where a struct and a message differ."""
    hints = get_type_hints(kind, include_extras=True)
    columns = {n: m for n, hint in hints.items() for m in getattr(hint, "__metadata__", ()) if isinstance(m, ColumnOf)}
    scales = {scale for column in columns.values() for scale in column.scale}
    proto = {field.name: field for field in descriptor.fields}
    names = {name for name in kind.__struct_fields__ if name in proto or name not in scales}
    found = [f"{name} is only in the struct" for name in sorted(names - proto.keys())]
    found += [f"{name} is only in the message" for name in sorted(proto.keys() - names)]
    for name in sorted(names & proto.keys()):
        found += [f"{name}: {fault}" for fault in field_faults(hints[name], proto[name])]
    return found


def field_faults(hint, field):
    if field.is_repeated != (hint == tuple[str, ...]):
        return ["is repeated, or the struct's field is a tuple, but not both"]
    if field.is_repeated:
        hint = str
    if any(isinstance(m, ColumnOf) for m in getattr(hint, "__metadata__", ())):
        return (
            []
            if field.message_type is not None and field.message_type.full_name == COLUMN.full_name
            else ["is no Column"]
        )
    if hint in SCALARS:
        return [] if field.type in [getattr(field, f"TYPE_{t}") for t in SCALARS[hint]] else [f"{hint} is {field.type}"]
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        if field.enum_type is None:
            return ["is no enum"]
        prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in field.enum_type.name).lstrip("_") + "_"
        ours = {member.name: member.value for member in hint}
        theirs = {value.name.removeprefix(prefix): value.number for value in field.enum_type.values}
        theirs.pop("UNSPECIFIED", None)
        return [] if ours == theirs else [f"values are {ours} and {theirs}"]
    if field.message_type is None:
        return ["is no message"]
    return faults(hint, field.message_type)


SCALARS = {
    str: ("STRING",),
    bool: ("BOOL",),
    int: ("INT64", "UINT32", "UINT64", "INT32"),
    UUID: ("BYTES",),
    UUID | None: ("BYTES",),
}


@pytest.mark.parametrize(("kind", "proto"), PAIRS, ids=lambda value: getattr(value, "__name__", None))
def test_fields_agree_by_name_and_type(kind, proto):
    assert faults(kind, proto.DESCRIPTOR) == []


def test_the_comparison_sees_each_difference():
    trades, progress = codec.PROTO_OF.keys() & set(topics.RAW_MARKET_DATA.messages), topics.RAW_MARKET_DATA.messages[1]
    assert len(trades) == 2
    quote = topics.RAW_TICKER.messages[0]
    found = faults(quote, codec.PROTO_OF[progress].DESCRIPTOR)
    assert "bid is only in the struct" in found
    assert "feed_alive is only in the message" in found

    class Wrong(progress, frozen=True):
        last_id: str

    assert faults(Wrong, codec.PROTO_OF[progress].DESCRIPTOR) == ["last_id: <class 'str'> is 3"]


def test_every_message_of_the_schemas_has_a_struct():
    reached = set()

    def reach(descriptor):
        reached.add(descriptor.full_name)
        for field in descriptor.fields:
            if field.message_type is not None and field.message_type.full_name not in reached:
                reach(field.message_type)

    for _, proto in PAIRS:
        reach(proto.DESCRIPTOR)
    assert {name for name, _ in _messages(descriptor_set())} == reached


def test_every_message_is_on_a_topic_and_every_message_of_a_topic_has_a_schema():
    on_topics = {message for topic in topics.CATALOGUE for message in topic.messages}
    assert on_topics == set(codec.PROTO_OF)


def test_names_of_messages_are_unique_so_that_the_envelope_can_name_them():
    names = [kind.__name__ for kind in codec.PROTO_OF]
    assert sorted(names) == sorted(set(names))
