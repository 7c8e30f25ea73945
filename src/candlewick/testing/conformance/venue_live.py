"""Laws of the live feed: what arrives, what is told of holes, and what waits."""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated, Side, TradeBatch
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.decimals import parse_mantissa
from candlewick.ports.venue import NONSENSE, UnknownSymbol
from candlewick.testing.conformance.venue_harness import VenueHarness, live_feed, until


class LiveLaws:
    """Laws 2, 4 to 12 and 20."""

    async def test_02_trades_arrive_exactly(self, harness: VenueHarness) -> None:
        async with live_feed(harness) as live:
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

    async def test_04_duplicates_and_missing_ids(self, harness: VenueHarness) -> None:
        async with live_feed(harness) as live:
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
        async with live_feed(harness) as live:
            symbol = live.exchange.symbols[0]
            start = len(live.progress())
            await until(lambda: len(live.progress()) >= start + 4, "Progress goes on without trades")
            assert live.progress()[-1].complete_through > live.progress()[start].complete_through
            for i in range(60):
                live.exchange.trade(symbol, "100", f"{i + 1}")
                await asyncio.sleep(0.005)
            await until(lambda: len(live.ids()) == 60, "the trades arrive")
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
        async with live_feed(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]
            assert live.progress()[0].feed_alive is False
            one = exchange.trade(symbol, "100", "1")
            await live.has([one])
            said = len(live.progress())
            exchange.cut()
            exchange.trade(symbol, "101", "1")
            await until(lambda: any(not p.feed_alive for p in live.progress()[said:]), "the loss is told")
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
        async with live_feed(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]
            exchange.hush(True)
            await until(lambda: not live.progress()[-1].feed_alive, "silence is noticed")
            exchange.hush(False)
            await live.alive(since=len(live.progress()))
            await live.has([exchange.trade(symbol, "100", "1")])
            assert [g.reason for g in live.sink.of(GapSuspected)] == ["silence"]

    async def test_08_quotes(self, harness: VenueHarness) -> None:
        async with live_feed(harness) as live:
            symbol = live.exchange.symbols[0]
            live.sink.congested = True
            for i in range(40):
                live.exchange.quote(symbol, f"{50 + i}.5", "100")
            await asyncio.sleep(0.3)
            live.sink.congested = False
            await until(lambda: live.sink.of(QuoteUpdated), "a quote arrives")
            await asyncio.sleep(0.2)
            quotes = live.sink.of(QuoteUpdated, symbol)
            assert quotes[-1].bid == parse_mantissa("89.5", quotes[-1].price_scale)
            assert len(quotes) < 10, "what nobody could see is dropped"
            live.exchange.quote(symbol, "99.5", "100")
            await until(lambda: live.sink.of(QuoteUpdated)[-1].bid == parse_mantissa("99.5", quotes[-1].price_scale),
                         "the newest quote arrives")  # fmt: skip

    async def test_09_books(self, harness: VenueHarness) -> None:
        async with live_feed(harness) as live:
            exchange, symbol = live.exchange, live.exchange.symbols[0]

            def bids() -> list[Decimal]:
                books = live.sink.of(BookUpdated, symbol)
                if not books or not books[-1].in_sequence:
                    return []
                return [Decimal(p).scaleb(-books[-1].price_scale) for p in books[-1].bid_price.tolist()]

            exchange.book(symbol, [("98.5", "1"), ("98.7", "2")])
            await until(lambda: bids()[:1] == [Decimal(99)], "the book arrives")
            await until(lambda: bids()[:3] == [Decimal(99), Decimal("98.7"), Decimal("98.5")], "levels, best first")
            told = len(live.sink.of(BookUpdated))
            exchange.book(symbol, [("98.9", "1")], withheld=True)
            exchange.book(symbol, [("98.7", "0")])
            await until(lambda: any(not b.in_sequence for b in live.sink.of(BookUpdated)[told:]), "the hole is told")
            exchange.book(symbol, [("98.1", "1")])
            await until(lambda: bids()[:2] == [Decimal(99), Decimal("98.9")], "the book is healed")
            assert Decimal("98.7") not in bids()
            assert sum(not b.in_sequence for b in live.sink.of(BookUpdated)[told:]) == 1

    async def test_10_nonsense(self, harness: VenueHarness) -> None:
        async with live_feed(harness) as live:
            one = live.exchange.trade(live.exchange.symbols[0], "100", "1")
            sent = live.exchange.garble()
            two = live.exchange.trade(live.exchange.symbols[0], "101", "1")
            await live.has([one, two])
            codes = live.sink.codes()
            assert sum(codes.values()) == sent
            assert set(codes) <= set(NONSENSE)
            assert not live.sink.of(GapSuspected)

    async def test_11_follow_and_unfollow(self, harness: VenueHarness) -> None:
        async with live_feed(harness) as live:
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
        async with live_feed(harness) as live:
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

    async def test_20_instruments_are_learned(self, harness: VenueHarness) -> None:
        venue = await harness.handle()
        exchange, listed = harness.exchange, {one.symbol: one for one in await venue.instruments()}
        first, second = exchange.symbols
        async with live_feed(harness, [listed[first]]) as live:
            known = live.instruments[0]
            ids = [exchange.trade(first, "100", "1")]
            await live.has(ids)
            finer = msgspec.structs.replace(known, price_scale=known.price_scale + 3, size_scale=known.size_scale + 1)
            for news in (finer, known):  # what became finer stays so
                live.feed.learn([news, listed[second]])
                ids.append(exchange.trade(first, "101", "1"))
                await live.has(ids)
                columns = live.sink.of(TradeBatch, first)[-1].columns_v1
                assert (columns.price_scale, columns.size_scale) == (finer.price_scale, finer.size_scale)
                assert Decimal(int(columns.price[-1])).scaleb(-columns.price_scale) == 101
            assert all(p.feed_alive for p in live.progress()[1:]), "trades went on without a break"
            assert not live.sink.of(GapSuspected)
            assert not live.sink.codes()
            await live.feed.follow([second])
            await live.alive(second)
            await live.has([exchange.trade(second, "5", "1")], second)
