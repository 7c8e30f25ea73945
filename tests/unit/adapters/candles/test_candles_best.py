"""Overlaying a few recent rows gives what sorting all rows would."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candlewick.adapters._candles.best import best, overlaid
from candlewick.adapters._candles.rows import FIELDS, Table, checked, from_records, joined, picked
from candlewick.contracts.stream import FINAL, GAPPED
from candlewick.testing.conformance.candles import candles


def _rows(times: list[int], seed: int, **kind: Any) -> Table:
    table = from_records(checked(candles(40, seed=seed, **kind)))
    return picked(table, np.array(times, np.int64))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(0, 39)),
    st.lists(
        st.tuples(st.integers(0, 39), st.integers(0, 2), st.integers(1, 4), st.sampled_from([FINAL, FINAL | GAPPED])),
        max_size=12,
    ),
    st.booleans(),
)
def test_overlaying_is_choosing(old: set[int], new: list[tuple[int, int, int, int]], has_doubles: bool) -> None:
    parts = [_rows(sorted(old), 1)]
    if has_doubles:
        parts.append(_rows(sorted(old)[:3], 9, revision=1))
    rows = joined(parts)
    rows = picked(rows, np.argsort(rows["open_time"], kind="stable"))
    recent = joined(
        [_rows([], 0)]
        + [
            _rows([time], seed, revision=revision, origin=origin, flags=flags)
            for seed, (time, revision, origin, flags) in enumerate(sorted(new), 20)
        ]
    )
    expected = best(joined([rows, recent]))
    room = {name: np.concatenate([rows[name], np.zeros_like(recent[name])]) for name in FIELDS}
    found = overlaid(room, len(rows["open_time"]), recent)
    for name in FIELDS:
        assert np.array_equal(found[name], expected[name]), name
