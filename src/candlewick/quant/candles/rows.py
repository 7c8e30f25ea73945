"""Rows of the kernels as the columns of a message."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import CandleColumns
from candlewick.quant.candles.layout import (
    B_SIMULATED,
    R_BITS,
    R_CLOSE,
    R_HIGH,
    R_KNOWN_AT,
    R_LOW,
    R_OPEN,
    R_OPEN_TIME,
    R_QUOTE,
    R_REVISION,
    R_TAKER,
    R_TIMEFRAME,
    R_TRADES,
    R_VOLUME,
    Words,
)
from candlewick.quant.compiled import kernel

_BUILT, _SIMULATED = int(Origin.BUILT), int(Origin.SIMULATED)


@kernel("i8[:,:]", "i8[:]", "i8", "i8[:,:]", "u8[:,:]", "u1[:,:]", is_brief=True)
def spread(rows: Any, order: Any, aggregated: int, signed: Any, low: Any, small: Any) -> None:
    """Rows in ``order`` into columns by item type."""
    for i in range(order.shape[0]):
        row = rows[order[i]]
        signed[0, i] = row[R_OPEN_TIME]
        signed[1, i] = row[R_OPEN]
        signed[2, i] = row[R_HIGH]
        signed[3, i] = row[R_LOW]
        signed[4, i] = row[R_CLOSE]
        signed[5, i] = row[R_VOLUME + 1]
        signed[6, i] = row[R_TAKER + 1]
        signed[7, i] = row[R_QUOTE + 1]
        trades = row[R_TRADES]
        signed[8, i] = -1 if aggregated and trades > 0 else trades
        signed[9, i] = row[R_KNOWN_AT]
        signed[10, i] = row[R_TIMEFRAME]
        signed[11, i] = row[R_REVISION]
        low[0, i] = np.uint64(row[R_VOLUME])
        low[1, i] = np.uint64(row[R_TAKER])
        low[2, i] = np.uint64(row[R_QUOTE])
        small[0, i] = row[R_BITS] & 255
        small[1, i] = _SIMULATED if row[R_BITS] & B_SIMULATED else _BUILT


def columns(
    rows: Words, order: NDArray[np.int64], aggregated: bool, price_scale: int, size_scale: int
) -> CandleColumns:
    """The rows named by ``order`` as read-only columns."""
    n = len(order)
    signed = np.empty((12, n), np.int64)
    low = np.empty((3, n), np.uint64)
    small = np.empty((2, n), np.uint8)
    spread(rows, order, aggregated, signed, low, small)
    pair = signed[10:].astype(np.int32)
    signed.flags.writeable = False
    low.flags.writeable = False
    small.flags.writeable = False
    pair.flags.writeable = False
    times, opens, highs, lows, closes, volume_hi, taker_hi, quote_hi, trades, known_at = signed[:10]
    timeframe, revision = pair
    flags, origin = small
    volume_lo, taker_lo, quote_lo = low
    return CandleColumns(
        timeframe,
        times,
        opens,
        highs,
        lows,
        closes,
        volume_hi,
        volume_lo,
        taker_hi,
        taker_lo,
        quote_hi,
        quote_lo,
        trades,
        revision,
        flags,
        origin,
        known_at,
        price_scale,
        size_scale,
    )
