"""Messages <-> protobuf bytes. The only module that sees the generated classes.

A struct field travels in the protobuf field of the same name, a tuple of texts in a repeated one. An array field
travels as a ``Column`` whose dtype, scale and count are written out; a decoder refuses a column whose bytes are not
count x item size.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from operator import attrgetter
from typing import Any, get_origin, get_type_hints
from uuid import UUID

import msgspec
import numpy as np

from candlewick.contracts import collector, history, market, stream
from candlewick.contracts._gen import schemas
from candlewick.contracts._gen.candlewick.collector.v1 import market_data_pb2
from candlewick.contracts._gen.candlewick.history.v1 import history_pb2
from candlewick.contracts._gen.candlewick.kernel.v1 import envelope_pb2
from candlewick.contracts._gen.candlewick.market.v1 import markets_pb2, symbols_pb2
from candlewick.contracts._gen.candlewick.stream.v1 import candles_pb2
from candlewick.contracts.base import ColumnOf, Envelope, Message
from candlewick.kernel.decimals import MAX_SCALE
from candlewick.kernel.errors import Corrupt, Rejected


class UnknownMessage(Rejected):
    """A message type that this version does not know."""

    code = "UNKNOWN_MESSAGE"


class BadPayload(Corrupt):
    """Bytes that are not the message their envelope names."""

    code = "BAD_PAYLOAD"


_DTYPES: dict[int, np.dtype[Any]] = {
    envelope_pb2.DTYPE_INT64: np.dtype("<i8"),
    envelope_pb2.DTYPE_UINT64: np.dtype("<u8"),
    envelope_pb2.DTYPE_INT32: np.dtype("<i4"),
    envelope_pb2.DTYPE_UINT8: np.dtype("u1"),
}
_CODES: dict[np.dtype[Any], int] = {dtype: code for code, dtype in _DTYPES.items()}

_HEADS_KEPT = 8192
_LENGTH_DELIMITED = 2  # wire type: https://protobuf.dev/programming-guides/encoding/

_Write = Callable[[Any, Any], None]
_Read = Callable[[Any], Any]


def _column(name: str, spec: ColumnOf) -> tuple[_Write, _Read]:
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    code = _CODES[dtype]
    scales = spec.scale

    def write(struct: Any, proto: Any) -> None:
        array = getattr(struct, name)
        column = getattr(proto, name)
        column.dtype = code
        column.count = len(array)
        column.data = array.tobytes()
        if scales:
            column.scale = sum([getattr(struct, s) for s in scales])

    def read(proto: Any) -> Any:
        column = getattr(proto, name)
        data = column.data
        if column.dtype != code or len(data) != column.count * dtype.itemsize:
            raise BadPayload(
                f"column {name} must hold {column.count} items of {dtype}, "
                f"was dtype code {column.dtype} in {len(data)} bytes"
            )
        return np.frombuffer(data, dtype)

    return write, read


def _scale(name: str, column: str) -> _Read:
    def read(proto: Any) -> int:
        scale = int(getattr(proto, column).scale)
        if scale > MAX_SCALE:
            raise BadPayload(f"{name} must be at most {MAX_SCALE}, was {scale!r}")
        return scale

    return read


def _write_struct(name: str, plan: "_Plan", struct: Any, proto: Any) -> None:
    plan.write(getattr(struct, name), getattr(proto, name))


def _read_struct(name: str, plan: "_Plan", proto: Any) -> Any:
    return plan.read(getattr(proto, name))


def _write_enum(name: str, struct: Any, proto: Any) -> None:
    setattr(proto, name, int(getattr(struct, name)))


def _read_enum(name: str, kind: type[IntEnum], proto: Any) -> IntEnum:
    return _enum(kind, getattr(proto, name), name)


def _write_texts(name: str, struct: Any, proto: Any) -> None:
    getattr(proto, name).extend(getattr(struct, name))


def _read_texts(name: str, proto: Any) -> tuple[str, ...]:
    return tuple(getattr(proto, name))


def _write_value(name: str, struct: Any, proto: Any) -> None:
    setattr(proto, name, getattr(struct, name))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Columns:
    """Writes a message that holds nothing but columns. Setting 17 columns through protobuf took three times as long as
    all the rest of a candle batch; what stands before a column's bytes follows from its length and scale, so it is
    asked of protobuf once for each."""

    def __init__(self, struct: type[msgspec.Struct], proto: Any) -> None:
        hints = get_type_hints(struct, include_extras=True)
        self._proto = proto
        self._parts = [
            (name, np.dtype(spec.dtype).newbyteorder("<"), spec.scale, dict[tuple[int, int], bytes]())
            for name in struct.__struct_fields__
            for spec in getattr(hints[name], "__metadata__", ())
            if isinstance(spec, ColumnOf)
        ]
        numbers = [proto.DESCRIPTOR.fields_by_name[name].number for name, *_ in self._parts]
        assert numbers == sorted(numbers), "columns are written in the order of the struct"

    def encode(self, struct: Any) -> bytes:
        pieces: list[bytes] = []
        for name, dtype, scales, heads in self._parts:
            array = getattr(struct, name)
            scale = sum([getattr(struct, s) for s in scales])
            head = heads.get((len(array), scale))
            if head is None:
                head = self._head(name, dtype, len(array), scale)
                if len(heads) >= _HEADS_KEPT:
                    heads.clear()
                heads[len(array), scale] = head
            pieces += (head, array.tobytes())
        return b"".join(pieces)

    def _head(self, name: str, dtype: np.dtype[Any], count: int, scale: int) -> bytes:
        message, size = self._proto(), count * dtype.itemsize
        column = getattr(message, name)
        column.dtype, column.count, column.scale, column.data = _CODES[dtype], count, scale, bytes(size)
        whole = bytes(message.SerializeToString(deterministic=True))
        return whole[: len(whole) - size]


class _Plan:
    """How one struct type is written to and read from its protobuf class."""

    def __init__(self, struct: type[msgspec.Struct], proto: Any) -> None:
        self.struct, self.proto = struct, proto
        self.is_columns: bool = "V1" in proto.DESCRIPTOR.name
        self._last: tuple[str, bytes, _Columns] | None = None
        writes: list[_Write] = []
        reads: list[_Read] = []
        hints = get_type_hints(struct, include_extras=True)
        fields = {f.name for f in proto.DESCRIPTOR.fields}
        scale_source = {
            spec.scale[0]: name
            for name, hint in reversed(hints.items())
            for spec in getattr(hint, "__metadata__", ())
            if isinstance(spec, ColumnOf) and len(spec.scale) == 1
        }
        columns: list[str] = []
        for name in struct.__struct_fields__:
            hint = hints[name]
            specs = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, ColumnOf)]
            if specs:
                write, read = _column(name, specs[0])
                writes.append(write)
                columns.append(name)
            elif name not in fields and name in scale_source:
                read = _scale(name, scale_source[name])
            elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
                field = proto.DESCRIPTOR.fields_by_name[name]
                inner = _Plan(hint, field.message_type._concrete_class)
                if inner.is_columns:
                    assert field.number == max(f.number for f in proto.DESCRIPTOR.fields), "columns are written last"
                    self._last = name, _varint(field.number << 3 | _LENGTH_DELIMITED), _Columns(hint, inner.proto)
                else:
                    writes.append(partial(_write_struct, name, inner))
                read = partial(_read_struct, name, inner)
            elif isinstance(hint, type) and issubclass(hint, IntEnum):
                writes.append(partial(_write_enum, name))
                read = partial(_read_enum, name, hint)
            elif get_origin(hint) is tuple:
                writes.append(partial(_write_texts, name))
                read = partial(_read_texts, name)
            else:
                writes.append(partial(_write_value, name))
                read = attrgetter(name)
            reads.append(read)
        self._writes, self._reads = tuple(writes), tuple(reads)
        self._columns = tuple(columns) if self.is_columns else ()

    def write(self, struct: Any, proto: Any) -> None:
        for step in self._writes:
            step(struct, proto)

    def encode(self, struct: Any) -> bytes:
        proto = self.proto()
        self.write(struct, proto)
        data = bytes(proto.SerializeToString(deterministic=True))
        if self._last is None:
            return data
        name, tag, columns = self._last
        inner = columns.encode(getattr(struct, name))
        return b"".join((data, tag, _varint(len(inner)), inner))

    def read(self, proto: Any) -> Any:
        struct = self.struct(*[step(proto) for step in self._reads])
        if self._columns:
            lengths = {len(getattr(struct, name)) for name in self._columns}
            if len(lengths) > 1:
                raise BadPayload(
                    f"columns of {self.proto.DESCRIPTOR.name} must have one length, was {sorted(lengths)!r}"
                )
        return struct


def _enum(kind: type[IntEnum], value: int, name: str) -> IntEnum:
    try:
        return kind(value)
    except ValueError:
        raise BadPayload(f"{name} must be a known {kind.__name__}, was {value!r}") from None


PROTO_OF: dict[type[Message], Any] = {
    collector.TradeBatch: market_data_pb2.TradeBatch,
    collector.Progress: market_data_pb2.Progress,
    collector.BookUpdated: market_data_pb2.BookUpdated,
    collector.QuoteUpdated: market_data_pb2.QuoteUpdated,
    collector.GapSuspected: market_data_pb2.GapSuspected,
    collector.ConnectionChanged: market_data_pb2.ConnectionChanged,
    stream.CandleBatch: candles_pb2.CandleBatch,
    history.CandlesFetched: history_pb2.CandlesFetched,
    history.CandlesRepaired: history_pb2.CandlesRepaired,
    history.GapOpened: history_pb2.GapOpened,
    history.GapClosed: history_pb2.GapClosed,
    market.SymbolAdded: symbols_pb2.SymbolAdded,
    market.SymbolUpdated: symbols_pb2.SymbolUpdated,
    market.SymbolDeleted: symbols_pb2.SymbolDeleted,
    market.MarketUpdated: markets_pb2.MarketUpdated,
}
#: Text of every schema, by the path that others import it by.
SCHEMA_FILES: dict[str, str] = schemas.FILES
_PLANS: dict[type[Message], _Plan] = {struct: _Plan(struct, proto) for struct, proto in PROTO_OF.items()}
_BY_NAME: dict[str, _Plan] = {struct.__name__: plan for struct, plan in _PLANS.items()}


def encode(message: Message) -> bytes:
    """Payload bytes of a message; the same in every profile."""
    return _PLANS[type(message)].encode(message)


def decode(type_name: str, data: bytes) -> Message:
    """The message that ``encode`` wrote. Unknown newer fields are ignored. Raises UnknownMessage, BadPayload."""
    plan = _BY_NAME.get(type_name)
    if plan is None:
        raise UnknownMessage(f"message type must be in the contracts, was {type_name!r}")
    proto = plan.proto()
    try:
        proto.ParseFromString(data)
    except Exception as error:
        raise BadPayload(f"payload must be a {type_name}, was {len(data)} bytes that do not parse") from error
    message: Message = plan.read(proto)
    return message


def encode_envelope(envelope: Envelope) -> bytes:
    """The envelope as one record header."""
    return bytes(
        envelope_pb2.Envelope(
            id=envelope.id.bytes,
            type=envelope.type,
            schema_version=envelope.schema_version,
            ts_event=envelope.ts_event,
            ts_recv=envelope.ts_recv,
            key=envelope.key,
            correlation_id=envelope.correlation_id.bytes if envelope.correlation_id else b"",
            causation_id=envelope.causation_id.bytes if envelope.causation_id else b"",
            producer=envelope.producer,
            sequence=envelope.sequence,
        ).SerializeToString(deterministic=True)
    )


def decode_envelope(data: bytes) -> Envelope:
    """The envelope of a record. Raises BadPayload."""
    proto = envelope_pb2.Envelope()
    try:
        proto.ParseFromString(data)
        return Envelope(
            id=UUID(bytes=proto.id),
            type=proto.type,
            ts_event=proto.ts_event,
            ts_recv=proto.ts_recv,
            key=proto.key,
            producer=proto.producer,
            schema_version=proto.schema_version,
            correlation_id=UUID(bytes=proto.correlation_id) if proto.correlation_id else None,
            causation_id=UUID(bytes=proto.causation_id) if proto.causation_id else None,
            sequence=proto.sequence,
        )
    except BadPayload:
        raise
    except Exception as error:
        raise BadPayload(f"record header must be an envelope, was {len(data)} bytes that do not parse") from error


def with_sequence(envelope: Envelope, sequence: int) -> Envelope:
    """The same envelope with its place in the producer's outbox."""
    return msgspec.structs.replace(envelope, sequence=sequence)


def dead_letter_header(header: bytes, *, code: str, detail: str) -> Envelope:
    """The envelope of a record that goes to the dead letters: its own, with the reason behind the producer's name.

    A header that cannot be read is replaced by one without id, so that the bytes are kept all the same.
    """
    reason = f"{code}: {detail}"[:1000]
    try:
        envelope = decode_envelope(header)
    except BadPayload:
        return Envelope(UUID(int=0), "", 0, 0, "", f"? {reason}")
    return msgspec.structs.replace(envelope, producer=f"{envelope.producer} {reason}", sequence=0)
