"""Which row stands for a candle when several are known, and how columns are cut and joined.

A row that saw everything beats one with a gap inside; then the higher revision; then the origin: repaired over built
(or simulated) over fetched. So a candle whose feed began in its middle gives way to the venue's own, and a candle that
was built whole does not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import GAPPED, CandleColumns
from candlewick.kernel.errors import Rejected
from candlewick.quant.candles.values import CandleArrays

ORIGIN_RANK: dict[int, int] = {
    Origin.FETCHED: 1,
    Origin.BUILT: 2,
    Origin.SIMULATED: 2,
    Origin.REPAIRED: 3,
}
_RANKS = np.zeros(256, np.int64)
for _origin, _rank in ORIGIN_RANK.items():
    _RANKS[_origin] = _rank
_SCALES = ("price_scale", "size_scale")
ARRAYS: tuple[str, ...] = tuple(f for f in CandleColumns.__struct_fields__ if f not in _SCALES)


class MixedScales(Rejected):
    """Columns of different decimal scales cannot be joined as they are."""

    code = "MIXED_SCALES"


def rank(columns: CandleColumns | CandleArrays) -> NDArray[np.int64]:
    """One number a row; of two rows of one candle the higher one stands."""
    whole = (columns.flags & GAPPED) == 0
    out: NDArray[np.int64] = (whole.astype(np.int64) << 40) | (columns.revision.astype(np.int64) << 8)
    return out | _RANKS[columns.origin]


def take(columns: CandleColumns, places: NDArray[Any]) -> CandleColumns:
    """The rows at these places, in their order."""
    arrays = {name: getattr(columns, name)[places] for name in ARRAYS}
    return CandleColumns(**arrays, price_scale=columns.price_scale, size_scale=columns.size_scale)


def concat(parts: Sequence[CandleColumns]) -> CandleColumns:
    """The rows of all parts one after the other. Raises MixedScales; at least one part."""
    first = parts[0]
    for part in parts[1:]:
        if (part.price_scale, part.size_scale) != (first.price_scale, first.size_scale):
            raise MixedScales(
                f"columns must share scales {first.price_scale} and {first.size_scale}, "
                f"was {part.price_scale} and {part.size_scale}"
            )
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return CandleColumns(**arrays, price_scale=first.price_scale, size_scale=first.size_scale)


def best(columns: CandleColumns) -> CandleColumns:
    """One row a (timeframe, open time), sorted by both: the one that stands."""
    order = np.lexsort((rank(columns), columns.open_time, columns.timeframe))
    frames, times = columns.timeframe[order], columns.open_time[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (frames[1:] != frames[:-1]) | (times[1:] != times[:-1])
    return take(columns, order[last])


def empty(price_scale: int = 0, size_scale: int = 0) -> CandleColumns:
    """No rows."""
    kinds = {"timeframe": np.int32, "revision": np.int32, "flags": np.uint8, "origin": np.uint8}
    kinds |= dict.fromkeys(("volume_lo", "taker_lo", "quote_lo"), np.uint64)
    arrays: dict[str, Any] = {name: np.empty(0, kinds.get(name, np.int64)) for name in ARRAYS}
    return CandleColumns(**arrays, price_scale=price_scale, size_scale=size_scale)
