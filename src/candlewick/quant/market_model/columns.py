"""What the model hands out: columns of int64 mantissas, times in UTC."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Sides: TypeAlias = NDArray[np.uint8]
Keys: TypeAlias = NDArray[np.uint64]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ModelTrades:
    """n trades by id; price = mantissa / 10**price_scale, ``ts_event`` ns, ``side`` 1 where the taker bought or 0."""

    trade_id: Ints
    price: Ints
    size: Ints
    ts_event: Ints
    side: Sides
    price_scale: int
    size_scale: int

    def where(self, mask: NDArray[np.bool_] | slice) -> "ModelTrades":
        """The trades of a mask or a slice."""
        return ModelTrades(
            self.trade_id[mask], self.price[mask], self.size[mask], self.ts_event[mask], self.side[mask],
            self.price_scale, self.size_scale,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ModelCandles:
    """n one-minute candles, oldest first; ``open_time`` ms.

    ``volume`` and ``taker_buy_volume`` are mantissas at ``size_scale``, ``quote_volume`` at the sum of both scales.
    ``first_trade_id`` of a candle without trades is the id of the next trade.
    """

    open_time: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    quote_volume: Ints
    taker_buy_volume: Ints
    trades: Ints
    first_trade_id: Ints
    price_scale: int
    size_scale: int


@dataclass(frozen=True, slots=True, eq=False)
class ModelBook:
    """Levels of the book as mantissas, best first; a venue in a halt shows the book of its last instant."""

    bid_price: Ints
    bid_size: Ints
    ask_price: Ints
    ask_size: Ints
    price_scale: int
    size_scale: int


@dataclass(frozen=True, slots=True)
class Halt:
    """The whole venue does not trade in [start_ms, end_ms); its feed stays alive and says so."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Silence:
    """The whole live feed says nothing in [start_ns, end_ns): trades happen, are withheld, and can be fetched later."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class PlannedGap:
    """Trades ``first_id`` to ``last_id``, inclusive, that the live feed withholds and that can be fetched by id.

    ``start_ns`` and ``end_ns`` are the times of the first and the last of them; ``reason`` is ``lost`` for a hole in
    one symbol's ids or ``silence`` for a part of a ``Silence``.
    """

    symbol: str
    first_id: int
    last_id: int
    start_ns: int
    end_ns: int
    reason: str
