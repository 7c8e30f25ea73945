"""The cluster profile: one process a service on real servers, with the results of one process on files."""

import os
import signal

import pytest

from candlewick.contracts.timeframes import SECONDS
from candlewick.testing.shared_data import REASON, shared_data
from tests.cluster import children, cluster, kill_all, needs_cluster
from tests.e2e.test_replay import DAYS, FEED, assert_official, candlewick
from tests.simulation.kept import assert_same, counted, stored

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(300), needs_cluster]


@pytest.fixture
def own(tmp_path):
    with cluster(tmp_path) as made:
        product = None

        def up(*arguments):
            nonlocal product
            product = made.up(*arguments)
            return product

        made.begin = up
        yield made
        if product is not None and product.process.poll() is None:
            pids = list(children(product.process.pid).values())
            product.process.kill()
            kill_all(pids)


def served(page):
    """Final candles by open time, as the official file counts."""
    return {candle["open_time"]: candle for candle in page["candles"] if candle["final"]}


def test_the_recordings_give_the_candles_of_one_process_bit_for_bit(own, tmp_path):
    """LAWS 1-7 over three brokers: replay, kill -9 of a service on the way, same rows, volume included."""
    paths = [shared_data(f"{FEED}{day}.gz") for day in DAYS]
    if None in paths:
        pytest.skip(REASON)
    done = candlewick("replay", *paths, "--data-dir", tmp_path / "one", "--json")
    assert done.returncode == 0, done.stderr
    expected = stored(tmp_path / "one")
    product = own.begin("--speed", "max", "--replay", *map(str, paths)).wait_ready()
    product.until("/health", lambda body: body["status"] in ("ready", "degraded"), seconds=90)
    os.kill(children(product.process.pid)["stream"], signal.SIGKILL)
    own.service("collector").until("/health/detailed", lambda health: health["facts"].get("played"), seconds=120)
    counts = counted(expected)
    own.service("history").until(
        "/history/series",
        lambda page: {(s["symbol"], SECONDS[s["timeframe"]]): s["rows"] for s in page["series"]} == counts,
        seconds=120,
    )
    assert_same(own.stored(), expected)
    page = product.json("/ohlcv/binance/BTC-USDT/1m?limit=1400")
    assert_official(served(page))
    assert product.json("/tickers")["mode"] == "replay"
    assert product.stop(signal.SIGINT, seconds=60) == 0, product.text()
    assert "Traceback" not in product.text()
    again = own.begin("--speed", "max", "--replay", *map(str, paths)).wait_ready()
    own.service("collector").until("/health/detailed", lambda health: health["facts"].get("played"), seconds=60)
    assert again.stop(signal.SIGINT, seconds=60) == 0, again.text()
    assert_same(own.stored(), expected)


def test_the_demo_market_is_served_and_a_killed_service_comes_back(own):
    product = own.begin("--exchange", "demo").wait_ready()
    product.until("/symbols", lambda page: len(page["symbols"]) == 8, seconds=60)
    product.until(
        "/ohlcv/demo/BTC-USDT/1m?limit=50",
        lambda page: len(page["candles"]) == 50 and not page["candles"][-1]["final"],
        seconds=120,
    )
    before = children(product.process.pid)
    assert set(before) == {"stream", "history", "market", "realtime", "collector", "gateway"}
    for name in ("market", "realtime"):
        os.kill(before[name], signal.SIGKILL)
    product.until("/api/v1/status", lambda page: all(s["state"] == "ready" for s in page["services"]), seconds=60)
    after = children(product.process.pid)
    assert {name for name in before if before[name] != after[name]} == {"market", "realtime"}
    product.until("/ohlcv/demo/BTC-USDT/1m?limit=50", lambda page: len(page["candles"]) == 50, seconds=60)
    assert product.stop(signal.SIGINT, seconds=60) == 0, product.text()
    assert "Traceback" not in product.text()
