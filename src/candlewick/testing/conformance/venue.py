"""The laws of ``ports.venue``, for every adapter, over whatever transport it uses.

 1 Instruments are spelled BASE-QUOTE; their scales hold tick and step exactly.
 2 Live trades arrive once each, in the venue's order, with exact digits, side and venue time.
 3 Every frame reaches ``Sink.frame`` before a message made of it, and a parser makes the same trades of those frames.
 4 A trade sent twice is taken once; missing ids are reported exactly; a missing trade that comes late is taken.
 5 Progress comes again and again while nothing trades, never goes back, and no later trade is older than it says.
 6 A living stretch opens with ``feed_alive`` false; a lost connection is healed and the hole it left is reported.
 7 Silence on an open connection is treated like a disconnect.
 8 The newest quote is never withheld, and quotes that nobody could see are dropped.
 9 A book's levels are best first; a hole in its sequence is told once and healed from a snapshot.
10 Nonsense is reported with a code of ``NONSENSE`` and costs nothing else.
11 Symbols come and go while the feed runs; an unknown one is refused with UNKNOWN_SYMBOL.
12 While the sink is congested trades wait in order; none is lost, none overtakes.
13 Candles are closed, final, FETCHED, oldest first, start inclusive and end exclusive, and equal the trades' sums.
14 Trades by id are inclusive and exact; fewer only where the venue has no more.
15 When the venue asks for silence nothing is asked until it is over, and the call then succeeds.
16 A refused address is VENUE_FORBIDDEN; server errors are tried again and then VENUE_UNAVAILABLE.
17 ``parse_many`` gives the trades, gaps and Progress that ``parse`` gives.
18 A parser restored from a checkpoint goes on as if there had been no break.
19 ``is_reachable`` never raises and answers in time; server time is the venue's.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Protocol

import pytest

from candlewick.contracts.base import Origin
from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated, Side, TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import FINAL
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.decimals import parse_mantissa
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.venue import (
    NONSENSE,
    FrameParser,
    UnknownSymbol,
    Venue,
    VenueForbidden,
    VenueUnavailable,
)
from candlewick.testing.binance.sink import KeepingSink
from candlewick.testing.conformance.harness import Harness

_PATIENCE_S = 8.0
_MINUTE_NS = 60 * NS_PER_SECOND


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


async def _until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        await asyncio.sleep(0.005)


class _Live:
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
        await _until(lambda: any(p.feed_alive for p in self.progress(symbol)[since:]), "the feed is proven alive")

    async def has(self, ids: Sequence[int], symbol: str | None = None) -> None:
        await _until(lambda: len(self.ids(symbol)) >= len(ids), f"trades {list(ids)[:3]}.. arrive")
        await asyncio.sleep(0.05)
        assert self.ids(symbol) == list(ids)


@asynccontextmanager
async def _live(harness: VenueHarness) -> AsyncIterator[_Live]:
    venue = await harness.handle()
    live = _Live(venue, harness.exchange, await venue.instruments())
    task = asyncio.create_task(live.feed.run())
    try:
        await live.alive()
        yield live
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _recorded(harness: VenueHarness) -> tuple[Venue, Sequence[Instrument], list[tuple[int, bytes]]]:
    """Frames of a little session, with a hole in it."""
    async with _live(harness) as live:
        symbol = live.exchange.symbols[0]
        for i in range(80):
            live.exchange.trade(symbol, f"{100 + i % 9}.25", "0.5", is_buy=bool(i % 3), withheld=i in {30, 31})
            if i % 10 == 0:
                await asyncio.sleep(0.02)
        await _until(lambda: len(live.ids()) == 78, "the session's trades arrive")
        assert live.sink.frames, "no frame reached Sink.frame"
        return live.venue, [i for i in live.instruments if i.symbol == symbol], list(live.sink.frames)


def _parsed(parser: FrameParser, frames: Sequence[tuple[int, bytes]], size: int) -> KeepingSink:
    sink = KeepingSink()
    for start in range(0, len(frames), size):
        parser.parse_many(frames[start : start + size], sink)
    parser.finish(frames[-1][0], sink)
    return sink


class VenueConformance:
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> VenueHarness:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_instruments(self, harness: VenueHarness) -> None:
        venue = await harness.handle()
        found = {i.symbol: i for i in await venue.instruments()}
        assert set(harness.exchange.symbols) <= set(found)
        for i in found.values():
            assert i.symbol == f"{i.base}-{i.quote}"
            assert i.exchange == venue.info.name
            assert parse_mantissa(i.price_tick, i.price_scale) > 0
            assert parse_mantissa(i.size_step, i.size_scale) > 0

    async def test_02_trades_arrive_exactly(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            symbol = live.exchange.symbols[0]
            sent = [(f"{90 + i}.{i:02}", f"0.{i + 1:05}", i % 2 == 0) for i in range(60)]
            ids = [live.exchange.trade(symbol, p, q, is_buy=buy) for p, q, buy in sent]
            await live.has(ids)
            got = []
            for batch in live.sink.of(TradeBatch, symbol):
                c = batch.columns_v1
                for p, q, side in zip(c.price.tolist(), c.size.tolist(), c.side.tolist(), strict=True):
                    price, size = Decimal(p).scaleb(-c.price_scale), Decimal(q).scaleb(-c.size_scale)
                    got.append((price, size, side == Side.BUY))
                assert abs(int(c.ts_event[0]) - live.exchange.now_ns) < 5 * NS_PER_SECOND
            assert got == [(Decimal(p), Decimal(q), buy) for p, q, buy in sent]

    async def test_03_frames_come_first(self, harness: VenueHarness) -> None:
        venue, instruments, frames = await _recorded(harness)
        sink = _parsed(venue.parser(instruments), frames, 1)
        assert len(sink.trades()) == 78
        async with _live(harness) as live:
            symbol = live.exchange.symbols[0]
            before = len(live.sink.frames)
            live.exchange.trade(symbol, "100", "1")
            await _until(live.ids, "the trade arrives")
            assert len(live.sink.frames) > before
            again = _parsed(venue.parser(instruments), live.sink.frames, 1)
            assert again.trades() == live.sink.trades()

    async def test_04_duplicates_and_missing_ids(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]
            first = exchange.trade(symbol, "100", "1", times=3)
            missing = exchange.trade(symbol, "101", "1", withheld=True)
            lost = exchange.trade(symbol, "102", "1", withheld=True)
            after = exchange.trade(symbol, "103", "1", times=2)
            exchange.send_again(symbol, missing)
            exchange.send_again(symbol, first)
            await live.has([first, after, missing])
            gaps = [(g.first_missing_id, g.last_missing_id) for g in live.sink.of(GapSuspected)]
            assert gaps == [(missing, lost)]

    async def test_05_progress(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            symbol = live.exchange.symbols[0]
            start = len(live.progress())
            await _until(lambda: len(live.progress()) >= start + 4, "Progress goes on without trades")
            assert live.progress()[-1].complete_through > live.progress()[start].complete_through
            for i in range(60):
                live.exchange.trade(symbol, "100", f"{i + 1}")
                await asyncio.sleep(0.005)
            await _until(lambda: len(live.ids()) == 60, "the trades arrive")
            through, handed = 0, -1
            for message, _ in live.sink.messages:
                if isinstance(message, Progress) and message.symbol == symbol:
                    assert message.complete_through >= through, "Progress went back"
                    assert message.last_id == handed or handed < 0, "last_id is the last trade handed over"
                    through = message.complete_through
                elif isinstance(message, TradeBatch):
                    assert int(message.columns_v1.ts_event.min()) >= through, "a trade before complete_through"
                    handed = int(message.columns_v1.trade_id[-1])

    async def test_06_a_lost_connection_is_healed_and_told(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]
            assert live.progress()[0].feed_alive is False
            one = exchange.trade(symbol, "100", "1")
            await live.has([one])
            said = len(live.progress())
            exchange.cut()
            exchange.trade(symbol, "101", "1")
            await _until(lambda: any(not p.feed_alive for p in live.progress()[said:]), "the loss is told")
            await live.alive(since=len(live.progress()))
            three = exchange.trade(symbol, "102", "1")
            await live.has([one, three])
            gaps = live.sink.of(GapSuspected)
            by_time = [g for g in gaps if g.first_missing_id < 0]
            assert len(by_time) == 1, "the hole is told by its time"
            assert any(g.first_missing_id == one + 1 and g.last_missing_id == three - 1 for g in gaps)
            opened = [p for p in live.progress()[said:] if not p.feed_alive][-1]
            assert opened.complete_through == by_time[0].end_ns

    async def test_07_silence(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]
            exchange.hush(True)
            await _until(lambda: not live.progress()[-1].feed_alive, "silence is noticed")
            exchange.hush(False)
            await live.alive(since=len(live.progress()))
            await live.has([exchange.trade(symbol, "100", "1")])
            assert [g.reason for g in live.sink.of(GapSuspected)] == ["silence"]

    async def test_08_quotes(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            symbol = live.exchange.symbols[0]
            live.sink.congested = True
            for i in range(40):
                live.exchange.quote(symbol, f"{50 + i}.5", "100")
            await asyncio.sleep(0.3)
            live.sink.congested = False
            await _until(lambda: live.sink.of(QuoteUpdated), "a quote arrives")
            await asyncio.sleep(0.2)
            quotes = live.sink.of(QuoteUpdated, symbol)
            assert quotes[-1].bid == parse_mantissa("89.5", quotes[-1].price_scale)
            assert len(quotes) < 10, "what nobody could see is dropped"
            live.exchange.quote(symbol, "99.5", "100")
            await _until(lambda: live.sink.of(QuoteUpdated)[-1].bid == parse_mantissa("99.5", quotes[-1].price_scale),
                         "the newest quote arrives")  # fmt: skip

    async def test_09_books(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]

            def bids() -> list[Decimal]:
                books = live.sink.of(BookUpdated, symbol)
                if not books or not books[-1].in_sequence:
                    return []
                return [Decimal(p).scaleb(-books[-1].price_scale) for p in books[-1].bid_price.tolist()]

            exchange.book(symbol, [("98.5", "1"), ("98.7", "2")])
            await _until(lambda: bids()[:1] == [Decimal(99)], "the book arrives")
            await _until(lambda: bids()[:3] == [Decimal(99), Decimal("98.7"), Decimal("98.5")], "levels, best first")
            told = len(live.sink.of(BookUpdated))
            exchange.book(symbol, [("98.9", "1")], withheld=True)
            exchange.book(symbol, [("98.7", "0")])
            await _until(lambda: any(not b.in_sequence for b in live.sink.of(BookUpdated)[told:]), "the hole is told")
            exchange.book(symbol, [("98.1", "1")])
            await _until(lambda: bids()[:2] == [Decimal(99), Decimal("98.9")], "the book is healed")
            assert Decimal("98.7") not in bids()
            assert sum(not b.in_sequence for b in live.sink.of(BookUpdated)[told:]) == 1

    async def test_10_nonsense(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            one = live.exchange.trade(live.exchange.symbols[0], "100", "1")
            sent = live.exchange.garble()
            two = live.exchange.trade(live.exchange.symbols[0], "101", "1")
            await live.has([one, two])
            codes = live.sink.codes()
            assert sum(codes.values()) == sent
            assert set(codes) <= set(NONSENSE)
            assert not live.sink.of(GapSuspected)

    async def test_11_follow_and_unfollow(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            first, second = live.exchange.symbols
            with pytest.raises(UnknownSymbol):
                await live.feed.follow(["NO-SUCH"])
            await live.feed.follow([second])
            await live.alive(second)
            await live.has([live.exchange.trade(second, "5", "1")], second)
            await live.feed.unfollow([first])
            live.exchange.trade(first, "100", "1")
            ids = [*live.ids(second), live.exchange.trade(second, "6", "1")]
            await live.has(ids, second)
            assert live.ids(first) == []
            assert live.progress(first)[-1].feed_alive is False

    async def test_12_a_congested_sink(self, harness: VenueHarness) -> None:
        async with _live(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]
            live.sink.congested = True
            ids = []
            for i in range(200):
                ids.append(exchange.trade(symbol, f"{100 + i % 5}", "1"))
                if i % 20 == 0:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert live.ids() == [], "trades went into a congested sink"
            live.sink.congested = False
            ids.append(exchange.trade(symbol, "100", "1"))
            await live.has(ids)
            assert not live.sink.of(GapSuspected)

    async def test_13_candles(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        symbol = exchange.symbols[0]
        open_ns = (exchange.now_ns // _MINUTE_NS - 5) * _MINUTE_NS
        for minute in range(6):
            for i in range(3):
                exchange.trade(
                    symbol, f"{100 + minute}.{i}", "0.125", is_buy=i != 1, ts_ns=open_ns + minute * _MINUTE_NS
                )
        got = await venue.candles(symbol, "1m", open_ns, open_ns + 10 * _MINUTE_NS)
        assert got.open_time.tolist() == [open_ns + m * _MINUTE_NS for m in range(5)], "only closed candles"
        assert set(got.flags.tolist()) == {FINAL}
        assert set(got.origin.tolist()) <= {Origin.FETCHED, Origin.SIMULATED}
        assert got.trades.tolist() == [3] * 5

        def value(hi: Any, lo: Any, scale: int) -> Decimal:
            return (Decimal(int(hi)) * 2**64 + int(lo)).scaleb(-scale)

        assert Decimal(int(got.high[1])).scaleb(-got.price_scale) == Decimal("101.2")
        assert Decimal(int(got.open[1])).scaleb(-got.price_scale) == Decimal(101)
        assert value(got.volume_hi[1], got.volume_lo[1], got.size_scale) == Decimal("0.375")
        assert value(got.taker_hi[1], got.taker_lo[1], got.size_scale) == Decimal("0.25")
        quote = value(got.quote_hi[1], got.quote_lo[1], got.price_scale + got.size_scale)
        assert quote == Decimal("0.125") * (Decimal(101) + Decimal("101.1") + Decimal("101.2"))
        part = await venue.candles(symbol, "1m", open_ns + _MINUTE_NS, open_ns + 3 * _MINUTE_NS)
        assert part.open_time.tolist() == [open_ns + _MINUTE_NS, open_ns + 2 * _MINUTE_NS]

    async def test_14_trades_by_id(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        symbol = exchange.symbols[0]
        ids = [exchange.trade(symbol, f"{100 + i}.5", "1", is_buy=i % 2 == 0) for i in range(30)]
        got = (await venue.trades(symbol, ids[3], ids[20])).columns_v1
        assert got.trade_id.tolist() == ids[3:21]
        assert [Decimal(p).scaleb(-got.price_scale) for p in got.price.tolist()][:2] == [
            Decimal("103.5"),
            Decimal("104.5"),
        ]
        assert got.side.tolist()[:2] == [Side.SELL, Side.BUY]
        more = await venue.trades(symbol, ids[25], ids[-1] + 100)
        assert more.columns_v1.trade_id.tolist() == ids[25:]

    async def test_15_silence_that_is_asked_for(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        await venue.instruments()
        exchange.refuse(429, 1, retry_after_s=1)
        start = time.monotonic()
        assert await venue.server_time_ns() > 0
        assert time.monotonic() - start > 0.9
        assert not exchange.violations

    async def test_16_refusals(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        exchange.refuse(451, 1)
        with pytest.raises(CandlewickError) as refused:
            await venue.server_time_ns()
        assert isinstance(refused.value, VenueForbidden), "trying again will not serve a refused address"
        asked = exchange.asked
        exchange.refuse(502, 1)
        try:
            assert await venue.server_time_ns() > 0
        except VenueUnavailable:
            pytest.fail("one server error is to be tried again")
        assert exchange.asked == asked + 2
        exchange.refuse(502, 50)
        with pytest.raises(VenueUnavailable):
            await venue.server_time_ns()

    async def test_17_many_frames_at_once(self, harness: VenueHarness) -> None:
        venue, instruments, frames = await _recorded(harness)
        one = KeepingSink()
        parser = venue.parser(instruments)
        for ts_recv, raw in frames:
            parser.parse(ts_recv, raw, one)
        parser.finish(frames[-1][0], one)
        for size in (7, 40, 100_000):
            many = _parsed(venue.parser(instruments), frames, size)
            assert many.trades() == one.trades()
            assert many.of(GapSuspected) == one.of(GapSuspected)
            assert many.of(Progress) == one.of(Progress)

    async def test_18_checkpoints(self, harness: VenueHarness) -> None:
        venue, instruments, frames = await _recorded(harness)
        whole = _parsed(venue.parser(instruments), frames, 10)
        parts = KeepingSink()
        parser = venue.parser(instruments)
        for start in range(0, len(frames), 10):
            block = frames[start : start + 10]
            parser.parse_many(block, parts)
            parser.flush(block[-1][0], parts)
            saved = parser.checkpoint()
            parser = venue.parser([])
            parser.restore(saved)
        parser.finish(frames[-1][0], parts)
        assert parts.trades() == whole.trades()
        assert parts.of(GapSuspected) == whole.of(GapSuspected)
        assert parts.of(Progress) == whole.of(Progress)

    async def test_19_reachable(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        assert await venue.is_reachable(2.0) is True
        assert abs(await venue.server_time_ns() - exchange.now_ns) < 5 * NS_PER_SECOND
        exchange.refuse(503, 1)
        assert await venue.is_reachable(2.0) is False
