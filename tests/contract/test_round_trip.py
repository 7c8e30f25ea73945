"""Every message survives the wire, and bytes that are not a message are refused with a code."""

from contextlib import suppress
from enum import IntEnum
from functools import cache
from typing import get_origin, get_type_hints
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlewick.contracts import codec
from candlewick.contracts._gen.candlewick.collector.v1 import market_data_pb2
from candlewick.contracts._gen.candlewick.kernel.v1 import envelope_pb2
from candlewick.contracts.base import ColumnOf, Envelope
from candlewick.kernel.decimals import MAX_SCALE
from tools import golden

KINDS = list(codec.PROTO_OF)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)


@cache
def values(kind, proto):
    """Messages of a struct type; ``rows`` is shared by all columns of one struct."""
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in proto.DESCRIPTOR.fields}

    @st.composite
    def build(draw):
        rows = draw(st.integers(0, 5))
        out = {}
        for name in kind.__struct_fields__:
            hint, field = hints[name], fields.get(name)
            columns = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, ColumnOf)]
            if columns:
                out[name] = draw(hnp.arrays(columns[0].dtype, rows))
            elif field is None:
                out[name] = draw(st.integers(0, MAX_SCALE))
            elif hint is bool:
                out[name] = draw(st.booleans())
            elif hint is str:
                out[name] = draw(TEXT)
            elif hint is int:
                out[name] = draw(UINT32 if field.type == field.TYPE_UINT32 else INT64)
            elif get_origin(hint) is tuple:
                out[name] = tuple(draw(st.lists(TEXT, max_size=5)))
            elif issubclass(hint, IntEnum):
                out[name] = draw(st.sampled_from(list(hint)))
            else:
                out[name] = draw(values(hint, field.message_type._concrete_class))
        return kind(**out)

    return build()


def plain(value):
    """A message as nested tuples that compare, arrays as their type and items."""
    if isinstance(value, np.ndarray):
        return (value.dtype.newbyteorder("<").str, value.tolist())
    if isinstance(value, msgspec.Struct):
        return (type(value), {name: plain(getattr(value, name)) for name in value.__struct_fields__})
    return value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_message_survives_the_wire(kind, data):
    message = data.draw(values(kind, codec.PROTO_OF[kind]))
    back = codec.decode(kind.__name__, codec.encode(message))
    assert plain(back) == plain(message)
    assert back.key == message.key
    assert codec.encode(back) == codec.encode(message)


UUIDS = st.uuids()


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Envelope,
        id=UUIDS,
        type=TEXT,
        ts_event=INT64,
        ts_recv=INT64,
        key=TEXT,
        producer=TEXT,
        schema_version=UINT32,
        correlation_id=st.none() | UUIDS,
        causation_id=st.none() | UUIDS,
        sequence=INT64,
    )
)
def test_every_envelope_survives_the_wire(envelope):
    assert codec.decode_envelope(codec.encode_envelope(envelope)) == envelope


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_decoded_arrays_are_read_only_views(kind):
    def arrays(value):
        for name in value.__struct_fields__:
            inner = getattr(value, name)
            if isinstance(inner, np.ndarray):
                yield inner
            elif isinstance(inner, msgspec.Struct):
                yield from arrays(inner)

    for array in arrays(codec.decode(kind.__name__, codec.encode(golden.sample(kind)))):
        assert not array.flags.writeable
        assert array.flags.c_contiguous


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_a_message_or_a_bad_payload(kind, data):
    bytes_ = bytearray(codec.encode(golden.sample(kind)))
    for _ in range(data.draw(st.integers(1, 4))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(bytes_)))
    with suppress(codec.BadPayload):
        assert type(codec.decode(kind.__name__, bytes(bytes_[:cut]))) is kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_newer_field_is_read_over(kind):
    newer = b"\xc2\x3e\x05later"  # field 1000, five bytes
    sample = golden.sample(kind)
    assert plain(codec.decode(kind.__name__, codec.encode(sample) + newer)) == plain(sample)


def trades() -> market_data_pb2.TradeBatch:
    return market_data_pb2.TradeBatch.FromString(golden.today()["TradeBatch"])


def refused(proto: market_data_pb2.TradeBatch) -> str:
    with pytest.raises(codec.BadPayload) as caught:
        codec.decode("TradeBatch", proto.SerializeToString())
    return str(caught.value)


def test_law_11_a_column_of_wrong_length_is_refused():
    short, long, lying = trades(), trades(), trades()
    short.columns_v1.price.data = short.columns_v1.price.data[:-1]
    long.columns_v1.price.data += b"\0" * 8
    lying.columns_v1.price.count = 2**61
    for proto in (short, long, lying):
        assert "column price" in refused(proto)


def test_law_11_a_column_of_another_item_type_is_refused():
    proto = trades()
    proto.columns_v1.price.dtype = envelope_pb2.DTYPE_UINT64
    assert "column price" in refused(proto)
    proto.columns_v1.price.dtype = envelope_pb2.DTYPE_UNSPECIFIED
    assert "column price" in refused(proto)
    proto.columns_v1.price.dtype = 99
    assert "column price" in refused(proto)


def test_columns_of_unequal_length_are_refused():
    proto = trades()
    proto.columns_v1.side.data, proto.columns_v1.side.count = b"\0", 1
    assert "one length" in refused(proto)


def test_a_missing_column_is_refused():
    proto = trades()
    proto.columns_v1.ClearField("size")
    assert "column size" in refused(proto)


def test_an_impossible_scale_is_refused():
    proto = trades()
    proto.columns_v1.price.scale = MAX_SCALE + 1
    assert "price_scale" in refused(proto)


def test_an_unknown_enum_value_is_refused():
    proto = trades()
    proto.origin = 77
    assert "Origin, was 77" in refused(proto)


def test_an_unknown_type_has_a_code_of_its_own():
    with pytest.raises(codec.UnknownMessage) as caught:
        codec.decode("TradesFromTomorrow", b"")
    assert caught.value.code == "UNKNOWN_MESSAGE"


@pytest.mark.parametrize("data", [b"\xff" * 7, b"", b"\x0a\x03abc"])
def test_a_header_that_is_no_envelope_is_refused(data):
    with pytest.raises(codec.BadPayload):
        codec.decode_envelope(data)


def test_ids_keep_their_16_bytes():
    assert codec.decode_envelope(golden.today()["Envelope"]).id == UUID("018bcfe5-6800-7000-8000-0000000000a1")
