"""Mantissas to float64, rounded once: the door from exact candles to indicators and JSON."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.stream import CandleColumns
from candlewick.kernel.clock import NS_PER_MS

_EXACT_BELOW = 1 << 53
_EXACT_SCALE = 22  # 10**22 is the largest power of ten that a float64 holds exactly


class CandleArrays(msgspec.Struct, frozen=True):
    """n candles as arrays of shape (n,): what indicators compute on and readers see.

    Prices and volumes are the float64 nearest to the exact decimal, so ``volume == float(official string)``.
    ``trades`` is -1 where not known; ``flags`` and ``origin`` as in contracts.stream.
    """

    open_time_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    quote_volume: NDArray[np.float64]
    taker_buy_volume: NDArray[np.float64]
    trades: NDArray[np.int64]
    flags: NDArray[np.uint8]
    revision: NDArray[np.int32]
    origin: NDArray[np.uint8]

    @property
    def open_time(self) -> NDArray[np.int64]:
        """Open times in ms, under the name that indicators ask for."""
        return self.open_time_ms


def to_floats(mantissas: NDArray[np.int64], scale: int) -> NDArray[np.float64]:
    """The float64 nearest to mantissa / 10**scale for each.

    Below 2**53 one IEEE division of two exact numbers rounds right; the rest goes through Python's integers, whose true
    division rounds right at any size.
    """
    if scale <= _EXACT_SCALE:
        out = mantissas / float(10**scale)
        large = np.flatnonzero(np.abs(mantissas) >= _EXACT_BELOW)
    else:
        out = np.empty(len(mantissas))
        large = np.arange(len(mantissas))
    for i in large.tolist():
        out[i] = int(mantissas[i]) / 10**scale
    return out


def wide_to_floats(high: NDArray[np.int64], low: NDArray[np.uint64], scale: int) -> NDArray[np.float64]:
    """As ``to_floats`` for mantissas of 128 bits in two limbs."""
    out = low.astype(np.float64) / float(10 ** min(scale, _EXACT_SCALE))
    large = (high != 0) | (low >= _EXACT_BELOW)
    if scale > _EXACT_SCALE:
        large = np.ones(len(low), np.bool_)
    for i in np.flatnonzero(large).tolist():
        out[i] = ((int(high[i]) << 64) + int(low[i])) / 10**scale
    return out


def to_arrays(columns: CandleColumns) -> CandleArrays:
    """Every row of the columns, in their order."""
    price, size = columns.price_scale, columns.size_scale
    return CandleArrays(
        columns.open_time // NS_PER_MS,
        to_floats(columns.open, price),
        to_floats(columns.high, price),
        to_floats(columns.low, price),
        to_floats(columns.close, price),
        wide_to_floats(columns.volume_hi, columns.volume_lo, size),
        wide_to_floats(columns.quote_hi, columns.quote_lo, price + size),
        wide_to_floats(columns.taker_hi, columns.taker_lo, size),
        columns.trades,
        columns.flags,
        columns.revision,
        columns.origin,
    )


def wide_sum(high: NDArray[np.int64], low: NDArray[np.uint64]) -> tuple[int, int]:
    """The exact sum of 128-bit numbers as (high, low) limbs."""
    total = sum((int(h) << 64) + int(low_limb) for h, low_limb in zip(high.tolist(), low.tolist(), strict=True))
    return total >> 64, total & ((1 << 64) - 1)


def row_values(columns: CandleColumns, i: int) -> dict[str, Any]:
    """One row as plain integers, 128-bit sums joined; for tests, exports and people."""
    return {
        "timeframe": int(columns.timeframe[i]),
        "open_time": int(columns.open_time[i]),
        "open": int(columns.open[i]),
        "high": int(columns.high[i]),
        "low": int(columns.low[i]),
        "close": int(columns.close[i]),
        "volume": (int(columns.volume_hi[i]) << 64) + int(columns.volume_lo[i]),
        "taker": (int(columns.taker_hi[i]) << 64) + int(columns.taker_lo[i]),
        "quote": (int(columns.quote_hi[i]) << 64) + int(columns.quote_lo[i]),
        "trades": int(columns.trades[i]),
        "revision": int(columns.revision[i]),
        "flags": int(columns.flags[i]),
        "origin": int(columns.origin[i]),
        "known_at": int(columns.known_at[i]),
    }
