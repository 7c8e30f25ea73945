"""Stored candles as arrays: the columns of ``CandleColumns`` with a scale of its own for every row.

A series may change its scales over time; a row keeps the scale it came with and is raised, exactly, when it is read.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import frozen
from candlewick.contracts.stream import FINAL, CandleColumns
from candlewick.kernel.decimals import INT64_MAX, MAX_SCALE, BadDecimal
from candlewick.ports.candles import BadCandles, NotFinal

PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "taker")
WIDE = (
    "open_time",
    *PRICES,
    "volume_hi",
    "volume_lo",
    "taker_hi",
    "taker_lo",
    "quote_hi",
    "quote_lo",
    "trades",
    "known_at",
)
SMALL = ("revision", "flags", "origin", "price_scale", "size_scale")
FIELDS = WIDE + SMALL

UNSIGNED = frozenset({"volume_lo", "taker_lo", "quote_lo"})
DTYPES: dict[str, np.dtype[Any]] = {
    **{name: np.dtype("<u8" if name in UNSIGNED else "<i8") for name in WIDE},
    "revision": np.dtype("<i4"),
    **dict.fromkeys(("flags", "origin", "price_scale", "size_scale"), np.dtype("u1")),
}
RECORD = np.dtype([(name, DTYPES[name]) for name in FIELDS])

Table = dict[str, NDArray[Any]]


def empty(n: int) -> Table:
    """n rows of zeros."""
    return {name: np.zeros(n, DTYPES[name]) for name in FIELDS}


def checked(columns: CandleColumns) -> NDArray[Any]:
    """Rows to keep, as records. Raises NotFinal, BadCandles."""
    n = len(columns.open_time)
    for name in ("timeframe", *WIDE, "revision", "flags", "origin"):
        shape = getattr(columns, name).shape
        if shape != (n,):
            raise BadCandles(f"every column must have shape ({n},), was {name} {shape!r}")
    for name in ("price_scale", "size_scale"):
        scale = getattr(columns, name)
        if not 0 <= scale <= MAX_SCALE:
            raise BadCandles(f"{name} must be 0 to {MAX_SCALE}, was {scale!r}")
    is_open = (columns.flags & FINAL) == 0
    if is_open.any():
        raise NotFinal(f"only final candles are kept, was open_time {int(columns.open_time[is_open.argmax()])!r}")
    if n and int(columns.timeframe.min()) <= 0:
        raise BadCandles(f"a timeframe must be positive seconds, was {int(columns.timeframe.min())!r}")
    if n and int(columns.revision.min()) < 0:
        raise BadCandles(f"a revision must not be negative, was {int(columns.revision.min())!r}")
    records = np.empty(n, RECORD)
    for name in FIELDS:
        records[name] = getattr(columns, name)
    return records


def from_records(records: NDArray[Any]) -> Table:
    """Records as contiguous columns."""
    return {name: np.ascontiguousarray(records[name]) for name in FIELDS}


def joined(tables: list[Table]) -> Table:
    """Rows of all, one table behind the other."""
    if len(tables) == 1:
        return tables[0]
    return {name: np.concatenate([table[name] for table in tables]) for name in FIELDS}


def picked(table: Table, which: Any) -> Table:
    """The rows that an index array, a mask or a slice names."""
    return {name: column[which] for name, column in table.items()}


def by_identity(table: Table) -> Table:
    """Sorted by (open_time, revision, origin); of equal identities the first one stays."""
    order = np.lexsort((table["origin"], table["revision"], table["open_time"]))
    table = picked(table, order)
    n = len(order)
    if n < 2:
        return table
    is_new = np.ones(n, np.bool_)
    same = table["open_time"][1:] == table["open_time"][:-1]
    same &= table["revision"][1:] == table["revision"][:-1]
    same &= table["origin"][1:] == table["origin"][:-1]
    is_new[1:] = ~same
    return table if is_new.all() else picked(table, is_new)


def distinct_times(sorted_times: NDArray[np.int64]) -> int:
    """How many open times a sorted column holds."""
    return 0 if len(sorted_times) == 0 else int(np.count_nonzero(np.diff(sorted_times))) + 1


def as_they_are(table: Table, timeframe_s: int = 0, price_scale: int = 0, size_scale: int = 0) -> CandleColumns:
    """The columns with no row's mantissas changed."""
    columns = {name: frozen(column) for name, column in table.items() if not name.endswith("_scale")}
    timeframe = frozen(np.full(len(table["open_time"]), timeframe_s, np.int32))
    return CandleColumns(timeframe=timeframe, **columns, price_scale=price_scale, size_scale=size_scale)


def to_columns(table: Table, timeframe_s: int, price_scale: int, size_scale: int) -> CandleColumns:
    """What a caller gets: every row at the given scales, which are at least those of the rows. Raises BadDecimal when
    a price cannot be held at the larger scale."""
    out = dict(table)
    by_price = _raises(table["price_scale"], price_scale)
    by_size = _raises(table["size_scale"], size_scale)
    if by_price is not None:
        for name in PRICES:
            out[name] = _raised(table[name], by_price)
    if by_size is not None:
        for name in VOLUMES:
            out[f"{name}_hi"], out[f"{name}_lo"] = raised_128(table[f"{name}_hi"], table[f"{name}_lo"], by_size)
    if by_price is not None or by_size is not None:
        zero = np.zeros(len(table["open_time"]), np.int64)
        by_both = (zero if by_price is None else by_price) + (zero if by_size is None else by_size)
        out["quote_hi"], out["quote_lo"] = raised_128(table["quote_hi"], table["quote_lo"], by_both)
    return as_they_are(out, timeframe_s, price_scale, size_scale)


def _raises(scales: NDArray[Any], to: int) -> NDArray[np.int64] | None:
    """By how many digits each row goes up; None when none does."""
    if not len(scales) or (scales == to).all():
        return None
    return to - scales.astype(np.int64)


def _raised(column: NDArray[Any], digits: NDArray[np.int64]) -> NDArray[np.int64]:
    factor = np.power(np.int64(10), digits)
    if (np.abs(column) > INT64_MAX // factor).any():
        raise BadDecimal(f"a stored price does not fit 64 bits at the series' larger scale, was {int(column.max())!r}")
    return column * factor


def raised_128(
    high: NDArray[Any], low: NDArray[Any], digits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """(high * 2**64 + low) * 10**digits for each row, in two limbs."""
    high, low = high.copy(), low.copy()
    left = digits.copy()
    half = np.uint64(32)
    mask = np.uint64(0xFFFFFFFF)
    while left.any():
        # 10**9 is the largest power of ten below 2**32, so each half's product fits 64 bits.
        step = np.minimum(left, 9)
        factor = np.power(np.uint64(10), step.astype(np.uint64))
        lower = (low & mask) * factor
        upper = (low >> half) * factor + (lower >> half)
        low = (upper << half) | (lower & mask)
        high = high * factor.astype(np.int64) + (upper >> half).astype(np.int64)
        left = left - step
    return high, low
