"""The first minute: one command, no network: candles, prices, a book and trades that move, all called simulated."""

import itertools
import json
import time

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
TIMEFRAMES = {
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "4h": 14_400,
    "1d": 86_400,
    "1w": 604_800,
}


def test_everything_is_ready_and_calls_itself_simulated(demo):
    status = demo.json("/api/v1/status")
    assert status["mode"] == "simulated"
    assert status["ready"]
    assert {s["state"] for s in status["services"]} == {"ready"}
    code, headers, _ = demo.get("/tickers")
    assert (code, headers["x-candlewick-mode"]) == (200, "simulated")
    assert {s["origin"] for s in demo.json("/symbols")["symbols"]} == {"simulated"}


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_the_chart_is_never_empty_and_has_no_seam(demo, timeframe):
    """History and live candles join: open times follow each other, and a later candle opens where the model says."""
    wanted = {"1w": 4, "1d": 29, "4h": 150}.get(timeframe, 300)
    page = demo.until(
        f"/ohlcv/demo/BTC-USDT/{timeframe}?limit={wanted}", lambda p: len(p["candles"]) >= min(wanted, 300), seconds=60
    )
    candles = page["candles"]
    steps = {b["open_time"] - a["open_time"] for a, b in itertools.pairwise(candles)}
    assert steps == {TIMEFRAMES[timeframe] * 1000}
    for candle in candles:
        assert (
            candle["low"]
            <= min(candle["open"], candle["close"])
            <= max(candle["open"], candle["close"])
            <= candle["high"]
        )
        assert candle["origin"] == "simulated"
    assert all(c["final"] for c in candles[:-2]), "only the last may be open, the one before it waiting"


def test_candles_become_final_while_one_watches(demo):
    newest = demo.json("/ohlcv/demo/ETH-USDT/1m?limit=3")["candles"][-1]
    later = demo.until(
        "/ohlcv/demo/ETH-USDT/1m?limit=3",
        lambda p: any(c["final"] and c["open_time"] >= newest["open_time"] for c in p["candles"]),
        seconds=90,
    )
    final = {c["open_time"] for c in later["candles"] if c["final"]}
    assert newest["open_time"] in final


def test_prices_book_and_trades_move(demo):
    first = demo.json("/tickers?symbols=BTC-USDT")["tickers"][0]
    demo.until("/tickers?symbols=BTC-USDT", lambda p: p["tickers"][0]["ts"] > first["ts"], seconds=30)
    assert len(first["sparkline"]) == 48
    book = demo.until("/book/demo/BTC-USDT", lambda b: len(b["bids"]) == 20)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert [p for p, _ in book["bids"]] == sorted((p for p, _ in book["bids"]), reverse=True)
    trades = demo.until("/trades/demo/BTC-USDT", lambda t: len(t["trades"]) > 1)["trades"]
    assert [t["id"] for t in trades] == sorted((t["id"] for t in trades), reverse=True)
    assert abs(trades[0]["ts"] - time.time() * 1000) < 60_000


def test_older_paths_are_served(demo):
    assert demo.json("/api/v1/price/BTCUSDT")["symbol"] == "BTC-USDT"
    assert demo.json("/api/v1/ticker/BTC-USDT")["symbol"] == "BTC-USDT"
    assert len(demo.json("/api/v1/ohlcv/BTCUSDT?timeframe=5m&limit=7")["candles"]) == 7
    assert len(demo.json("/api/market/symbols/BTC-USDT/latest?limit=5")["latest"]["candles"]) == 5


def test_pages_go_back_and_forth_without_overlap_or_hole(demo):
    newest = demo.json("/ohlcv/demo/SOL-USDT/1m?limit=50")
    older = demo.json(f"/ohlcv/demo/SOL-USDT/1m?limit=50&cursor={newest['next']}")
    assert older["candles"][-1]["open_time"] + 60_000 == newest["candles"][0]["open_time"]
    start = older["candles"][0]["open_time"]
    page = demo.json(f"/ohlcv/demo/SOL-USDT/1m?start={start}&limit=30&end={start + 40 * 60_000}")
    rest = demo.json(f"/ohlcv/demo/SOL-USDT/1m?start={start}&limit=30&end={start + 40 * 60_000}&cursor={page['next']}")
    times = [c["open_time"] for c in page["candles"] + rest["candles"]]
    assert times == list(range(start, start + 40 * 60_000, 60_000))
    assert rest["next"] is None


def test_csv_and_arrow_hold_the_same_candles(demo):
    import io

    import pyarrow as pa

    end = demo.json("/ohlcv/demo/ADA-USDT/1h?limit=2")["candles"][-1]["open_time"]
    query = f"/ohlcv/demo/ADA-USDT/1h?limit=20&end={end}"
    candles = demo.json(query)["candles"]
    lines = demo.get(f"{query}&format=csv")[2].decode().splitlines()
    assert [float(line.split(",")[4]) for line in lines[1:]] == [c["close"] for c in candles]
    table = pa.ipc.open_stream(io.BytesIO(demo.get(f"{query}&format=arrow")[2])).read_all()
    assert table.column("close").to_pylist() == [c["close"] for c in candles]


def test_indicators_are_aligned_with_the_candles(demo):
    end = demo.json("/ohlcv/demo/BTC-USDT/5m?limit=2")["candles"][-1]["open_time"]
    candles = demo.json(f"/ohlcv/demo/BTC-USDT/5m?limit=100&end={end}")["candles"]
    page = demo.json(f"/indicators/demo/BTC-USDT/5m?series=sma:3,bollinger:20:2,rsi:14,vwap&limit=100&end={end}")
    assert page["open_times"] == [c["open_time"] for c in candles]
    sma = next(s for s in page["series"] if s["id"] == "sma:3")["values"]
    closes = [c["close"] for c in candles]
    assert sma[-1] == pytest.approx(sum(closes[-3:]) / 3, rel=1e-12)
    assert {s["output"] for s in page["series"] if s["id"].startswith("bollinger")} >= {"upper", "middle", "lower"}
    assert all(len(s["values"]) == 100 and None not in s["values"] for s in page["series"])


def test_symbols_come_and_go_at_run_time(demo):
    import urllib.request

    request = urllib.request.Request(f"{demo.base}/symbols/demo/AVAX-USDT", method="DELETE")
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200
    assert "AVAX-USDT" not in {s["symbol"] for s in demo.json("/symbols")["symbols"]}
    body = b'{"exchange":"demo","symbol":"AVAX-USDT"}'
    request = urllib.request.Request(
        f"{demo.base}/symbols", data=body, method="POST", headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 201
    demo.until("/ohlcv/demo/AVAX-USDT/1m?limit=100", lambda p: len(p["candles"]) == 100)
    demo.until("/trades/demo/AVAX-USDT", lambda t: t["trades"], seconds=60)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/ohlcv/demo/NOPE-USDT/1m", 404, "SYMBOL_NOT_FOLLOWED"),
        ("/ohlcv/demo/BTC-USDT/7m", 422, "UNKNOWN_TIMEFRAME"),
        ("/ohlcv/demo/BTC-USDT/1m?limit=0", 422, "BAD_QUERY"),
        ("/ohlcv/demo/BTC-USDT/1m?start=yesterday", 422, "BAD_QUERY"),
        ("/ohlcv/demo/BTC-USDT/1m?cursor=%00", 422, "BAD_QUERY"),
        ("/ohlcv/demo/BTC-USDT/1m?start=9&end=8", 422, "BAD_QUERY"),
        ("/indicators/demo/BTC-USDT/1m?series=nope", 404, "INDICATOR_UNKNOWN"),
        ("/api/v1/price/NOPE", 404, "SYMBOL_NOT_FOLLOWED"),
        ("/events/not-a-cursor", 422, "BAD_CURSOR"),
        ("/api/v1/nothing", 404, "NOT_FOUND"),
    ],
)
def test_what_is_wrong_has_a_stable_code_and_no_stack_trace(demo, path, status, code):
    found, headers, body = demo.get(path)
    problem = json.loads(body)
    assert (found, problem["code"]) == (status, code)
    assert headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == headers["x-correlation-id"]
    assert b"Traceback" not in body
