"""A live connection over real sockets: what arrives, how it subscribes, how symbols come and go."""

import asyncio
import statistics
import time

import pytest

from candlewick.adapters.venues._connection.dialect import Limits
from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated
from candlewick.ports.venue import UnknownSymbol
from tests.integration.binance_bench import FAST, PROGRESS, bench, until


async def test_trades_quotes_and_books_arrive_from_a_real_socket() -> None:
    async with bench() as b:
        await b.alive()
        for i in range(50):
            b.fake.trade("BTCUSDT", f"{100 + i}.5", "0.25")
        b.fake.quote("BTCUSDT", "99.00000000", "101.00000000")
        b.fake.depth("BTCUSDT", [("99.5", "2")])
        await until(lambda: len(b.ids()) == 50 and b.sink.of(QuoteUpdated) and b.sink.of(BookUpdated))
        await until(lambda: b.sink.of(BookUpdated)[-1].bid_price[0] == 9950)
        assert b.ids() == list(range(1, 51))
        assert b.sink.trades()[0][1:3] == (10050, 25000)
        assert b.fake.violations == []
        assert any(b'"depthSnapshot"' in raw or b"@depthSnapshot" in raw for _, raw in b.sink.frames)
        assert not b.sink.complaints


async def test_a_lone_trade_does_not_wait_for_company() -> None:
    """A batch that is not full is handed over after the linger (2 ms here), not when more trades come."""
    took = []
    async with bench() as b:
        await b.alive()
        for i in range(20):
            sent = time.monotonic()
            b.fake.trade("BTCUSDT", "100")
            await until(lambda i=i: len(b.ids()) == i + 1)
            took.append(time.monotonic() - sent)
    assert statistics.median(took) < 0.1


async def test_progress_moves_while_nothing_trades() -> None:
    """Law 3 and 4: other frames of the connection carry venue time; completeness follows them at the margin."""
    async with bench() as b:
        await b.alive()
        first = b.sink.of(Progress)[-1].complete_through
        await asyncio.sleep(0.4)
        said = [p for p in b.sink.of(Progress) if p.feed_alive]
        assert said[-1].complete_through > first
        assert b.fake.now_ms() * 1_000_000 - said[-1].complete_through >= PROGRESS["margin_ns"]
        through = [p.complete_through for p in b.sink.of(Progress)]
        assert through == sorted(through)


async def test_subscriptions_go_out_in_batches_within_the_limit() -> None:
    limits = Limits(
        **{f: getattr(FAST, f) for f in FAST.__struct_fields__} | {"streams_a_request": 2, "requests_a_second": 4.0}
    )
    async with bench(("BTC-USDT", "ETH-USDT"), limits=limits) as b:
        await b.connected()
        connection = b.fake.open_connections()[0]
        assert [len(r["params"]) for r in connection.requests] == [2, 2, 2, 1]
        assert b.fake.violations == []
        assert len(connection.streams) == 7


async def test_symbols_beyond_one_connection_get_another() -> None:
    limits = Limits(**{f: getattr(FAST, f) for f in FAST.__struct_fields__} | {"streams_a_connection": 7})
    async with bench(("BTC-USDT", "ETH-USDT", "SOL-USDT"), limits=limits) as b:
        await b.connected(2)
        assert len(b.fake.open_connections()) == 2
        b.fake.trade("SOLUSDT", "5")
        await until(lambda: b.ids("SOL-USDT") == [1])


async def test_pings_are_answered_with_their_payload() -> None:
    async with bench() as b:
        await b.connected()
        connection = b.fake.open_connections()[0]
        connection.send(b"are you there", 0x9)
        await until(lambda: connection.pongs)
        assert connection.pongs == [b"are you there"]


async def test_an_old_connection_is_replaced_before_it_is_closed() -> None:
    """Rotation: no trade is missed, none comes twice, the feed stays proven alive."""
    limits = Limits(**{f: getattr(FAST, f) for f in FAST.__struct_fields__} | {"lifetime_s": 0.3})
    async with bench(limits=limits) as b:
        await b.alive()
        for i in range(150):
            b.fake.trade("BTCUSDT", f"{100 + i}")
            await asyncio.sleep(0.006)
        await until(lambda: len(b.ids()) == 150)
        assert b.fake.handshakes >= 3
        assert b.ids() == list(range(1, 151))
        assert not b.sink.of(GapSuspected)
        assert [p.feed_alive for p in b.sink.of(Progress)].count(False) == 1
        assert "lost" not in b.states()


async def test_symbols_come_and_go_at_run_time() -> None:
    async with bench() as b:
        await b.alive()
        with pytest.raises(UnknownSymbol):
            await b.feed.follow(["NOPE-USDT"])
        await b.feed.follow(["ETH-USDT"])
        b.fake.trade("ETHUSDT", "10")
        await until(lambda: b.ids("ETH-USDT") == [1])
        await b.alive("ETH-USDT")
        await b.feed.unfollow(["BTC-USDT"])
        assert not any(s.startswith("btcusdt@trade") for s in b.fake.open_connections()[0].streams)
        assert b.sink.of(Progress, "BTC-USDT")[-1].feed_alive is False
        b.fake.trade("BTCUSDT", "100")
        b.fake.trade("ETHUSDT", "11")
        await until(lambda: b.ids("ETH-USDT") == [1, 2])
        assert b.ids() == []
        assert b.fake.handshakes == 1
