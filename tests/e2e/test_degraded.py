"""One process for each service, each of them killed in turn: the others go on with what they have, say what they miss
and since when, and are themselves again once it is back."""

import json
import signal
import time

import pytest

from tests.e2e.house import PLACES, House

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

# Whom a service asks, or whose events it takes.
NEED = {
    "stream": {"collector"},
    "history": {"stream", "market", "collector"},
    "market": {"stream", "history", "collector"},
    "realtime": {"stream", "history", "market", "collector"},
    "collector": {"market"},
    "gateway": {"stream", "history", "market", "realtime", "collector"},
}
CANDLES = "/ohlcv/demo/BTC-USDT/1m?limit=200"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("house"), list(PLACES), "--exchange", "demo") as house:
        house.wait_ready()
        gateway = house.processes["gateway"]
        gateway.until("/symbols", lambda page: len(page["symbols"]) == 8)
        gateway.until(CANDLES, lambda page: len(page["candles"]) == 200, seconds=60)
        for process in house.processes.values():
            process.until("/health", lambda health: health["status"] == "ready")
        yield house
        assert set(house.stop().values()) == {0}, house.text()
        assert "Traceback" not in house.text()


class Killed:
    """A service killed for the time of the block; in the end all are ready again without anyone's doing."""

    def __init__(self, house, name):
        self.house, self.name = house, name

    def __enter__(self):
        self.at_ms = time.time_ns() // 1_000_000
        self.house.processes[self.name].process.kill()
        self.house.processes[self.name].process.wait()
        for other, process in self.house.processes.items():
            if other != self.name:
                wanted = ({self.name}, "degraded") if self.name in NEED[other] else (set(), "ready")
                process.until("/health", lambda h, wanted=wanted: (set(h["missing"]), h["status"]) == wanted)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.house.processes[self.name] = self.house.begin(self.name)
            for process in self.house.processes.values():
                process.until("/health", lambda h: (h["status"], h["missing"]) == ("ready", {}))


def said(house, path, service="gateway"):
    """Status, what the reply says is missing, and the body."""
    code, headers, body = house.processes[service].get(path)
    return code, headers.get("x-candlewick-degraded"), body


def assert_kept(before, now):
    """Final candles are what they were, unless a later revision took their place (the minute in which the feed began
    is repaired)."""
    kept = [(c, now[c["open_time"]]) for c in before if c["final"] and c["open_time"] in now]
    assert len(kept) > 150
    same = [
        then == again
        for then, again in kept
        if (then["revision"], then["origin"]) == (again["revision"], again["origin"])
    ]
    assert all(same)
    assert len(same) > len(kept) - 10
    assert all(again["revision"] >= then["revision"] for then, again in kept)


def without_history(house, before):
    """Market serves its windows."""
    code, missing, body = said(house, CANDLES)
    assert (code, missing) == (200, "history")
    candles = {c["open_time"]: c for c in json.loads(body)["candles"]}
    assert len(candles) == 200
    assert_kept(before, candles)
    for path in ("/tickers", "/symbols", "/trades/demo/BTC-USDT", "/api/v1/price/BTC-USDT"):
        assert said(house, path)[:2] == (200, "history")
    code, _, body = said(house, "/ohlcv/demo/BTC-USDT/1m?end=2020-01-01T00:00:00Z")
    assert (code, json.loads(body)["code"]) == (503, "SERVICE_UNREACHABLE"), "what only history knows"
    code, missing, body = said(house, "/gaps")
    assert (code, missing, json.loads(body)["code"]) == (503, "history", "SERVICE_UNREACHABLE")
    assert int(house.processes["gateway"].get("/gaps")[1]["retry-after"]) >= 1
    # A market that starts meanwhile is ready too, with what comes from now on.
    house.processes["market"].process.kill()
    house.processes["market"].process.wait()
    market = house.processes["market"] = house.begin("market")
    market.until("/health", lambda h: (h["status"], set(h["missing"])) == ("degraded", {"history"}))
    assert len(market.json("/symbols")["symbols"]) == 8
    market.until("/tickers", lambda page: all(t["last"] for t in page["tickers"]), seconds=60)


def without_stream(house, before):
    """Market serves the candles there are, and the trades that go on."""
    code, missing, body = said(house, CANDLES)
    assert (code, missing) == (200, "stream")
    assert json.loads(body)["candles"][-1]["open_time"] >= before[-1]["open_time"]
    newest = "/trades/demo/BTC-USDT?limit=1"
    at = house.processes["gateway"].json(newest)["trades"][0]["ts"]
    house.processes["gateway"].until(newest, lambda page: page["trades"][0]["ts"] > at)


def without_market(house, before):
    """The others' paths are answered, market's are not."""
    code, missing, body = said(house, CANDLES)
    problem = json.loads(body)
    assert (code, problem["code"], problem["status"]) == (503, "SERVICE_UNREACHABLE", 503)
    assert "market" in missing
    assert said(house, "/gaps")[:2] == (200, "market")


def without_realtime(house, before):
    """Pages and the status are served; market misses nobody."""
    assert said(house, CANDLES)[:2] == (200, None)
    assert said(house, "/api/v1/status")[:2] == (200, "realtime")


def without_collector(house, before):
    """Everything that was is served."""
    assert said(house, CANDLES)[:2] == (200, "collector")
    assert said(house, "/gaps")[:2] == (200, "collector")


WITHOUT = {
    "history": without_history, "stream": without_stream, "market": without_market, "realtime": without_realtime,
    "collector": without_collector,
}  # fmt: skip


def is_whole(page):
    """Minute after minute."""
    times = [c["open_time"] for c in page["candles"]]
    return len(times) == 200 and times == list(range(times[0], times[-1] + 1, 60_000))


@pytest.mark.parametrize("name", WITHOUT)
def test_who_depends_on_a_killed_service_says_so_and_serves_what_it_can(house, name):
    gateway = house.processes["gateway"]
    before = gateway.json(CANDLES)["candles"]
    dependents = [other for other in NEED if name in NEED[other]]
    with Killed(house, name) as killed:
        for other in dependents:
            code, missing, body = said(house, "/health/detailed", other)
            detail = json.loads(body)
            assert (code, missing, detail["status"]) == (200, name, "degraded")
            assert killed.at_ms - 50 <= detail["missing"][name] <= killed.at_ms + 20_000
            assert detail["services"][name]["status"] == "unreachable"
            assert f"{name} is unreachable since 20" in detail["detail"]
            told = house.processes[other].json("/health/dependencies")["dependencies"]
            assert not told[name]["ok"]
            assert all(told[port]["ok"] for port in told if port != name)
            metrics = house.processes[other].get("/metrics")[2].decode()
            assert f'candlewick_service_missing{{service="{other}",target="{name}"}} 1.0' in metrics
        expected = {
            other: "unreachable" if other == name else "degraded" if other in dependents else "ready"
            for other in set(PLACES) - {"gateway"}
        }
        gateway.until(
            "/health/detailed",
            lambda detail: {other: at["status"] for other, at in detail["services"].items()} == expected,
        )
        states = {s["name"]: s["state"] for s in gateway.json("/api/v1/status")["services"]}
        assert states == expected | {name: "failed"}
        WITHOUT[name](house, before)
    newest = before[-1]["open_time"]
    after = gateway.until(
        CANDLES, lambda page: is_whole(page) and page["candles"][-1]["open_time"] >= newest, seconds=90
    )["candles"]
    again = {c["open_time"]: c for c in after}
    assert_kept(before, again)


def test_without_the_gateway_each_service_answers_at_its_own_port(house):
    with Killed(house, "gateway"):
        assert len(house.processes["market"].json(CANDLES)["candles"]) == 200
        assert house.processes["history"].json("/gaps") is not None


def test_a_service_that_only_hangs_is_noticed_and_found_again(house):
    market, history = house.processes["market"], house.processes["history"].process
    history.send_signal(signal.SIGSTOP)
    try:
        market.until("/health", lambda h: set(h["missing"]) == {"history"}, seconds=30)
        assert said(house, CANDLES)[:2] == (200, "history")
        assert "did not say within" in market.json("/health/detailed")["services"]["history"]["detail"]
    finally:
        history.send_signal(signal.SIGCONT)
    market.until("/health", lambda h: h["status"] == "ready")
