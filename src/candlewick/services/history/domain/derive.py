"""Longer candles from shorter ones, with exact sums."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, CandleColumns
from candlewick.contracts.timeframes import NAMES, open_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.services.history.domain import rows
from candlewick.services.history.domain.gaps import MINUTE_S

_MASK: Final = (1 << 64) - 1


def targets(timeframe_s: int) -> list[int]:
    """Timeframes from 1m on that can be made of this one."""
    return [t for t in sorted(NAMES) if t > timeframe_s and t >= MINUTE_S and t % timeframe_s == 0]


def derived(source: CandleColumns, timeframe_s: int, start_ns: int, end_ns: int) -> CandleColumns:
    """Candles of ``timeframe_s`` whose time lies wholly inside [start, end), of final candles of one shorter timeframe
    in order of time. One whose parts are not all there, or not all whole, is GAPPED; one without any part is left out.
    """
    whole = (source.open_time >= start_ns) & (source.open_time < end_ns)
    source = rows.picked(source, whole)
    step = timeframe_s * NS_PER_SECOND
    shift = open_of(0, timeframe_s)
    opens = (source.open_time - shift) // step * step + shift
    inside = (opens >= start_ns) & (opens + step <= end_ns)
    source, opens = rows.picked(source, inside), opens[inside]
    firsts = np.flatnonzero(np.concatenate([[True], opens[1:] != opens[:-1]])) if len(opens) else np.empty(0, np.intp)
    lasts = np.append(firsts[1:], len(opens)) - 1 if len(opens) else firsts
    n = len(firsts)
    parts = timeframe_s // int(source.timeframe[0]) if n else 1
    gapped = (lasts - firsts + 1 < parts) | _any(rows.is_gapped(source), firsts)
    empty = ~_any((source.flags & EMPTY) == 0, firsts)
    flags = np.full(n, FINAL, np.uint8)
    flags[gapped] |= GAPPED
    flags[empty] |= EMPTY
    volume_hi, volume_lo = _sums(source.volume_hi, source.volume_lo, firsts)
    taker_hi, taker_lo = _sums(source.taker_hi, source.taker_lo, firsts)
    quote_hi, quote_lo = _sums(source.quote_hi, source.quote_lo, firsts)
    unknown = _any(source.trades < 0, firsts)
    trades = np.add.reduceat(source.trades, firsts) if n else np.empty(0, np.int64)
    simulated = _any(source.origin == Origin.SIMULATED, firsts)
    return CandleColumns(
        timeframe=frozen(np.full(n, timeframe_s, np.int32)),
        open_time=frozen(opens[firsts]),
        open=frozen(source.open[firsts]),
        high=frozen(np.maximum.reduceat(source.high, firsts) if n else source.high),
        low=frozen(np.minimum.reduceat(source.low, firsts) if n else source.low),
        close=frozen(source.close[lasts]),
        volume_hi=volume_hi,
        volume_lo=volume_lo,
        taker_hi=taker_hi,
        taker_lo=taker_lo,
        quote_hi=quote_hi,
        quote_lo=quote_lo,
        trades=frozen(np.where(unknown, -1, trades).astype(np.int64)),
        revision=frozen(np.zeros(n, np.int32)),
        flags=frozen(flags),
        origin=frozen(np.where(simulated, Origin.SIMULATED, Origin.FETCHED).astype(np.uint8)),
        known_at=frozen(opens[firsts] + step),
        price_scale=source.price_scale,
        size_scale=source.size_scale,
    )


def _any(where: NDArray[np.bool_], firsts: NDArray[np.intp]) -> NDArray[np.bool_]:
    return np.logical_or.reduceat(where, firsts) if len(firsts) else np.empty(0, bool)


def _sums(
    high: NDArray[np.int64], low: NDArray[np.uint64], firsts: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    if not len(firsts):
        return frozen(high), frozen(low)
    if not high.any() and int(low.max(initial=0)) < _MASK // max(1, len(low)):
        return frozen(np.zeros(len(firsts), np.int64)), frozen(np.add.reduceat(low, firsts))
    wide = np.add.reduceat((high.astype(object) << 64) | low.astype(object), firsts).tolist()
    return (
        frozen(np.array([value >> 64 for value in wide], np.int64)),
        frozen(np.array([value & _MASK for value in wide], np.uint64)),
    )
