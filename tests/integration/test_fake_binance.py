"""The exchange on loopback by itself: as a program, and against recordings."""

import asyncio
import gzip
import json
import sys
from pathlib import Path

import httpx
import pytest

from candlewick.adapters.venues.binance.venue import BinanceVenue
from candlewick.contracts.collector import BookUpdated, Progress, QuoteUpdated
from candlewick.kernel.system import SystemClock
from candlewick.testing.binance.recording import play
from candlewick.testing.binance.server import FakeBinance
from candlewick.testing.binance.sink import KeepingSink
from candlewick.testing.shared_data import REASON, shared_data

HFT = shared_data("A_raw_feeds/binance_raw_hft/spot_btcusdt_20240808.gz")


def small_recording(path: Path) -> Path:
    lines = [b'1700000000000000000 {"lastUpdateId":10,"bids":[["99.00000000","1"]],"asks":[["101.00000000","1"]]}']
    for i in range(1, 21):
        ms = 1_700_000_000_000 + i * 10
        trade = {"e": "trade", "E": ms, "s": "BTCUSDT", "t": i, "p": "100.00000000", "q": "1.00000000", "T": ms,
                 "m": False, "M": True}  # fmt: skip
        lines.append(b"%d " % (ms * 1_000_000) + json.dumps({"stream": "btcusdt@trade", "data": trade}).encode())
        diff = {"e": "depthUpdate", "E": ms, "s": "BTCUSDT", "U": 10 + i, "u": 10 + i,
                "b": [["99.50000000", str(i)]], "a": []}  # fmt: skip
        lines.append(b"%d " % (ms * 1_000_000) + json.dumps({"stream": "btcusdt@depth@100ms", "data": diff}).encode())
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    return path


async def test_it_runs_as_a_program_and_plays_a_recording_for_ever(tmp_path: Path) -> None:
    recording = small_recording(tmp_path / "small.gz")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "candlewick.testing.binance", "--recording", str(recording), "--speed", "2",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    try:
        line = (await asyncio.wait_for(program.stdout.readline(), 20)).decode()
        url = next(word for word in line.split() if word.startswith("http://127.0.0.1"))
        venue = BinanceVenue(SystemClock(), lambda: 0.5, rest_url=url, stream_url=url.replace("http", "ws"))
        instruments = await venue.instruments()
        assert [i.symbol for i in instruments] == ["BTC-USDT"]
        sink = KeepingSink()
        feed = asyncio.create_task(venue.feed(["BTC-USDT"], instruments, sink).run())
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if len(sink.trades()) > 60:
                break
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        ids = [row[0] for row in sink.trades()]
        assert len(ids) > 60, "the second and third round go on"
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert not sink.complaints
        for _ in range(100):
            got = await venue.candles("BTC-USDT", "1s", 0, SystemClock().now_ns())
            if got.trades.sum() > 0:
                break
            await asyncio.sleep(0.05)  # the second has to close first
        assert got.trades.sum() > 0
        await venue.close()
    finally:
        program.terminate()
        await program.wait()


async def test_every_documented_endpoint_answers(tmp_path: Path) -> None:
    fake = FakeBinance(SystemClock())
    fake.market.add("BTC", "USDT")
    await fake.start()
    try:
        assert await play(fake, small_recording(tmp_path / "x.gz"), speed=100.0) == 41
        async with httpx.AsyncClient(base_url=fake.url) as http:
            for path, query in [
                ("ping", {}),
                ("time", {}),
                ("exchangeInfo", {}),
                ("exchangeInfo", {"symbol": "BTCUSDT"}),
                ("depth", {"symbol": "BTCUSDT"}),
                ("trades", {"symbol": "BTCUSDT"}),
                ("historicalTrades", {"symbol": "BTCUSDT", "fromId": 5}),
                ("klines", {"symbol": "BTCUSDT", "interval": "1m"}),
                ("ticker/price", {"symbol": "BTCUSDT"}),
                ("ticker/bookTicker", {}),
            ]:
                reply = await http.get(f"/api/v3/{path}", params=query)
                assert reply.status_code == 200, path
                assert reply.json() is not None
                assert int(reply.headers["X-MBX-USED-WEIGHT-1M"]) > 0
            assert (await http.get("/api/v3/depth", params={"symbol": "NOPE"})).json()["code"] == -1121
            bad = {"symbol": "BTCUSDT", "interval": "7m"}
            assert (await http.get("/api/v3/klines", params=bad)).status_code == 400
            book = (await http.get("/api/v3/depth", params={"symbol": "BTCUSDT"})).json()
            assert book == {"lastUpdateId": 30, "bids": [["99.50000000", "20"], ["99.00000000", "1"]],
                            "asks": [["101.00000000", "1"]]}  # fmt: skip
    finally:
        await fake.stop()


@pytest.mark.skipif(HFT is None, reason=REASON)
async def test_a_real_recording_goes_through_socket_and_parser_whole() -> None:
    """9,757 trades, 28,040 quotes and 3,451 diffs from the fake exchange over a real socket, as fast as it goes."""
    assert HFT is not None
    fake = FakeBinance(SystemClock())
    fake.market.add("BTC", "USDT")
    await fake.start()
    venue = BinanceVenue(SystemClock(), lambda: 0.5, rest_url=fake.url, stream_url=fake.stream_url)
    sink = KeepingSink()
    feed = asyncio.create_task(venue.feed(["BTC-USDT"], await venue.instruments(), sink).run())
    try:
        for _ in range(500):
            await asyncio.sleep(0.01)
            if sink.of(Progress) and sink.of(Progress)[-1].feed_alive:
                break
        lag = [0.0]

        async def watch() -> None:
            loop = asyncio.get_running_loop()
            while True:
                start = loop.time()
                await asyncio.sleep(0.001)
                lag.append(loop.time() - start)

        watching = asyncio.create_task(watch())
        sent = await play(fake, HFT, speed=60.0)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if len(sink.trades()) == 9757:
                break
        watching.cancel()
        assert sent == 41249
        assert len(sink.trades()) == 9757
        assert len(sink.of(QuoteUpdated)) > 20
        assert sink.of(BookUpdated)[-1].in_sequence
        assert not sink.complaints
        assert not fake.violations
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        await venue.close()
        await fake.stop()
