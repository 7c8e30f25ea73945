"""Minutes to a longer timeframe as arrays, for history that was fetched or imported as 1 m alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, RECEIVE_TIMES, CandleColumns
from candlewick.contracts.timeframes import SECONDS
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.errors import Rejected

_WEEK_SHIFT = 4 * 86_400 * NS_PER_SECOND
_LOW32 = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


class NotMinutes(Rejected):
    """Only sorted 1 m candles, one a minute, can be put together."""

    code = "NOT_MINUTES"


def from_minutes(minutes: CandleColumns, seconds: int) -> CandleColumns:
    """Candles of a longer timeframe from 1 m rows sorted by open time, one a minute (``merge.best`` makes them so).

    Prices are those of the minutes with trades. A frame is GAPPED when a minute is missing or gapped, so the first and
    last are unless their minutes are all there; one without any trade exists only when every minute is there. Trades
    are -1 when unknown in one minute. ``origin`` and ``revision`` are the largest of the minutes', ``known_at`` the
    newest. Raises NotMinutes.
    """
    times = minutes.open_time
    if (minutes.timeframe != 60).any() or (times[1:] <= times[:-1]).any() or seconds not in SECONDS.values():
        raise NotMinutes(f"rows must be 1 m, in order, for a known timeframe, was a timeframe of {seconds!r} s")
    n = len(times)
    if n == 0:
        return minutes
    length, shift = seconds * NS_PER_SECOND, _WEEK_SHIFT if seconds == SECONDS["1w"] else 0
    opens = (times - shift) // length * length + shift
    first = np.flatnonzero(np.r_[True, opens[1:] != opens[:-1]])
    size = np.diff(np.r_[first, n])
    traded = (minutes.flags & EMPTY) == 0
    has = np.add.reduceat(traded, first, dtype=np.int64) > 0
    # Where nothing was traded all minutes count for prices: they carry one price.
    counts = traded | ~np.repeat(has, size)
    place = np.arange(n)
    head = np.minimum.reduceat(np.where(counts, place, n), first)
    tail = np.maximum.reduceat(np.where(counts, place, -1), first)
    whole = size == seconds // 60
    gapped = np.maximum.reduceat(minutes.flags & GAPPED, first) > 0
    flags = np.full(len(first), FINAL, np.uint8)
    flags[(~whole | gapped) & has] |= GAPPED
    flags[~has] |= EMPTY
    flags |= np.bitwise_or.reduceat(minutes.flags & RECEIVE_TIMES, first)
    trades = np.add.reduceat(minutes.trades, first)
    trades[np.minimum.reduceat(minutes.trades, first) < 0] = -1
    limits = np.iinfo(np.int64)
    volume_hi, volume_lo = _sums(minutes.volume_hi, minutes.volume_lo, first)
    taker_hi, taker_lo = _sums(minutes.taker_hi, minutes.taker_lo, first)
    quote_hi, quote_lo = _sums(minutes.quote_hi, minutes.quote_lo, first)
    made: dict[str, NDArray[Any]] = {
        "timeframe": np.full(len(first), seconds, np.int32),
        "open_time": opens[first],
        "open": minutes.open[head],
        "high": np.maximum.reduceat(np.where(counts, minutes.high, limits.min), first),
        "low": np.minimum.reduceat(np.where(counts, minutes.low, limits.max), first),
        "close": minutes.close[tail],
        "volume_hi": volume_hi,
        "volume_lo": volume_lo,
        "taker_hi": taker_hi,
        "taker_lo": taker_lo,
        "quote_hi": quote_hi,
        "quote_lo": quote_lo,
        "trades": trades,
        "revision": np.maximum.reduceat(minutes.revision, first),
        "flags": flags,
        "origin": np.maximum.reduceat(minutes.origin, first),
        "known_at": np.maximum.reduceat(minutes.known_at, first),
    }
    kept = np.flatnonzero(has | whole)
    rows = {name: array[kept] for name, array in made.items()}
    return CandleColumns(**rows, price_scale=minutes.price_scale, size_scale=minutes.size_scale)


def _sums(
    high: NDArray[np.int64], low: NDArray[np.uint64], first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Exact 128-bit sums of groups: 32 bits at a time, so that 2**32 rows fit before a carry is lost."""
    bottom = np.add.reduceat(low & _LOW32, first)
    middle = np.add.reduceat(low >> _32, first) + (bottom >> _32)
    top = np.add.reduceat(high, first) + (middle >> _32).astype(np.int64)
    return top, (middle << _32) | (bottom & _LOW32)
