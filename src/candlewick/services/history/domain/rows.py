"""Columns of candles cut, joined, compared and marked."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, CandleColumns

ARRAYS = tuple(name for name in CandleColumns.__struct_fields__ if not name.endswith("_scale"))
_PRICES = ("open", "high", "low", "close")


def picked(columns: CandleColumns, which: Any) -> CandleColumns:
    """The rows that a mask, an index array or a slice names."""
    arrays = {name: frozen(getattr(columns, name)[which]) for name in ARRAYS}
    return CandleColumns(**arrays, price_scale=columns.price_scale, size_scale=columns.size_scale)


def pieces(columns: CandleColumns, most: int) -> Iterator[CandleColumns]:
    """The rows in their order, at most ``most`` at a time."""
    for first in range(0, len(columns.open_time), most):
        yield picked(columns, slice(first, first + most))


def marked(
    columns: CandleColumns,
    *,
    origin: Origin | None = None,
    revision: NDArray[Any] | None = None,
    known_at: int | None = None,
) -> CandleColumns:
    """The same candles, final, with another provenance. Rows of a simulated market keep saying so."""
    n = len(columns.open_time)
    changes: dict[str, Any] = {"flags": frozen(_flags(columns))}
    if origin is not None:
        simulated = columns.origin == Origin.SIMULATED
        changes["origin"] = frozen(np.where(simulated, columns.origin, np.uint8(origin)).astype(np.uint8))
    if revision is not None:
        changes["revision"] = frozen(revision.astype(np.int32))
    if known_at is not None:
        changes["known_at"] = frozen(np.full(n, known_at, np.int64))
    return msgspec.structs.replace(columns, **changes)


def _flags(columns: CandleColumns) -> NDArray[np.uint8]:
    """Final; empty where nothing was traded."""
    nothing = (columns.volume_hi == 0) & (columns.volume_lo == 0) & (columns.trades <= 0)
    flags = columns.flags | FINAL
    return np.where(nothing, flags | EMPTY, flags).astype(np.uint8)


def is_gapped(columns: CandleColumns) -> NDArray[np.bool_]:
    return np.asarray((columns.flags & GAPPED) != 0, bool)


def same_values(a: CandleColumns, b: CandleColumns) -> NDArray[np.bool_]:
    """Whether rows (same open times, in order) agree in prices and volume, whatever their scales."""
    price, size = max(a.price_scale, b.price_scale), max(a.size_scale, b.size_scale)
    same = np.ones(len(a.open_time), bool)
    for name in _PRICES:
        left = getattr(a, name).astype(object) * 10 ** (price - a.price_scale)
        right = getattr(b, name).astype(object) * 10 ** (price - b.price_scale)
        same &= np.asarray(left == right, bool)
    left, right = volumes(a) * 10 ** (size - a.size_scale), volumes(b) * 10 ** (size - b.size_scale)
    return np.asarray(same & (left == right), bool)


def volumes(columns: CandleColumns) -> NDArray[Any]:
    """Volumes as Python integers at the columns' size scale."""
    return np.asarray((columns.volume_hi.astype(object) << 64) | columns.volume_lo.astype(object), object)


def absent(times: NDArray[np.int64], start_ns: int, end_ns: int, step_ns: int) -> list[tuple[int, int]]:
    """Runs [from, to) of open times in [start, end) that are not among ``times`` (sorted)."""
    inside = times[(times >= start_ns) & (times < end_ns)]
    edges = np.concatenate([[start_ns - step_ns], inside, [end_ns]])
    holes = np.flatnonzero(np.diff(edges) > step_ns)
    return [(int(edges[at]) + step_ns, int(edges[at + 1])) for at in holes]


def runs(times: Sequence[int], step_ns: int) -> list[tuple[int, int]]:
    """Sorted open times as [from, to) runs."""
    found: list[tuple[int, int]] = []
    for time in times:
        if found and time <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], time + step_ns))
        else:
            found.append((time, time + step_ns))
    return found
