"""Rings: the newest candles in order whatever the order of arrival, one encoding a candle."""

import json

import numpy as np
import pytest

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.ring import FIELDS, Ring

MINUTE = 60_000


def rows(minutes, *, close=None, revision=0, origin=Origin.BUILT, flags=FINAL):
    n = len(minutes)
    values = dict.fromkeys((name for name, _ in FIELDS), 1.0)
    made = {name: np.full(n, values[name]).astype(dtype) for name, dtype in FIELDS}
    made["open_time_ms"] = np.array(minutes, np.int64) * MINUTE
    made["close"] = np.array(minutes if close is None else [close] * n, np.float64)
    made["revision"][:] = revision
    made["origin"][:] = origin
    made["flags"][:] = flags
    return CandleArrays(**made)


def closes(ring):
    return ring.column("close", 10_000).tolist()


def test_keeps_the_newest_in_order_over_many_turns():
    ring = Ring(8)
    for start in range(0, 100, 3):
        ring.apply(rows(range(start, start + 3)))
    assert closes(ring) == list(range(94, 102))
    assert len(ring.encoded(0, 8)) == 8
    assert [json.loads(r)["close"] for r in ring.encoded(0, 8)] == closes(ring)


def test_any_order_of_arrival_gives_the_same_ring():
    random = np.random.default_rng(7)
    for _ in range(50):
        ring = Ring(16)
        for minute in random.permutation(16):
            ring.apply(rows([int(minute)]))
        assert closes(ring) == list(range(16))
        assert [json.loads(r)["open_time"] for r in ring.encoded(0, 16)] == [m * MINUTE for m in range(16)]


def test_the_better_row_stands_and_its_json_follows():
    ring = Ring(4)
    ring.apply(rows([1], close=10, flags=FINAL | GAPPED))
    assert json.loads(ring.encoded(0, 1)[0])["quality"] == "gapped"
    assert ring.apply(rows([1], close=11, origin=Origin.FETCHED)) == [MINUTE]
    assert ring.apply(rows([1], close=12, flags=FINAL | GAPPED, revision=3)) == []
    assert ring.apply(rows([1], close=13, origin=Origin.REPAIRED, revision=1)) == [MINUTE]
    assert ring.apply(rows([1], close=14, revision=1)) == []
    shown = json.loads(ring.encoded(0, 1)[0])
    assert (shown["close"], shown["origin"], shown["revision"], shown["quality"]) == (13.0, "repaired", 1, "ok")


def test_older_than_the_oldest_of_a_full_ring_is_ignored():
    ring = Ring(3)
    ring.apply(rows([5, 6, 7]))
    assert ring.apply(rows([4])) == []
    assert closes(ring) == [5, 6, 7]


def test_a_window_is_a_view_and_between_finds_rows():
    ring = Ring(8)
    ring.apply(rows([1, 2, 4, 5]))
    assert ring.between(2 * MINUTE, 5 * MINUTE) == (1, 3)
    assert ring.view(2)["close"].base is not None
    assert ring.last_open_ms == 5 * MINUTE
    assert Ring(2).last_open_ms == -1


@pytest.mark.parametrize("flag", [FINAL, FINAL | EMPTY])
def test_unknown_trade_counts_are_null(flag):
    ring = Ring(2)
    one = rows([1], flags=flag)
    one.trades[:] = -1
    ring.apply(one)
    assert json.loads(ring.encoded(0, 1)[0])["trades"] is None


@pytest.mark.slow
def test_a_page_at_once_gives_the_same_as_row_after_row():
    random = np.random.default_rng(11)
    for _ in range(200):
        paged, single = Ring(12), Ring(12)
        at = 0
        for _ in range(int(random.integers(1, 6))):
            page = at + np.cumsum(random.integers(1, 3, int(random.integers(1, 30))))
            at = int(page[-1])
            changed = paged.apply(rows(page))
            expected = [t for minute in page for t in single.apply(rows([int(minute)]))]
            assert changed == expected[-len(changed) :]
            assert len(changed) >= min(len(page), 12)
            assert closes(paged) == closes(single)
            assert paged.encoded(0, len(paged)) == single.encoded(0, len(single))
            assert (paged.first_open_ms, paged.last_open_ms) == (single.first_open_ms, single.last_open_ms)


@pytest.mark.slow
def test_rows_among_those_that_are_here_give_the_same_at_once_as_one_by_one():
    """Pages come newest first, and rows of one candle in any number; whatever is encoded already stays what it is."""
    random = np.random.default_rng(11)
    for _ in range(25):
        one, many = Ring(40), Ring(40)
        for _ in range(6):
            page = rows(random.integers(0, 60, random.integers(5, 30)))
            page.revision[:] = random.integers(0, 3, len(page.revision))
            page.flags[:] = random.choice([FINAL, FINAL | GAPPED], len(page.flags))
            page.close[:] = random.integers(0, 1000, len(page.close))
            before = seen(one)
            for i in range(len(page.close)):
                one.apply(CandleArrays(**{name: getattr(page, name)[i : i + 1] for name, _ in FIELDS}))
            changed = many.apply(page)
            assert seen(many) == seen(one)
            assert many.encoded(0, len(many)) == one.encoded(0, len(one))
            differing = {when for when, row in seen(many).items() if before.get(when) != row}
            assert differing <= set(changed) <= set(seen(many))


def seen(ring):
    """Every row by its open time."""
    view = ring.view(10_000)
    return {int(when): tuple(view[name][i].item() for name, _ in FIELDS) for i, when in enumerate(view["open_time_ms"])}


def test_every_field_is_cut_under_its_own_name():
    ring = Ring(4)
    for i, array in enumerate(ring._arrays.values()):
        array[:] = i
    ring._end = 3
    for cut in (ring.view(2), ring.slice(0, 2)):
        assert {name: (array.tolist(), array.dtype) for name, array in cut.items()} == {
            name: ([i, i], dtype) for i, (name, dtype) in enumerate(FIELDS)
        }
