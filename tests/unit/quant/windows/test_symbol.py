"""Final and open candles of one symbol: no hole while a closed candle waits, frames put together from minutes."""

import numpy as np
import pytest

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import FINAL, GAPPED, CandleColumns
from candlewick.quant.windows.symbol import SymbolWindows

NS = 1_000_000_000
T0 = 1_700_006_400 * NS  # opens an hour


def columns(rows, *, flags=FINAL, seconds=60):
    """Candles as (minute, price, volume) with two digits."""
    n = len(rows)
    price = np.array([p for _, p, _ in rows], np.int64) * 100
    volume = np.array([v for _, _, v in rows], np.uint64) * np.uint64(100)
    zero, low = np.zeros(n, np.int64), np.zeros(n, np.uint64)
    times = np.array([T0 + m * 60 * NS for m, _, _ in rows], np.int64)
    return CandleColumns(
        timeframe=np.full(n, seconds, np.int32), open_time=times, open=price, high=price, low=price, close=price,
        volume_hi=zero, volume_lo=volume, taker_hi=zero, taker_lo=low, quote_hi=zero, quote_lo=low,
        trades=np.ones(n, np.int64), revision=np.zeros(n, np.int32), flags=np.full(n, flags, np.uint8),
        origin=np.full(n, Origin.BUILT, np.uint8), known_at=times, price_scale=2, size_scale=2,
    )  # fmt: skip


@pytest.fixture
def windows():
    made = SymbolWindows(1500)
    made.apply(columns([(m, 100 + m, 1) for m in range(5)]))
    return made


def test_a_closed_candle_that_waits_stays_until_its_final_row_comes(windows):
    windows.apply_open(columns([(5, 105, 2)], flags=0))
    windows.apply_open(columns([(6, 106, 3)], flags=0))
    shown = windows.open_rows(60)
    assert (shown["open_time_ms"] // 60_000 - T0 // (60 * NS)).tolist() == [5, 6]
    assert not (shown["flags"] & FINAL).any()
    windows.apply(columns([(5, 105, 2)]))
    assert windows.open_rows(60)["close"].tolist() == [106.0]
    windows.apply(columns([(6, 106, 3)]))
    assert windows.open_rows(60) is None


def test_a_frame_that_began_before_the_feed_is_put_together_from_its_minutes(windows):
    windows.apply_open(columns([(5, 90, 2)], flags=0))
    windows.apply_open(columns([(6, 95, 3)], flags=0))
    windows.apply_open(columns([(0, 95, 3)], flags=GAPPED, seconds=3600))
    hour = windows.open_row(3600)
    assert hour["open_time_ms"].tolist() == [T0 // 1_000_000]
    got = [hour[name][0] for name in ("open", "high", "low", "close", "volume", "trades")]
    assert got == [100.0, 104.0, 90.0, 95.0, 10.0, 7]
    assert not hour["flags"][0] & (FINAL | GAPPED)


def test_the_stream_s_own_whole_frame_is_taken_as_it_is(windows):
    windows.apply_open(columns([(0, 77, 8)], flags=0, seconds=300))
    assert windows.open_row(300)["volume"].tolist() == [8.0]


def test_nothing_is_open_before_anything_is_known():
    empty = SymbolWindows(1500)
    assert empty.open_rows(60) is None
    assert empty.open_row(3600) is None
