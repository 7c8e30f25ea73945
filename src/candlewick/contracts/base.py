"""What every message is: a frozen struct that knows its partition key and its schema version."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar, TypeAlias
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ColumnOf:
    """How an array field travels: item type, and the fields of the same struct whose sum is its decimal scale."""

    dtype: type[np.generic]
    scale: tuple[str, ...] = ()


Int64: TypeAlias = Annotated[NDArray[np.int64], ColumnOf(np.int64)]
Int32: TypeAlias = Annotated[NDArray[np.int32], ColumnOf(np.int32)]
UInt64: TypeAlias = Annotated[NDArray[np.uint64], ColumnOf(np.uint64)]
UInt8: TypeAlias = Annotated[NDArray[np.uint8], ColumnOf(np.uint8)]
PriceMantissa: TypeAlias = Annotated[NDArray[np.int64], ColumnOf(np.int64, ("price_scale",))]
SizeMantissa: TypeAlias = Annotated[NDArray[np.int64], ColumnOf(np.int64, ("size_scale",))]


class Message(msgspec.Struct, frozen=True):
    """A fact or an order that crosses a service border. Arrays are little-endian, C-contiguous and read-only."""

    VERSION: ClassVar[int] = 1

    @property
    def key(self) -> str:
        """Partition key: messages of one key stay in order."""
        raise NotImplementedError


class MarketMessage(Message, frozen=True):
    """A message about one symbol of one exchange; its key is ``exchange:symbol``."""

    exchange: str
    symbol: str

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.symbol}"


class Envelope(msgspec.Struct, frozen=True):
    """What every event carries beside its payload. Times are ns UTC.

    ``sequence`` is dense per (producer, partition), from 1, for events that came through an outbox; 0 for others.
    """

    id: UUID
    type: str
    ts_event: int
    ts_recv: int
    key: str
    producer: str
    schema_version: int = 1
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    sequence: int = 0


class Origin(IntEnum):
    """Where a candle or trade comes from."""

    BUILT = 1
    FETCHED = 2
    REPAIRED = 3
    SIMULATED = 4


ORIGIN_NAMES: dict[int, str] = {o.value: o.name.lower() for o in Origin}


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, C-contiguous and read-only, as messages carry it."""
    out = np.ascontiguousarray(array)
    if out.flags.writeable:
        out = out.view()
        out.flags.writeable = False
    return out
