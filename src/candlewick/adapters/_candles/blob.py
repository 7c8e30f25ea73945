"""Many candles as one value: each column as (base, unit, offsets) in the narrowest width that holds it.

A value is base + unit * offset modulo 2**64. On real 1 m bars that is some 45 bytes a row instead of 112, so that a
year of them is read, checked and decoded in well under 50 ms; general compressors take longer than that to undo.
"""

import struct
from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters._candles.rows import DTYPES, FIELDS, UNSIGNED, Table, empty

_MAGIC = b"CWB1"
_COLUMNS = len(FIELDS)
_HEADER = struct.Struct(f"<4sI{_COLUMNS}B{_COLUMNS}Q{_COLUMNS}Q")
_CONSTANT = 0
_COUNTING = 9
_WIDTHS: dict[int, np.dtype[np.unsignedinteger]] = {w: np.dtype(f"<u{w}") for w in (1, 2, 4, 8)}
_KINDS = frozenset({_CONSTANT, _COUNTING, *_WIDTHS})
_SAMPLE = 16


class NotABlob(ValueError):
    """The bytes are not what ``encoded`` makes."""

    def __init__(self, why: str, index: int) -> None:
        super().__init__(why)
        self.index = index


def encoded(table: Table) -> bytes:
    """The rows as one value."""
    n = len(table["open_time"])
    kinds, units, bases, parts = [], [], [], []
    for name in FIELDS:
        kind, unit, base, data = _packed(table[name], name in UNSIGNED)
        kinds.append(kind)
        units.append(unit)
        bases.append(base)
        parts.append(data)
    return b"".join((_HEADER.pack(_MAGIC, n, *kinds, *units, *bases), *parts))


def decoded(blobs: list[bytes], spare: int = 0) -> Table:
    """The rows of several values, one behind the other, and room for ``spare`` more, whose content is undefined.
    Raises NotABlob, whose ``index`` says which value it is."""
    if not blobs:
        return empty(spare)
    heads = [_head(blob, index) for index, blob in enumerate(blobs)]
    total = spare + sum(head.records for head in heads)
    ends = [_HEADER.size] * len(heads)
    table: Table = {}
    counts = [head.records for head in heads]
    by_column = [
        list(zip(*(getattr(head, part) for head in heads), strict=True)) for part in ("kinds", "units", "bases")
    ]
    is_same = [not any(kinds) and len(set(bases)) < 2 for kinds, _, bases in zip(*by_column, strict=True)]
    # All that varies lies in one block, and not of zeros: only np.empty asks for huge pages, and without them, as where
    # one column ends and another begins, page faults cost as much as all the rest.
    block = iter(np.empty((is_same.count(False), total), np.uint64))
    for name, is_one, kinds, units, bases in zip(FIELDS, is_same, *by_column, strict=True):
        dtype = DTYPES[name]
        if is_one:
            base = bases[0]
            # Zeros cost nothing until touched, and nobody touches the high limbs.
            table[name] = np.full(total, np.uint64(base).astype(dtype), dtype) if base else np.zeros(total, dtype)
            continue
        column = next(block)
        start = 0
        for j, (n, kind, unit, base) in enumerate(zip(counts, kinds, units, bases, strict=True)):
            target = column[start : start + n]
            start += n
            if kind == _CONSTANT:
                target[:] = base
                continue
            if kind == _COUNTING:
                target[:] = _counting(n)
            else:
                target[:] = np.frombuffer(blobs[j], _WIDTHS[kind], n, ends[j])
                ends[j] += n * kind
            if unit != 1:
                np.multiply(target, np.uint64(unit), target)
            if base:
                np.add(target, np.uint64(base), target)
        table[name] = column.view(dtype) if dtype.itemsize == 8 else column.astype(dtype)
    return table


class _Head(NamedTuple):
    records: int
    kinds: tuple[int, ...]
    units: tuple[int, ...]
    bases: tuple[int, ...]


def _head(blob: bytes, index: int) -> _Head:
    if len(blob) < _HEADER.size:
        raise NotABlob("too short for its header", index)
    magic, n, *rest = _HEADER.unpack_from(blob)
    head = _Head(n, tuple(rest[:_COLUMNS]), tuple(rest[_COLUMNS : 2 * _COLUMNS]), tuple(rest[2 * _COLUMNS :]))
    size = _HEADER.size + n * (sum(head.kinds) - _COUNTING * head.kinds.count(_COUNTING))
    if magic != _MAGIC or len(blob) != size or not _KINDS.issuperset(head.kinds):
        raise NotABlob(f"a wrong header or length, was {magic!r}, {len(blob)!r} bytes", index)
    return head


@lru_cache(maxsize=16)
def _counting(n: int) -> NDArray[np.uint64]:
    return np.arange(n, dtype=np.uint64)


def _packed(column: NDArray[np.generic], is_unsigned: bool) -> tuple[int, int, int, bytes]:
    """(kind, unit, base, data) of one column."""
    n = len(column)
    if n == 0:
        return _CONSTANT, 1, 0, b""
    wide = column.astype(np.uint64 if is_unsigned else np.int64, copy=False)
    low, high = int(wide.min()), int(wide.max())
    base = low & 0xFFFFFFFFFFFFFFFF
    spread = high - low
    if spread == 0:
        return _CONSTANT, 1, base, b""
    offsets = wide.view(np.uint64) - np.uint64(base)
    unit = _unit_of(offsets)
    if unit > 1:
        offsets //= np.uint64(unit)
        spread //= unit
    if spread == n - 1 and (offsets == np.arange(n, dtype=np.uint64)).all():
        return _COUNTING, unit, base, b""
    width = 1 if spread < 1 << 8 else 2 if spread < 1 << 16 else 4 if spread < 1 << 32 else 8
    return width, unit, base, offsets.astype(_WIDTHS[width]).tobytes()


def _unit_of(offsets: NDArray[np.uint64]) -> int:
    """A number that divides every offset; mostly the greatest one.

    A few values tell it nearly always, and one pass over all proves it: a full gcd of a day costs ten times as much.
    """
    unit = int(np.gcd.reduce(offsets[:: max(1, len(offsets) // _SAMPLE)]))
    while unit != 1:
        if unit == 0:
            return int(np.gcd.reduce(offsets))
        rest = offsets % np.uint64(unit)
        wrong = rest.argmax()
        if not rest[wrong]:
            return unit
        unit = gcd(unit, int(rest[wrong]))
    return 1
