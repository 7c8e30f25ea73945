"""Rules of the $name service."""

import numpy as np

from candlewick.contracts.stream import FINAL, CandleBatch, CandleColumns
from candlewick.services.$name.domain import Close, is_newer, newest_close

MINUTE_NS = 60_000_000_000


def batch(timeframes, opens, closes, flags):
    rows = len(opens)
    columns = {
        name: np.zeros(rows, np.int64)
        for name in CandleColumns.__struct_fields__
        if name not in {"price_scale", "size_scale"}
    }
    columns |= {"timeframe": np.array(timeframes, np.int32), "flags": np.array(flags, np.uint8)}
    columns |= {"open_time": np.array(opens) * MINUTE_NS, "close": np.array(closes, np.int64)}
    return CandleBatch("binance", "BTC-USDT", CandleColumns(**columns, price_scale=2, size_scale=0))


def test_the_newest_final_candle_of_the_timeframe_counts():
    seen = newest_close(batch([60, 60, 60, 300], [1, 3, 4, 5], [100, 12345, 7, 9], [FINAL, FINAL, 0, FINAL]), 60)
    assert seen == Close("binance", "BTC-USDT", 3 * MINUTE_NS, "123.45")


def test_a_batch_of_open_candles_says_nothing():
    assert newest_close(batch([60], [1], [100], [0]), 60) is None


def test_a_revision_replaces_its_candle_and_an_older_candle_replaces_nothing():
    known = Close("binance", "BTC-USDT", 3 * MINUTE_NS, "123.45")
    assert is_newer(None, known)
    assert is_newer(known, Close("binance", "BTC-USDT", 3 * MINUTE_NS, "123.46"))
    assert not is_newer(known, Close("binance", "BTC-USDT", 2 * MINUTE_NS, "1.00"))
