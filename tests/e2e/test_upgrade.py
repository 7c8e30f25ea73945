"""Two versions of a service side by side under load, old and new schema, and back: nobody gets an error, and nobody
misses or sees twice a candle."""

import asyncio
import json
import subprocess
import sys
from collections import Counter

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.cluster import children, cluster, kill_all, needs_cluster
from tests.e2e import server
from tests.upgrade import VERSION, next_version

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1500), needs_cluster]

SYMBOLS = ("BTC-USDT", "ETH-USDT")
FOLLOWED = (*SYMBOLS, "AVAX-USDT")
ASKED = (
    "/ohlcv/demo/BTC-USDT/1m?limit=200", "/ohlcv/demo/ETH-USDT/1s?limit=50", "/tickers", "/symbols", "/gaps",
    "/history/series", "/trades/demo/BTC-USDT", "/health",
)  # fmt: skip
# /api/v1/status is not among them: it asks the brokers for the ends of all partitions, so what it answers on a busy
# machine tells of them and not of who is being switched.
# What a switched service closes a socket with, and what a server that ends its connections in order does.
RESTARTS = {1012, 1001}


class Load:
    """Requests on kept connections and subscribers that come back with their tokens, until it is told to end."""

    def __init__(self, port):
        self.base, self.port = f"http://127.0.0.1:{port}", port
        self.statuses, self.faults = Counter(), []
        self.candles = {symbol: [] for symbol in SYMBOLS}
        self.closed, self.errors, self.heard = [], [], Counter()
        self.running = True

    async def ask(self, offset):
        async with httpx.AsyncClient(base_url=self.base, timeout=60) as http:
            turn = offset
            while self.running:
                path = ASKED[turn % len(ASKED)]
                turn += 1
                try:
                    reply = await http.get(path)
                except httpx.HTTPError as error:
                    # A kept connection may be closed just as it is used again; a client of HTTP then asks once more.
                    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
                        self.statuses["again"] += 1
                        try:
                            reply = await http.get(path)
                        except httpx.HTTPError as second:
                            self.faults.append((path, repr(second)))
                            continue
                    else:
                        self.faults.append((path, repr(error)))
                        continue
                self.statuses[reply.status_code] += 1
                if reply.status_code != 200:
                    self.faults.append((path, reply.status_code, reply.text[:300]))
                await asyncio.sleep(0.1)

    async def subscribe(self, symbol):
        token = None
        while self.running:
            query = f"?after={token}" if token else ""
            url = f"ws://127.0.0.1:{self.port}/ws/ohlcv/demo/{symbol}/1s{query}"
            try:
                async with connect(url, max_size=None, open_timeout=60, proxy=None) as ws:
                    while self.running:
                        try:
                            message = json.loads(await asyncio.wait_for(ws.recv(), 1))
                        except TimeoutError:
                            continue
                        token = message["id"] or token
                        self.heard[message["type"]] += 1
                        if message["type"] == "error":
                            self.errors.append((symbol, message["data"]))
                        elif message["type"] == "update":
                            self.candles[symbol] += [candle for candle in message["data"] if candle["final"]]
            except ConnectionClosed as error:
                self.closed.append((symbol, error.rcvd.code if error.rcvd else None))
            except OSError as error:
                self.errors.append((symbol, repr(error)))

    def told(self):
        """For a failed test."""
        counts = {symbol: len(found) for symbol, found in self.candles.items()}
        return {"candles": counts, "heard": self.heard, "closed": self.closed, "errors": self.errors,
                "statuses": self.statuses, "faults": self.faults[-5:]}  # fmt: skip

    async def __aenter__(self):
        work = [self.ask(offset) for offset in (0, 3, 6)] + [self.subscribe(symbol) for symbol in SYMBOLS]
        self.tasks = [asyncio.ensure_future(one) for one in work]
        return self

    async def __aexit__(self, *_):
        self.running = False
        await asyncio.wait(self.tasks, timeout=70)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def candlewick(own, *arguments):
    command = [sys.executable, "-m", "candlewick.app.cli.main", *arguments, "--data-dir", str(own.folder / "data")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


async def versions(own):
    told = json.loads(await candlewick(own, "deploy", "status", "--json"))
    assert all(len(service["processes"]) == 1 for service in told), "nobody is left over"
    return {service["service"]: service["processes"][0]["version"] for service in told}


async def moving(load):
    """Wait until every subscriber has another candle."""
    before = {symbol: len(found) for symbol, found in load.candles.items()}
    deadline = asyncio.get_running_loop().time() + 300
    while any(len(load.candles[symbol]) <= count for symbol, count in before.items()):
        assert asyncio.get_running_loop().time() < deadline, load.told()
        await asyncio.sleep(0.2)


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "READY_WITHIN_S", 300)
    with cluster(tmp_path) as made:
        made.product = None
        yield made
        product = made.product
        if product is not None and product.process.poll() is None:
            pids = list(children(product.process.pid).values())
            product.process.kill()
            kill_all(pids)


@pytest.mark.parametrize(
    "services",
    [("history", "market", "realtime", "gateway"), ("stream", "market")],
    ids=["those that are asked", "the one that all hear of"],
)
async def test_two_versions_side_by_side_under_load_and_back_without_an_error(own, tmp_path, services):
    python = str(await asyncio.to_thread(next_version, tmp_path / "next"))
    settings = ("history.fetch=false", "history.repair=false", f"market.symbols={','.join(FOLLOWED)}")
    given = [word for setting in settings for word in ("--set", setting)]
    own.product = product = own.up("--exchange", "demo", *given)
    async with asyncio.timeout(300):
        while "is ready in" not in product.text():
            assert product.process.poll() is None, product.text()
            await asyncio.sleep(0.2)
    await asyncio.to_thread(product.until, "/symbols", lambda page: len(page["symbols"]) == len(FOLLOWED), seconds=180)
    await asyncio.to_thread(
        product.until, "/ohlcv/demo/BTC-USDT/1s?limit=5", lambda page: len(page["candles"]) == 5, seconds=180
    )
    was = set((await versions(own)).values())
    assert VERSION not in was
    assert len(was) == 1
    async with Load(own.port) as load:
        await moving(load)
        # What a newer one says is read by the older others, and theirs by it.
        for service in services:
            said = await candlewick(own, "deploy", "switch", service, "--python", python, "--within", "300")
            assert f"has Candlewick {VERSION}" in said
            await moving(load)
        now = await versions(own)
        assert {name for name, version in now.items() if version == VERSION} == set(services)
        # What only the newer market writes is read by the older collector.
        async with httpx.AsyncClient(base_url=load.base, timeout=60) as http:
            assert (await http.delete("/symbols/demo/AVAX-USDT")).status_code < 300
            assert (await http.post("/symbols", json={"exchange": "demo", "symbol": "AVAX-USDT"})).status_code < 300
        # Back: the older history and market on the database that the newer ones have stepped on.
        for service in services:
            await candlewick(own, "deploy", "rollback", service, "--within", "300")
            await moving(load)
        assert set((await versions(own)).values()) == was
        assert "AVAX-USDT" in {s["symbol"] for s in (await asyncio.to_thread(product.json, "/symbols"))["symbols"]}
    assert load.faults == [], load.faults
    assert set(load.statuses) <= {200, "again"}
    assert load.statuses[200] > 100
    assert load.errors == [], "every token was good: nothing was missed that would have to be asked for"
    assert {code for _, code in load.closed} <= RESTARTS
    ended = 2 * len(SYMBOLS) * len({"realtime", "gateway"}.intersection(services))
    assert len(load.closed) >= ended, "each switch of the ones that hold sockets ends them once"
    for symbol, candles in load.candles.items():
        opened = [candle["open_time"] for candle in candles]
        assert opened == sorted(set(opened)), f"{symbol}: in order, none twice"
        start, end = opened[0], opened[-1] + 1
        page = await asyncio.to_thread(product.json, f"/ohlcv/demo/{symbol}/1s?start={start}&end={end}&limit=10000")
        stored = {candle["open_time"]: candle for candle in page["candles"] if candle["final"]}
        assert set(opened) == set(stored), f"{symbol}: none is missing"
        assert all(stored[candle["open_time"]] == candle for candle in candles)
    assert "Traceback" not in product.text()
    assert "AuthlibDeprecationWarning" not in product.text()
    dead = [line for line in product.text().splitlines() if "dead letters" in line or "unreadable event" in line]
    assert dead == []
    assert "has ended" in await candlewick(own, "stop")
    assert await asyncio.to_thread(product.process.wait, 60) == 0
