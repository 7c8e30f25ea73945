"""A live feed on a Binance that misbehaves on command, over real sockets on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candlewick.adapters.venues._connection.dialect import Limits
from candlewick.adapters.venues._connection.feed import LiveFeed
from candlewick.adapters.venues.binance.venue import BinanceVenue
from candlewick.contracts.collector import ConnectionChanged, Progress
from candlewick.kernel.system import SystemClock
from candlewick.testing.binance.server import FakeBinance
from candlewick.testing.binance.sink import KeepingSink

FAST = Limits(
    lifetime_s=3600,
    overlap_s=0.05,
    silence_s=0.4,
    symbol_silence_s=0.3,
    connect_timeout_s=1.0,
    answer_timeout_s=0.3,
    requests_a_second=100.0,
    linger_s=0.002,
    watch_s=0.02,
    backoff_s=0.02,
    backoff_cap_s=0.1,
    breaker_failures=4,
    breaker_open_s=0.2,
    snapshot_retry_s=0.02,
)
PROGRESS = {"progress_ns": 50_000_000, "margin_ns": 20_000_000, "book_ns": 0, "quote_ns": 0}


async def until(condition: Callable[[], Any], seconds: float = 5.0, why: str = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why or "it never happened"
        await asyncio.sleep(0.005)


@dataclass
class Bench:
    fake: FakeBinance
    venue: BinanceVenue
    feed: LiveFeed
    sink: KeepingSink
    run: asyncio.Task[None]

    def states(self) -> list[str]:
        return [c.state for c in self.sink.of(ConnectionChanged)]

    def ids(self, symbol: str = "BTC-USDT") -> list[int]:
        return [row[0] for row in self.sink.trades(symbol)]

    async def connected(self, times: int = 1) -> None:
        await until(lambda: self.states().count("connected") >= times, why=str(self.states()))

    async def alive(self, symbol: str = "BTC-USDT") -> None:
        await until(lambda: any(p.feed_alive for p in self.sink.of(Progress, symbol)))


@asynccontextmanager
async def bench(
    symbols: tuple[str, ...] = ("BTC-USDT",),
    *,
    limits: Limits = FAST,
    spool: Path | None = None,
    sink: KeepingSink | None = None,
    fake: FakeBinance | None = None,
    before: Callable[[FakeBinance], None] = lambda fake: None,
    spool_bytes: int = 1 << 20,
) -> AsyncIterator[Bench]:
    clock = SystemClock()
    server = fake or FakeBinance(clock, kline_s=0.05)
    if fake is None:
        for base in ("BTC", "ETH", "SOL"):
            server.market.add(base, "USDT")
        server.market.symbols["BTCUSDT"].depth([("99", "1")], [("101", "1")], 0)
        await server.start()
    venue = BinanceVenue(
        clock,
        lambda: 0.5,
        rest_url=server.url,
        stream_url=server.stream_url,
        limits=limits,
        spool=spool,
        spool_bytes=spool_bytes,
        parser_options=PROGRESS,
        backoff_s=0.01,
    )
    instruments = await venue.instruments()
    before(server)
    keeping = sink or KeepingSink()
    feed = venue.feed(symbols, instruments, keeping)
    task = asyncio.create_task(feed.run())
    try:
        yield Bench(server, venue, feed, keeping, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await venue.close()
        if fake is None:
            await server.stop()
