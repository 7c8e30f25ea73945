"""The blob gives back exactly what was put in, in less room."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from candlewick.adapters._candles.blob import NotABlob, decoded, encoded
from candlewick.adapters._candles.rows import DTYPES, FIELDS, Table, checked, from_records, raised_128
from candlewick.testing.conformance.candles import candles


def _assert_same(found: Table, expected: Table) -> None:
    for name in FIELDS:
        assert found[name].dtype == expected[name].dtype
        assert np.array_equal(found[name], expected[name]), name


def _column(name: str, n: int, random: np.random.Generator) -> NDArray[Any]:
    dtype = DTYPES[name]
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    base = int(random.integers(least, most, dtype=dtype))
    shape = random.integers(0, 5)
    if shape == 0:
        return np.full(n, base, dtype)
    if shape == 1:
        return random.integers(least, most, n, dtype=dtype, endpoint=True)
    width = min(int(2 ** random.integers(1, 62)), most - base)
    unit = int(random.choice([1, 2, 1000]))
    offsets = np.arange(n) if shape == 2 else random.integers(0, max(1, width // unit), n)
    return (base + np.minimum(offsets * unit, width).astype(dtype)).astype(dtype)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_any_columns_come_back(seed: int, lengths: list[int]) -> None:
    random = np.random.default_rng(seed)
    tables = [{name: _column(name, n, random) for name in FIELDS} for n in lengths]
    found = decoded([encoded(table) for table in tables])
    _assert_same(found, {name: np.concatenate([table[name] for table in tables]) for name in FIELDS})


def test_regular_columns_cost_nothing() -> None:
    table = from_records(checked(candles(1440)))
    for name in FIELDS:
        if name not in {"open_time", "known_at", "revision", "flags", "origin", "price_scale", "size_scale"}:
            table[name] = np.zeros_like(table[name])
    assert len(encoded(table)) < 400


def test_every_damaged_header_is_refused() -> None:
    blob = encoded(from_records(checked(candles(100))))
    for bad in (b"", blob[:10], blob[:-1], blob + b"\x00", b"XXXX" + blob[4:], blob[:8] + b"\x03" + blob[9:]):
        with pytest.raises(NotABlob):
            decoded([bad])


@given(st.lists(st.tuples(st.integers(0, (1 << 90) - 1), st.integers(0, 11)), min_size=1, max_size=20))
def test_128_bits_are_raised_exactly(values: list[tuple[int, int]]) -> None:
    high = np.array([value >> 64 for value, _ in values], np.int64)
    low = np.array([value & ((1 << 64) - 1) for value, _ in values], np.uint64)
    digits = np.array([digits for _, digits in values], np.int64)
    raised = raised_128(high, low, digits)
    found = [(h << 64) + lo for h, lo in zip(raised[0].tolist(), raised[1].tolist(), strict=True)]
    assert found == [value * 10**digits for value, digits in values]
