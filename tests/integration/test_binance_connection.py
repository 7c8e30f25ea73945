"""The laws of a live connection, over real sockets, against a Binance that misbehaves on command."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from candlewick.adapters.venues._connection.dialect import Limits
from candlewick.adapters.venues._connection.feed import LiveFeed
from candlewick.adapters.venues.binance.venue import BinanceVenue
from candlewick.contracts.collector import (
    BookUpdated,
    ConnectionChanged,
    GapSuspected,
    Progress,
    QuoteUpdated,
)
from candlewick.kernel.system import SystemClock
from candlewick.ports.venue import UnknownSymbol, VenueForbidden, VenueUnavailable
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


async def test_latency_from_socket_to_sink_is_a_few_milliseconds() -> None:
    async with bench() as b:
        await b.alive()
        for _ in range(20):
            b.fake.trade("BTCUSDT", "100")
            await asyncio.sleep(0.01)
        await until(lambda: len(b.ids()) == 20)
        recv = {id(m): ts for m, ts in b.sink.messages}
        assert recv


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


async def test_a_cut_connection_is_replaced_and_the_hole_is_told() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        b.fake.open_connections()[0].abort()
        b.fake.trade("BTCUSDT", "101")
        b.fake.trade("BTCUSDT", "102")
        await b.connected(2)
        await b.alive()
        b.fake.trade("BTCUSDT", "103")
        await until(lambda: b.ids() == [1, 4])
        gaps = {g.reason: g for g in b.sink.of(GapSuspected)}
        assert set(gaps) == {"disconnect", "missing_ids"}
        assert (gaps["missing_ids"].first_missing_id, gaps["missing_ids"].last_missing_id) == (2, 3)
        assert gaps["disconnect"].start_ns < gaps["disconnect"].end_ns
        dead = [p for p in b.sink.of(Progress) if not p.feed_alive]
        assert dead[-1].complete_through == gaps["disconnect"].end_ns
        assert "lost" in b.states()


async def test_a_connection_cut_in_the_middle_of_a_frame_loses_nothing_else() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        event = b.fake.market.symbols["BTCUSDT"].trade("101", "1", b.fake.now_ms())
        b.fake.open_connections()[0].drop(json.dumps({"stream": "btcusdt@trade", "data": event}).encode())
        await b.connected(2)
        b.fake.trade("BTCUSDT", "102")
        await until(lambda: b.ids() == [1, 3])
        assert not b.sink.complaints


@pytest.mark.parametrize("kind", ["is_silent", "is_half_open"])
async def test_silence_is_a_disconnect(kind: str) -> None:
    """A socket that stays open and says nothing (or is half open) is given up and replaced."""
    async with bench() as b:
        await b.alive()
        setattr(b.fake.faults, kind, True)
        await until(lambda: "silent" in b.states())
        frozen = b.sink.of(Progress)[-1]
        assert not frozen.feed_alive
        setattr(b.fake.faults, kind, False)
        await b.connected(2)
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        assert {g.reason for g in b.sink.of(GapSuspected)} == {"silence"}


async def test_one_silent_symbol_is_subscribed_anew() -> None:
    """The connection lives, but a symbol that used to speak has fallen silent."""
    async with bench(("BTC-USDT", "ETH-USDT")) as b:
        await b.alive("ETH-USDT")
        for _ in range(20):
            b.fake.trade("ETHUSDT", "10")
            await asyncio.sleep(0.002)
        connection = b.fake.open_connections()[0]
        asked = len(connection.requests)
        await until(lambda: "resubscribing" in b.states())
        await until(lambda: len(connection.requests) >= asked + 2)
        assert [r["method"] for r in connection.requests[asked : asked + 2]] == ["UNSUBSCRIBE", "SUBSCRIBE"]
        assert all(s.startswith("ethusdt@") for s in connection.requests[asked]["params"])
        await until(lambda: b.states()[-1] == "connected")
        b.fake.trade("ETHUSDT", "11")
        await until(lambda: len(b.ids("ETH-USDT")) == 21)
        assert b.fake.handshakes == 1


async def test_trade_gap_duplicate_and_reordering_are_told_apart() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.trade("BTCUSDT", "100")
        b.fake.trade("BTCUSDT", "101", times=3)
        b.fake.trade("BTCUSDT", "102", withheld=True)
        b.fake.trade("BTCUSDT", "103")
        held = b.fake.market.symbols["BTCUSDT"].trades[2]
        b.fake.publish("btcusdt@trade", held)
        await until(lambda: len(b.ids()) == 4)
        assert b.ids() == [1, 2, 4, 3]
        assert [(g.first_missing_id, g.last_missing_id) for g in b.sink.of(GapSuspected)] == [(3, 3)]


async def test_a_book_with_a_hole_starts_over_from_a_snapshot() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        await until(lambda: b.sink.of(BookUpdated))
        asked = b.fake.asked["depth"]
        b.fake.depth("BTCUSDT", [("99.2", "1")], withheld=True)
        b.fake.depth("BTCUSDT", [("99.3", "1")])
        await until(lambda: b.sink.of(BookUpdated)[-1].in_sequence is False)
        b.fake.depth("BTCUSDT", [("99.4", "1")])
        await until(lambda: b.sink.of(BookUpdated)[-1].in_sequence)
        assert b.fake.asked["depth"] > asked
        assert b.sink.of(BookUpdated)[-1].bid_price[:4].tolist() == [9940, 9930, 9920, 9910]
        assert b.sink.codes()["BOOK_SEQUENCE"] == 1


async def test_garbage_frames_are_named_and_the_feed_goes_on() -> None:
    async with bench() as b:
        await b.alive()
        connection = b.fake.open_connections()[0]
        for junk in (b"{", b"\xff\xff", b'{"stream":"btcusdt@trade","data":{"t":"x"}}', b"null", b""):
            connection.send(junk)
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        assert b.fake.handshakes == 1
        assert set(b.sink.codes()) <= {"BAD_FRAME", "BAD_TYPE"}
        assert sum(b.sink.codes().values()) == 5


async def test_a_fault_of_the_parser_costs_one_frame() -> None:
    async with bench() as b:
        await b.alive()
        parser = b.feed.lanes()[0].parser
        sound = parser.parse

        def parse(ts_recv: int, raw: bytes, sink: Any) -> None:
            if b'"t":2,' in raw:
                raise ZeroDivisionError("planted")
            sound(ts_recv, raw, sink)

        parser.parse = parse  # type: ignore[method-assign]
        for _ in range(3):
            b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1, 3])
        assert b.sink.codes() == {"PARSER_FAULT": 1}
        assert b.fake.handshakes == 1


async def test_a_region_that_is_refused_books_is_not_pestered() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.faults.rest.extend([(451, {})] * 50)
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        await until(lambda: b.sink.codes()["NO_SNAPSHOT"] == 1)
        await asyncio.sleep(0.3)
        assert b.fake.asked["depth"] == 1
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])


async def test_a_refused_subscription_is_tried_again_on_a_new_connection() -> None:
    async with bench(before=lambda f: setattr(f.faults, "refuse_subscriptions", 2)) as b:
        await b.alive()
        assert b.fake.handshakes == 3
        assert b.states().count("failed") == 2
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])


async def test_an_unanswered_subscription_is_tried_again() -> None:
    async with bench(before=lambda f: setattr(f.faults, "ignore_subscriptions", 1)) as b:
        await b.alive()
        assert b.fake.handshakes == 2


@pytest.mark.parametrize("status", [451, 403])
async def test_a_forbidden_handshake_ends_the_feed(status: int) -> None:
    async with bench(before=lambda f: f.faults.handshakes.append((status, {}))) as b:
        with pytest.raises(VenueForbidden):
            await asyncio.wait_for(b.run, 5)


@pytest.mark.parametrize("status", [429, 418])
async def test_a_refused_handshake_keeps_silent_as_long_as_asked(status: int) -> None:
    async with bench(before=lambda f: f.faults.handshakes.append((status, {"Retry-After": "1"}))) as b:
        await until(lambda: "refused" in b.states())
        refused = time.monotonic()
        await b.connected()
        assert time.monotonic() - refused > 0.8
        assert b.fake.handshakes == 2


async def test_a_venue_that_is_down_opens_the_breaker_and_is_found_again() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.faults.is_down = True
        b.fake.open_connections()[0].abort()
        await until(lambda: "paused" in b.states(), why=str(b.run))
        b.fake.faults.is_down = False
        await b.connected(2)
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])


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


async def test_a_slow_sink_slows_nobody_and_loses_no_trade(tmp_path: Path) -> None:
    """Law 16: the socket is drained, trades wait on disk in order, quotes conflate."""
    async with bench(spool=tmp_path / "spool") as b:
        await b.alive()
        b.sink.congested = True
        before = len(b.sink.of(QuoteUpdated))
        for i in range(400):
            b.fake.trade("BTCUSDT", f"{100 + i % 7}")
            b.fake.quote("BTCUSDT", f"{90 + i % 5}.00000000", "101.00000000")
            await asyncio.sleep(0.0005)
        await until(lambda: len([1 for _, raw in b.sink.frames if b"@trade" in raw]) == 400)
        await asyncio.sleep(0.05)
        assert b.ids() == []
        assert list((tmp_path / "spool").iterdir())
        b.sink.congested = False
        await until(lambda: len(b.ids()) == 400)
        assert b.ids() == list(range(1, 401))
        assert len(b.sink.of(QuoteUpdated)) <= before + 2
        assert not b.sink.of(GapSuspected)
        last = 0
        for message, _ in b.sink.messages:
            if isinstance(message, Progress):
                assert message.last_id <= max(last, 0) or message.last_id == -1
            elif hasattr(message, "columns_v1"):
                last = int(message.columns_v1.trade_id[-1])


async def test_the_spool_survives_a_restart_and_comes_first(tmp_path: Path) -> None:
    fake = FakeBinance(SystemClock(), kline_s=0.05)
    fake.market.add("BTC", "USDT")
    await fake.start()
    try:
        async with bench(spool=tmp_path, fake=fake) as b:
            await b.alive()
            b.sink.congested = True
            for _ in range(30):
                fake.trade("BTCUSDT", "100")
            await until(lambda: len([1 for _, raw in b.sink.frames if b"@trade" in raw]) == 30)
        assert b.ids() == []
        async with bench(spool=tmp_path, fake=fake) as c:
            await c.alive()
            fake.trade("BTCUSDT", "101")
            await until(lambda: len(c.ids()) == 31)
            assert c.ids() == list(range(1, 32))
    finally:
        await fake.stop()


async def test_a_full_spool_says_what_it_dropped(tmp_path: Path) -> None:
    async with bench(spool=tmp_path, spool_bytes=2000) as b:
        await b.alive()
        b.sink.congested = True
        for _ in range(300):
            b.fake.trade("BTCUSDT", "100")
            await asyncio.sleep(0.0005)
        await until(lambda: b.sink.codes()["SPOOL_FULL"] > 0)
        b.sink.congested = False
        await until(lambda: len(list(tmp_path.iterdir())) == 0)
        kept = set(b.ids())
        dropped = {
            i
            for g in b.sink.of(GapSuspected)
            if g.reason == "missing_ids"
            for i in range(g.first_missing_id, g.last_missing_id + 1)
        }
        assert kept | dropped == set(range(1, 301))
        assert not kept & dropped


async def test_a_ban_on_rest_is_kept_by_the_whole_process() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.faults.rest.append((418, {"Retry-After": "2"}))
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        await until(lambda: b.fake.asked["depth"] == 1)
        await until(lambda: b.sink.of(BookUpdated), seconds=6)
        assert b.fake.violations == []


async def test_rest_that_fails_does_not_stop_the_trades() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.faults.rest.extend([(502, {})] * 16)
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        with pytest.raises(VenueUnavailable):
            await b.venue.server_time_ns()


async def test_close_hands_over_what_was_gathered() -> None:
    limits = Limits(**{f: getattr(FAST, f) for f in FAST.__struct_fields__} | {"linger_s": 60.0, "watch_s": 60.0})
    async with bench(limits=limits) as b:
        await b.connected()
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: [1 for _, raw in b.sink.frames if b"@trade" in raw])
        await b.feed.close()
        await asyncio.wait_for(b.run, 5)
        assert b.ids() == [1]
        assert b.states()[-1] == "closed"
        assert b.sink.of(Progress)[-1].feed_alive is False
