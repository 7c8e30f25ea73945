"""What a data dir's candle store holds, to be compared bit for bit; and recordings to fill it from."""

import asyncio
import gzip
import json

import numpy as np

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.quant.candles.merge import ARRAYS
from candlewick.testing.shared_data import shared_data

FEED = "A_raw_feeds/binance_raw_hft/spot_btcusdt_"


def recordings(folder):
    """The public recordings where this machine has them, else an hour of made-up trades."""
    found = [shared_data(f"{FEED}{day}.gz") for day in ("20240808", "20240809")]
    if None not in found:
        return found
    path = folder / "made-up.gz"
    with gzip.open(path, "wt") as file:
        for i in range(40_000):
            ms = 1_700_000_000_000 + i * 90
            trade = {"e": "trade", "E": ms, "s": "BTCUSDT", "t": i + 1, "p": f"{60_000 + i * 7919 % 997}.01000000",
                     "q": f"0.{i * 104729 % 99_999_999 + 1:08d}", "T": ms, "m": bool(i % 3), "M": True}  # fmt: skip
            file.write(f"{ms}000000 {json.dumps({'stream': 'btcusdt@trade', 'data': trade})}\n")
    return [path]


def stored(data):
    """Every series of the store, all columns."""

    async def read():
        store = SqliteCandleStore(data / "history" / "candles.db")
        await store.open()
        found = {}
        for series in await store.series():
            rows = await store.range(series.exchange, series.symbol, series.timeframe_s, 0, 1 << 62)
            found[series.symbol, series.timeframe_s] = {name: getattr(rows, name) for name in ARRAYS}
        await store.close()
        return found

    return asyncio.run(read())


def counted(found):
    """Rows by series."""
    return {series: len(columns["open_time"]) for series, columns in found.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for series, columns in expected.items():
        for name, values in columns.items():
            assert np.array_equal(found[series][name], values), (series, name)
