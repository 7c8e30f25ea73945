"""LAWS 1-4 on recorded trades: candles equal the exchange's own, volume to the last digit."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import feather

from candlewick.contracts.base import Message
from candlewick.contracts.collector import Progress, TradeIds
from candlewick.contracts.stream import EMPTY, GAPPED
from candlewick.kernel.decimals import parse_mantissa, to_float
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.candles import Candle, CandleOracle
from candlewick.testing.oracle.feed import Tick, batch, drive
from candlewick.testing.shared_data import REASON, shared_data

MINUTE = 60_000_000_000
RAW = shared_data("A_raw_feeds/binance_raw_hft")
MARKET = shared_data("C_market/freqtrade")


def _binance_trades(path: Path) -> list[Tick]:
    ticks = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if '"e":"trade"' not in line:
                continue
            trade = json.loads(line.split(" ", 1)[1])["data"]
            price, size = parse_mantissa(trade["p"], 8), parse_mantissa(trade["q"], 8)
            ticks.append(Tick(trade["T"] * 1_000_000, trade["t"], price, size, 0 if trade["m"] else 1))
    return ticks


def _messages(ticks: list[Tick], size: int, ids: TradeIds = TradeIds.DENSE) -> list[Message]:
    return [batch(ticks[i : i + size], ids=ids, scales=(8, 8)) for i in range(0, len(ticks), size)]


@pytest.mark.skipif(RAW is None, reason=REASON)
@pytest.mark.parametrize(
    "size", [pytest.param(1, marks=pytest.mark.slow), pytest.param(16, marks=pytest.mark.slow), 256, 5000]
)
def test_binance_recordings_equal_the_official_minutes(size: int) -> None:
    assert RAW is not None
    days = ("20240808", "20240809")
    ticks = [t for day in days for t in _binance_trades(RAW / f"spot_btcusdt_{day}.gz")]
    end = Progress("binance", "BTC-USDT", ticks[-1].ts + 2 * MINUTE, 0, False)
    done = drive(CandleOperator(), [*_messages(ticks, size), end])
    minutes = {c.open_time: c for c in done.rows if c.timeframe == 60}
    official = [
        row
        for day in days
        for row in csv.DictReader((RAW / f"spot_btcusdt_{day}.official_1m.csv").open(encoding="utf8"))
    ]
    equal = 0
    for row in official:
        opens = int(row["open_time_ms"]) * 1_000_000
        candle = minutes[opens]
        if opens in {min(minutes), max(minutes)}:  # the recording begins and ends inside these
            assert candle.flags & GAPPED
            continue
        expected = [float(row[name]) for name in ("open", "high", "low", "close", "volume")]
        mantissas = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        assert [to_float(m, 8) for m in mantissas] == expected
        assert not candle.flags & GAPPED
        equal += 1
    assert equal == 10
    assert done.counters["duplicates"] == 0
    assert sorted(done.rows) == CandleOracle().feed([*_messages(ticks, 5000), end]).sorted_rows()


def _xrp_ticks(kind: str) -> list[Tick]:
    assert MARKET is not None
    if kind == "json.gz":
        with gzip.open(MARKET / "XRP_ETH-trades.json.gz", "rt") as file:
            rows = json.load(file)
    else:
        table = feather.read_table(MARKET / "XRP_ETH-trades.feather")
        names = ("timestamp", "id", "type", "side", "price", "amount")
        rows = list(zip(*(table.column(n).to_pylist() for n in names), strict=True))
    return [
        Tick(int(r[0]) * 1_000_000, int(r[1]), round(r[4] * 10**8), round(r[5] * 10**8), int(r[3] == "buy"))
        for r in rows
    ]


@pytest.mark.skipif(MARKET is None, reason=REASON)
@pytest.mark.parametrize("kind", ["json.gz", "feather"])
def test_59_hours_of_trades_equal_every_minute_with_trades_and_the_rest_is_empty(kind: str) -> None:
    assert MARKET is not None
    ticks = _xrp_ticks(kind)
    start, end = ticks[0].ts // MINUTE * MINUTE, ticks[-1].ts // MINUTE * MINUTE + MINUTE
    messages: list[Message] = [Progress("binance", "XRP-ETH", start, 0, True)]
    for message in _messages(ticks, 700):
        messages += [message]
    messages.append(Progress("binance", "XRP-ETH", end, 0, True))
    done = drive(CandleOperator(), messages)
    minutes = {c.open_time: c for c in done.rows if c.timeframe == 60}
    official = feather.read_table(MARKET / "XRP_ETH-1m.feather").to_pydict()
    equal = 0
    for i, date in enumerate(official["date"]):
        candle = minutes.pop(int(date.timestamp()) * 1_000_000_000)
        mantissas = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        expected = [official[name][i] for name in ("open", "high", "low", "close", "volume")]
        assert [to_float(m, 8) for m in mantissas[:4]] == expected[:4]
        # The reference summed floats; ours is exact.
        assert np.isclose(to_float(candle.volume, 8), expected[4], rtol=1e-12, atol=0)
        assert candle.flags == 1
        equal += 1
    assert equal == 2469
    assert equal + len(minutes) == (end - start) // MINUTE
    assert all(_is_empty(c) for c in minutes.values())


def _is_empty(candle: Candle) -> bool:
    one_price = candle.open == candle.high == candle.low == candle.close
    return bool(candle.flags & EMPTY) and one_price and candle.volume == 0 and candle.trades == 0
