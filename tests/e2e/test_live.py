"""``up`` and ``record`` pointed at a Binance on loopback: live mode, no seam, a cut feed repaired from the venue."""

import asyncio
import contextlib
import json
import random
import signal
from decimal import Decimal

import pytest

from candlewick.kernel.system import SystemClock
from candlewick.testing.binance.server import FakeBinance
from tests.e2e.server import Product, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MINUTE_MS = 60_000
PAIRS = (("BTC", "USDT"), ("ETH", "USDT"))


class Exchange:
    """The fake venue, with made-up trades from three hours ago until it is stopped."""

    def __init__(self):
        self.fake = FakeBinance(SystemClock())
        self.draw = random.Random(11)
        self.task = None

    def trade(self, name, ms=None):
        price = f"{60_000 + self.draw.randint(-500, 500) / 100:.2f}000000"
        size = f"{self.draw.randint(1, 10**7) / 10**5:.5f}000"
        self.fake.trade(name, price, size, ms=ms, buyer_is_maker=self.draw.random() < 0.5)

    async def start(self):
        for base, quote in PAIRS:
            self.fake.market.add(base, quote)
            self.fake.market.symbols[base + quote].depth([("59999.99", "1")], [("60000.01", "1")], 0)
        await self.fake.start()
        now = self.fake.now_ms()
        for base, quote in PAIRS:
            for ms in range(now - 180 * MINUTE_MS, now, 7_000):
                self.trade(base + quote, ms)
        self.task = asyncio.ensure_future(self.go_on())

    async def go_on(self):
        while True:
            for base, quote in PAIRS:
                self.trade(base + quote)
            await asyncio.sleep(0.05)

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.fake.stop()

    def klines(self, name, start_ms, end_ms):
        return {row[0]: row for row in self.fake.market.symbols[name].klines("1m", start_ms, end_ms, 1000)}

    def flags(self):
        return ["--exchange", "binance", "--set", f"app.venue_rest_url={self.fake.url}",
                "--set", f"app.venue_stream_url={self.fake.stream_url}"]  # fmt: skip


@pytest.fixture
async def exchange():
    made = Exchange()
    await made.start()
    yield made
    await made.stop()


def assert_equal(candle, kline):
    found = [Decimal(repr(candle[n])) for n in ("open", "high", "low", "close", "volume", "taker_buy_volume")]
    wanted = [Decimal(kline[i]) for i in (1, 2, 3, 4, 5, 9)]
    assert found == wanted, (candle, kline)
    assert candle["trades"] == kline[8]


async def test_live_candles_join_history_and_a_cut_feed_is_repaired(exchange, tmp_path):
    port = free_port()
    flags = [*exchange.flags(), "--set", "market.symbols=BTC-USDT,ETH-USDT", "--port", str(port)]
    product = Product(["up", *flags, "--data-dir", str(tmp_path / "data")], tmp_path, port=port)
    try:
        await asyncio.to_thread(product.wait_ready)
        status = await asyncio.to_thread(product.until, "/api/v1/status", lambda s: s["feed"]["connected"])
        assert status["mode"] == "live"
        await asyncio.to_thread(
            product.until, "/ohlcv/binance/BTC-USDT/1m", lambda p: len(p["candles"]) > 150, seconds=60
        )
        await asyncio.to_thread(
            product.until, "/ohlcv/binance/ETH-USDT/1m", lambda p: len(p["candles"]) > 150, seconds=60
        )
        joined_ms = exchange.fake.now_ms() // MINUTE_MS * MINUTE_MS
        for connection in exchange.fake.open_connections():
            connection.drop(b'{"stream":"btcusdt@trade","data":{"e":"tra')
        exchange.fake.faults.is_down = True
        await asyncio.sleep(3)
        exchange.fake.faults.is_down = False
        last_ms = joined_ms + 2 * MINUTE_MS

        def is_whole(page):
            ours = {c["open_time"]: c for c in page["candles"] if c["final"]}
            return last_ms in ours and all(c["quality"] == "ok" for c in ours.values())

        for symbol, name in (("BTC-USDT", "BTCUSDT"), ("ETH-USDT", "ETHUSDT")):
            page = await asyncio.to_thread(
                product.until, f"/ohlcv/binance/{symbol}/1m?limit=1000", is_whole, seconds=240
            )
            ours = {c["open_time"]: c for c in page["candles"] if c["final"]}
            times = sorted(ours)
            assert times == list(range(times[0], times[-1] + 1, MINUTE_MS)), "a seam or a hole"
            theirs = exchange.klines(name, times[0], times[-1] + MINUTE_MS)
            for time in times:
                assert_equal(ours[time], theirs[time])
            assert {"fetched", "built"} <= {c["origin"] for c in ours.values()}
        ledger = await asyncio.to_thread(product.json, "/gaps?state=all")
        assert any(g["reason"] in ("disconnect", "missing_ids", "silence") for g in ledger["gaps"]), ledger
        assert not [g for g in ledger["gaps"] if g["state"] == "lost"]
        frames = list((tmp_path / "data" / "frames").glob("binance-*.frames.gz"))
        assert frames, "the ring of raw frames is empty"
    finally:
        assert await asyncio.to_thread(product.stop) == 0, product.text()


async def test_what_was_recorded_can_be_replayed(exchange, tmp_path):
    out = tmp_path / "recordings"
    recorder = Product(["record", "BTC-USDT", "--out", str(out), "--seconds", "4", *exchange.flags()], tmp_path)
    assert await asyncio.to_thread(recorder.process.wait, 60) == 0, recorder.text()
    assert "trades" in recorder.text()
    player = Product(["replay", str(out), "--data-dir", str(tmp_path / "data"), "--json"], tmp_path)
    assert await asyncio.to_thread(player.process.wait, 90) == 0, player.text()
    counts = json.loads(player.text().strip().splitlines()[-1])
    assert counts["trades"] > 20
    assert counts["refused"] == {}


async def test_a_second_start_goes_on_where_the_first_stopped(exchange, tmp_path):
    data = ["--data-dir", str(tmp_path / "data")]
    port = free_port()
    flags = [*exchange.flags(), "--set", "market.symbols=BTC-USDT", "--port", str(port), *data]
    first = Product(["up", *flags], tmp_path, port=port)
    await asyncio.to_thread(first.wait_ready)
    before = await asyncio.to_thread(
        first.until, "/ohlcv/binance/BTC-USDT/1m?limit=500", lambda p: len(p["candles"]) > 150, seconds=60
    )
    assert await asyncio.to_thread(first.stop, signal.SIGKILL) == -signal.SIGKILL
    second = Product(["up", *flags], tmp_path, port=port)
    try:
        await asyncio.to_thread(second.wait_ready)
        after = await asyncio.to_thread(second.json, "/ohlcv/binance/BTC-USDT/1m?limit=500")
        kept = {c["open_time"]: c for c in after["candles"]}
        for candle in before["candles"]:
            if candle["final"] and candle["quality"] == "ok":
                assert kept[candle["open_time"]] == candle
        await asyncio.to_thread(second.until, "/trades/binance/BTC-USDT", lambda t: len(t["trades"]) > 3, seconds=60)
    finally:
        assert await asyncio.to_thread(second.stop) == 0, second.text()
