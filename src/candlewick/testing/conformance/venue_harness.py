"""What the venue's suite needs beside the port: an exchange that does what it is told, and a feed to watch."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from candlewick.contracts.collector import Progress
from candlewick.contracts.market import Instrument
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.ports.venue import FrameParser, Venue
from candlewick.testing.binance.sink import KeepingSink
from candlewick.testing.conformance.harness import Harness

PATIENCE_S = 8.0
MINUTE_NS = 60 * NS_PER_SECOND


class Exchange(Protocol):
    """The other side: an exchange that does what it is told. Symbols are ours, numbers decimal strings."""

    @property
    def symbols(self) -> tuple[str, str]:
        """Two symbols it lists; the first one's book is not empty."""
        ...

    def trade(
        self, symbol: str, price: str, size: str, *, is_buy: bool = True, ts_ns: int | None = None,
        withheld: bool = False, times: int = 1,
    ) -> int:  # fmt: skip
        """A trade happens (now, or long ago), is sent ``times`` times or not at all; its id."""
        ...

    def send_again(self, symbol: str, trade_id: int) -> None: ...

    def quote(self, symbol: str, bid: str, ask: str) -> None: ...

    def book(self, symbol: str, bids: Sequence[tuple[str, str]], *, withheld: bool = False) -> None: ...

    def cut(self) -> None:
        """Every live connection breaks."""
        ...

    def hush(self, is_silent: bool) -> None:
        """Connections stay open and say nothing."""
        ...

    def garble(self) -> int:
        """Send frames that make no sense; how many."""
        ...

    def refuse(self, status: int, times: int, retry_after_s: int | None = None) -> None:
        """The next REST requests are answered so; a pause that is asked for is watched."""
        ...

    @property
    def asked(self) -> int:
        """REST requests so far."""
        ...

    @property
    def violations(self) -> Sequence[str]:
        """What the client did against the venue's rules."""
        ...

    @property
    def now_ns(self) -> int: ...


class VenueHarness(Harness[Venue], Protocol):
    """Venues pointed at the exchange, tuned for tests: silence within a second, Progress ten times a second."""

    @property
    def exchange(self) -> Exchange: ...


async def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        await asyncio.sleep(0.005)


class LiveFeedBench:
    """A running feed and what it said."""

    def __init__(self, venue: Venue, exchange: Exchange, instruments: Sequence[Instrument]) -> None:
        self.venue, self.exchange, self.instruments = venue, exchange, instruments
        self.sink = KeepingSink()
        self.feed = venue.feed([exchange.symbols[0]], instruments, self.sink)

    def ids(self, symbol: str | None = None) -> list[int]:
        return [row[0] for row in self.sink.trades(symbol or self.exchange.symbols[0])]

    def progress(self, symbol: str | None = None) -> list[Progress]:
        return self.sink.of(Progress, symbol or self.exchange.symbols[0])

    async def alive(self, symbol: str | None = None, since: int = 0) -> None:
        await until(lambda: any(p.feed_alive for p in self.progress(symbol)[since:]), "the feed is proven alive")

    async def has(self, ids: Sequence[int], symbol: str | None = None) -> None:
        await until(lambda: len(self.ids(symbol)) >= len(ids), f"trades {list(ids)[:3]}.. arrive")
        await asyncio.sleep(0.05)
        assert self.ids(symbol) == list(ids)


@asynccontextmanager
async def live_feed(
    harness: VenueHarness, instruments: Sequence[Instrument] | None = None
) -> AsyncIterator[LiveFeedBench]:
    """Of the exchange's first symbol; knows all that the venue lists unless told otherwise."""
    venue = await harness.handle()
    live = LiveFeedBench(venue, harness.exchange, instruments or await venue.instruments())
    task = asyncio.create_task(live.feed.run())
    try:
        await live.alive()
        yield live
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def recorded(harness: VenueHarness) -> tuple[Venue, Sequence[Instrument], list[tuple[int, bytes]]]:
    """Frames of a little session, with a hole in it."""
    async with live_feed(harness) as live:
        symbol = live.exchange.symbols[0]
        for i in range(80):
            live.exchange.trade(symbol, f"{100 + i % 9}.25", "0.5", is_buy=bool(i % 3), withheld=i in {30, 31})
            if i % 10 == 0:
                await asyncio.sleep(0.02)
        await until(lambda: len(live.ids()) == 78, "the session's trades arrive")
        assert live.sink.frames, "no frame reached Sink.frame"
        return live.venue, [i for i in live.instruments if i.symbol == symbol], list(live.sink.frames)


def parsed(parser: FrameParser, frames: Sequence[tuple[int, bytes]], size: int) -> KeepingSink:
    sink = KeepingSink()
    for start in range(0, len(frames), size):
        parser.parse_many(frames[start : start + size], sink)
    parser.finish(frames[-1][0], sink)
    return sink
