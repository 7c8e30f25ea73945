"""One process for each service on one data dir, as in a cluster [17]: the gateway's port answers for all, a killed
service leaves its paths alone unanswered and comes back, everything ends cleanly."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from candlewick.contracts.timeframes import SECONDS
from candlewick.testing.shared_data import REASON, shared_data
from tests.e2e.house import PLACES, House
from tests.e2e.recordings import steady, write
from tests.e2e.test_replay import DAYS, FEED, assert_official, candlewick, exported
from tests.simulation.kept import assert_same, counted, stored

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


async def first_final(port, after=None):
    """A final 1s candle from the gateway's port and the token behind it."""
    query = f"?after={after}" if after else ""
    async with connect(f"ws://127.0.0.1:{port}/ws/ohlcv/demo/BTC-USDT/1s{query}", max_size=None) as ws:
        async with asyncio.timeout(40):
            async for text in ws:
                message = json.loads(text)
                if message["type"] == "update" and message["data"][-1]["final"]:
                    return message
    raise AssertionError("the socket ended without a final candle")


def is_moving(page):
    """A full page whose last candle is still open."""
    return len(page["candles"]) == 200 and not page["candles"][-1]["final"]


def test_six_processes_serve_as_one(tmp_path):
    with House(tmp_path, list(PLACES), "--exchange", "demo") as house:
        house.wait_ready()
        gateway = house.processes["gateway"]
        gateway.until("/symbols", lambda page: len(page["symbols"]) == 8)
        page = gateway.until("/ohlcv/demo/BTC-USDT/1m?limit=200", is_moving, seconds=60)
        assert page["candles"][-1]["final"] is False
        ready = dict.fromkeys(set(PLACES) - {"gateway"}, "ready")
        gateway.until("/api/v1/status", lambda status: {s["name"]: s["state"] for s in status["services"]} == ready)
        paths = gateway.json("/openapi.json")["paths"]
        assert {"/ohlcv/{exchange}/{symbol}/{timeframe}", "/gaps", "/events/{place}"} <= set(paths)
        message = asyncio.run(first_final(house.port))

        house.processes["market"].process.kill()
        house.processes["market"].process.wait()
        code, headers, body = gateway.get("/ohlcv/demo/BTC-USDT/1m?limit=5")
        assert (code, json.loads(body)["code"]) == (503, "SERVICE_UNREACHABLE")
        assert headers["content-type"] == "application/problem+json"
        assert gateway.json("/gaps") is not None, "history's paths are answered meanwhile"
        states = {s["name"]: s["state"] for s in gateway.json("/api/v1/status")["services"]}
        assert states.pop("market") == "failed"
        assert set(states.values()) <= {"ready", "degraded"}
        house.processes["market"] = house.begin("market")
        again = gateway.until("/ohlcv/demo/BTC-USDT/1m?limit=200", is_moving)
        known = {c["open_time"]: c for c in again["candles"] if c["final"]}
        before = [c for c in page["candles"] if c["final"] and c["open_time"] in known]
        assert len(before) > 190
        assert all(known[c["open_time"]] == c for c in before), "the same candles as before the kill"

        house.processes["realtime"].process.kill()
        house.processes["realtime"].process.wait()
        with pytest.raises(ConnectionClosed) as refused:
            asyncio.run(first_final(house.port, message["id"]))
        assert refused.value.rcvd.code == 1013, "come again later"
        house.processes["realtime"] = house.begin("realtime")
        later = asyncio.run(first_final(house.port, message["id"]))
        seconds = gateway.json(f"/ohlcv/demo/BTC-USDT/1s?start={message['data'][-1]['open_time'] + 1}&limit=1")[
            "candles"
        ]
        assert later["data"][0]["open_time"] == seconds[0]["open_time"], (
            "resumed over the kill with the very next second"
        )
        assert house.stop() == dict.fromkeys(PLACES, 0), house.text()
        assert "Traceback" not in house.text()


def made_up(folder):
    return [write(folder / "day.gz", steady(30_000, every_ms=2))]


def public(_folder):
    found = [shared_data(f"{FEED}{day}.gz") for day in DAYS]
    if None in found:
        pytest.skip(REASON)
    return found


def everything(gateway):
    """The final candles of the replay, by timeframe."""
    names = ("1s", "1m", "5m")
    pages = {name: gateway.json(f"/ohlcv/binance/BTC-USDT/{name}?limit=1400") for name in names}
    return {name: [c for c in page["candles"] if c["final"]] for name, page in pages.items()}


def opens(columns):
    return [] if columns is None else (columns["open_time"] // 10**6).tolist()


@pytest.mark.parametrize("recording", [made_up, public])
def test_a_recording_played_by_six_processes_gives_the_candles_of_one(tmp_path, recording):
    paths = recording(tmp_path)
    done = candlewick("replay", *paths, "--data-dir", tmp_path / "one", "--json")
    assert done.returncode == 0, done.stderr
    expected = stored(tmp_path / "one")
    with House(tmp_path, list(PLACES), "--speed", "max", "--replay", *map(str, paths)) as house:
        house.wait_ready()
        house.processes["collector"].until("/health/detailed", lambda health: health["facts"].get("played"))
        counts = counted(expected)
        house.processes["history"].until(
            "/history/series",
            lambda page: {(s["symbol"], SECONDS[s["timeframe"]]): s["rows"] for s in page["series"]} == counts,
        )
        gateway = house.processes["gateway"]
        assert gateway.json("/tickers")["mode"] == "replay", "recorded prices are never passed off as live"
        served = everything(gateway)
        house.processes["market"].process.kill()
        house.processes["market"].process.wait()
        house.processes["market"] = house.begin("market")
        assert everything(gateway) == served, "a market started after the last event serves what the store has"
        assert [t["symbol"] for t in gateway.json("/tickers")["tickers"]] == ["BTC-USDT"]
        assert set(house.stop().values()) == {0}, house.text()
        assert "Traceback" not in house.text()
    assert_same(stored(tmp_path / "data"), expected)
    for name, candles in served.items():
        assert [c["open_time"] for c in candles] == opens(expected.get(("BTC-USDT", SECONDS[name]))), (
            "every stored candle is served"
        )
    if recording is public:
        assert_official({c["open_time"]: c for c in served["1m"]})
        assert_official(exported(tmp_path / "data", tmp_path))
