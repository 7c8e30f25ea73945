"""The demo market as a venue, on a clock that moves by hand."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from itertools import groupby

import numpy as np
import pytest

from candlewick.adapters import venues
from candlewick.adapters.venues.demo.feed import PAUSE_NS, WATCHDOG_NS, DemoFeed
from candlewick.adapters.venues.demo.venue import CANDLES_KEPT_NS, NoFrames, TimeframeNotServed
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import (
    BookUpdated,
    ConnectionChanged,
    GapSuspected,
    Progress,
    QuoteUpdated,
    TradeBatch,
)
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.ports.venue import UnknownSymbol
from candlewick.quant.candles.operator import CandleOperator
from candlewick.quant.market_model.model import MarketModel
from candlewick.testing.binance.sink import KeepingSink
from candlewick.testing.clock import VirtualClock
from candlewick.testing.oracle.feed import drive

NS = NS_PER_SECOND
MINUTE = 60 * NS
DAY = 86_400 * NS
START = 1_767_225_600 * NS  # 2026-01-01 00:00 UTC
BTC, ADA = "BTC-USDT", "ADA-USDT"


@pytest.fixture(scope="module")
def model():
    return MarketModel()


@pytest.fixture
def clock():
    return VirtualClock(START)


@pytest.fixture
async def venue(clock):
    made = venues.venue("demo", clock=clock, random=None, spool=None, rest_url="", stream_url="")
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def running(clock, symbols, *, at, for_s=0.0):
    """A feed that started at an instant and ran for a while."""
    clock.jump((at - clock.now_ns()) / NS)
    sink = KeepingSink()
    feed = DemoFeed(MarketModel(), clock, symbols, sink)
    task = asyncio.create_task(feed.run())
    await clock.advance(for_s)
    try:
        yield feed, sink
    finally:
        await feed.close()
        await clock.advance(0.2)
        assert task.done()
        task.result()


def silence_after(model, instant):
    """The first silence that begins at least two minutes later."""
    return next(s for s in model.silences(instant, instant + 3 * DAY) if s.start_ns > instant + 2 * MINUTE)


def loss_after(model, symbol, instant):
    gaps = model.planned_gaps(instant, instant + DAY, symbol)
    return next(g for g in gaps if g.reason == "lost" and g.start_ns > instant + 2 * MINUTE)


def halt_after(model, instant):
    return next(h for h in model.halts(instant // NS_PER_MS, instant // NS_PER_MS + 15 * 86_400_000))


def wide(high, low):
    return [(int(h) << 64) + int(v) for h, v in zip(high, low, strict=True)]


def rows_of(columns):
    """(open time, open, high, low, close, volume, taker, quote, trades) of each candle."""
    prices = [c.tolist() for c in (columns.open_time, columns.open, columns.high, columns.low, columns.close)]
    sums = [
        wide(columns.volume_hi, columns.volume_lo),
        wide(columns.taker_hi, columns.taker_lo),
        wide(columns.quote_hi, columns.quote_lo),
    ]
    return list(zip(*prices, *sums, columns.trades.tolist(), strict=True))


def candle_from(trades, opens, seconds):
    """A candle by hand from the model's trades."""
    inside = trades.where((trades.ts_event >= opens) & (trades.ts_event < opens + seconds * NS))
    price, size = inside.price.tolist(), inside.size.tolist()
    bought = [s for s, side in zip(size, inside.side.tolist(), strict=True) if side == 1]
    quote = sum(p * s for p, s in zip(price, size, strict=True))
    return (opens, price[0], max(price), min(price), price[-1], sum(size), sum(bought), quote, len(price))


async def test_it_says_what_it_is(venue, clock):
    assert (venue.info.name, venue.info.simulated) == ("demo", True)
    assert venue.info.title == "Demo market (simulated)"
    assert venue.info.candle_timeframes == tuple(name for name in SECONDS if name != "1s")
    assert await venue.is_reachable(0.1)
    assert await venue.server_time_ns() == clock.now_ns() == START
    instruments = await venue.instruments()
    assert [i.base for i in instruments] == ["BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX"]
    assert {i.exchange for i in instruments} == {"demo"}


@pytest.mark.parametrize("timeframe", [name for name in SECONDS if name != "1s"])
async def test_candles_are_the_sums_of_all_trades(venue, model, timeframe):
    seconds = SECONDS[timeframe]
    start = START - max(3 * seconds * NS, 3 * DAY)
    columns = await venue.candles(ADA, timeframe, start, START + DAY)
    rows = rows_of(columns)
    closed = [
        t for t in range(open_of(start, seconds), START, seconds * NS) if t >= start and t + seconds * NS <= START
    ]
    assert [r[0] for r in rows] == closed
    assert set(columns.timeframe.tolist()) == {seconds}
    assert set(columns.origin.tolist()) == {Origin.SIMULATED}
    assert columns.flags.tolist() == [FINAL if row[8] else FINAL | EMPTY for row in rows]
    assert columns.known_at.tolist() == [t + seconds * NS for t in closed]
    for row in rows[-3:]:
        assert row == candle_from(model.trades(ADA, row[0], row[0] + seconds * NS), row[0], seconds)


async def test_a_halt_gives_flat_empty_candles_of_every_timeframe(venue, clock, model):
    halt = next(
        h for h in model.halts(START // NS_PER_MS, START // NS_PER_MS + 10**11) if h.end_ms - h.start_ms > 900_000
    )
    start, end = halt.start_ms * NS_PER_MS, halt.end_ms * NS_PER_MS
    clock.jump((end + DAY - clock.now_ns()) / NS)
    minutes = await venue.candles(BTC, "1m", start - MINUTE, end + MINUTE)
    rows = rows_of(minutes)
    before = rows[0][4]
    assert minutes.flags.tolist() == [FINAL] + [FINAL | EMPTY] * (len(rows) - 2) + [FINAL]
    assert {r[1:] for r in rows[1:-1]} == {(before, before, before, before, 0, 0, 0, 0)}
    # Where a longer candle has any trade, the halt is not seen in it.
    fives = rows_of(await venue.candles(BTC, "5m", open_of(start, 300), end + 5 * MINUTE))
    assert any(r[8] == 0 for r in fives)
    for row in fives:
        if row[8]:
            assert row == candle_from(model.trades(BTC, row[0], row[0] + 5 * MINUTE), row[0], 300)
        else:
            assert row[1:] == (before, before, before, before, 0, 0, 0, 0)
    # A question that begins within the halt knows the price before it.
    assert rows_of(await venue.candles(BTC, "1m", start + 3 * MINUTE, start + 5 * MINUTE)) == rows[4:6]


async def test_the_open_candle_and_the_future_are_not_told(venue, clock, model):
    clock.jump(59.999)
    assert (await venue.candles(BTC, "1m", START, START + DAY)).open_time.size == 0
    clock.jump(0.001)
    assert (await venue.candles(BTC, "1m", START, START + DAY)).open_time.tolist() == [START]
    next_id = model.next_id(BTC, clock.now_ns())
    batch = await venue.trades(BTC, next_id - 3, next_id + 100)
    assert batch.columns_v1.trade_id.tolist() == [next_id - 3, next_id - 2, next_id - 1]
    assert (await venue.trades(BTC, next_id, next_id + 5)).columns_v1.trade_id.size == 0


async def test_a_year_is_kept(venue):
    weeks = (await venue.candles(BTC, "1w", 0, START)).open_time.tolist()
    first = open_of(START - CANDLES_KEPT_NS, SECONDS["1w"])
    assert weeks == list(range(first, open_of(START, SECONDS["1w"]), 7 * DAY))
    assert (await venue.candles(BTC, "1d", 0, first + DAY)).open_time.tolist() == [first]
    assert (await venue.candles(BTC, "1m", 0, first + MINUTE)).open_time.tolist() == [first]
    assert (await venue.candles(BTC, "1m", 0, first)).open_time.size == 0
    assert (await venue.trades(BTC, 1, 1000)).columns_v1.trade_id.size == 0


async def test_longer_candles_are_the_same_however_they_are_asked_for(venue, clock):
    clock.jump(5 * 3600 + 100)
    whole = rows_of(await venue.candles(ADA, "4h", START - 7 * DAY, START + DAY))
    single = [row for r in whole for row in rows_of(await venue.candles(ADA, "4h", r[0] - 1, r[0] + 1))]
    assert single == whole
    assert whole[-1][0] == START
    hours = rows_of(await venue.candles(ADA, "1h", START - 30 * 3600 * NS, START + DAY))
    assert [r[0] for r in hours][-1] == START + 4 * 3600 * NS
    assert sum(r[5] for r in hours[-5:-1]) == whole[-1][5]


async def test_questions_it_cannot_answer(venue, clock):
    with pytest.raises(UnknownSymbol, match="was 'PEPE-USDT'"):
        await venue.candles("PEPE-USDT", "1m", START, START + DAY)
    with pytest.raises(UnknownSymbol):
        await venue.trades("PEPE-USDT", 1, 2)
    with pytest.raises(UnknownSymbol):
        venue.feed(["PEPE-USDT"], (), KeepingSink())
    with pytest.raises(TimeframeNotServed, match="was '1s'"):
        await venue.candles(BTC, "1s", START, START + DAY)
    with pytest.raises(NoFrames):
        venue.parser(())


async def test_the_feed_begins_now_and_gives_every_live_trade_in_time(clock, model):
    at = START + 3_600 * NS + 12_345_678
    async with running(clock, [BTC, ADA], at=at, for_s=180) as (_, sink):
        now = clock.now_ns()
        messages = list(sink.messages)
        for symbol in (BTC, ADA):
            live = model.live_trades(symbol, at, now - NS)
            given = sink.trades(symbol)
            assert [row[0] for row in given][: live.trade_id.size] == live.trade_id.tolist()
            assert given[0][0] == live.trade_id[0]
            assert [row[1:] for row in given][: live.trade_id.size] == list(
                zip(live.price.tolist(), live.size.tolist(), live.ts_event.tolist(), live.side.tolist(), strict=True)
            )
            progress = sink.of(Progress, symbol)
            assert progress[0] == Progress("demo", symbol, at, -1, False)
            assert all(p.feed_alive for p in progress[1:])
            said = [p.complete_through for p in progress]
            assert max(np.diff(said)) <= NS
            assert said == sorted(said)
    batches = [m for m, _ in messages if isinstance(m, TradeBatch)]
    assert {b.origin for b in batches} == {Origin.SIMULATED}
    assert not any(b.aggregated or b.times_received for b in batches)
    for batch, ts_recv in ((m, t) for m, t in messages if isinstance(m, TradeBatch)):
        assert set(batch.columns_v1.ts_recv.tolist()) == {ts_recv}
        assert 0 < ts_recv - int(batch.columns_v1.ts_event[-1]) <= 100 * NS_PER_MS
        assert not batch.columns_v1.price.flags.writeable
    first, received = messages[0]
    assert first == ConnectionChanged("demo", "market", "connected", "the demo market, simulated", 2)
    assert received == at


async def test_progress_never_passes_a_trade_that_is_still_to_come(clock):
    async with running(clock, [BTC], at=START, for_s=300) as (_, sink):
        through = 0
        for message, _ in sink.messages:
            if isinstance(message, Progress):
                through = message.complete_through
            elif isinstance(message, TradeBatch):
                assert message.columns_v1.ts_event[0] >= through


async def test_books_and_quotes_conflate_and_stand_in_a_halt(clock, model):
    halt = halt_after(model, START)
    at = halt.start_ms * NS_PER_MS
    async with running(clock, [BTC], at=at - 20 * NS, for_s=20) as (_, sink):
        assert 60 <= len(sink.of(BookUpdated, BTC)) <= 80
        quotes, books = sink.of(QuoteUpdated, BTC), sink.of(BookUpdated, BTC)
        for book in books:
            assert len(book.bid_price) == len(book.ask_price) == 20
            assert book.in_sequence
            assert book.bid_price[0] < book.ask_price[0]
            assert (np.diff(book.bid_price) < 0).all()
            assert (np.diff(book.ask_price) > 0).all()
        assert [b.sequence for b in books] == sorted({b.sequence for b in books})
        assert {(q.bid, q.ask) for q in quotes} <= {(b.bid_price[0], b.ask_price[0]) for b in books}
        before = Counter(type(m) for m, _ in sink.messages)
        await clock.advance(60)
        after = Counter(type(m) for m, _ in sink.messages)
        assert after[TradeBatch] == before[TradeBatch]
        assert after[BookUpdated] - before[BookUpdated] <= 1
        assert after[Progress] - before[Progress] == 60
        assert all(p.feed_alive for p in sink.of(Progress, BTC)[1:])
        assert not sink.of(GapSuspected)


async def test_lost_ids_are_told_with_the_trade_behind_them(clock, model):
    loss = loss_after(model, BTC, START)
    async with running(clock, [BTC], at=loss.start_ns - 20 * NS, for_s=110) as (_, sink):
        (gap,) = sink.of(GapSuspected)
        assert (gap.reason, gap.first_missing_id, gap.last_missing_id) == ("missing_ids", loss.first_id, loss.last_id)
        assert gap.start_ns <= loss.start_ns <= loss.end_ns <= gap.end_ns
        ids = {row[0] for row in sink.trades()}
        assert ids.isdisjoint(range(loss.first_id, loss.last_id + 1))
        assert {loss.first_id - 1, loss.last_id + 1} <= ids


async def test_a_silence_is_noticed_and_its_end_too(clock, model):
    silence = silence_after(model, START)
    length = (silence.end_ns - silence.start_ns) / NS
    async with running(clock, [BTC], at=silence.start_ns - 30 * NS, for_s=30) as (_, sink):
        sink.messages.clear()
        await clock.advance(WATCHDOG_NS / NS - 0.2)
        assert not [m for m, t in sink.messages if t > silence.start_ns + 100 * NS_PER_MS]
        await clock.advance(0.4)
        assert [c.state for c in sink.of(ConnectionChanged)] == ["silent"]
        dead = sink.of(Progress)[-1]
        assert not dead.feed_alive
        assert dead.complete_through <= silence.start_ns
        await clock.advance(length - WATCHDOG_NS / NS + 10)
        assert [c.state for c in sink.of(ConnectionChanged)] == ["silent", "connected"]
        by_reason = {g.reason: g for g in sink.of(GapSuspected)}
        assert set(by_reason) == {"silence", "missing_ids"}
        gap = by_reason["silence"]
        assert (gap.start_ns, gap.end_ns) == (dead.complete_through, silence.end_ns)
        (planned,) = [g for g in model.planned_gaps(silence.start_ns, silence.end_ns, BTC) if g.reason == "silence"]
        missing = by_reason["missing_ids"]
        assert (missing.first_missing_id, missing.last_missing_id) == (planned.first_id, planned.last_id)
        states = [p.feed_alive for p in sink.of(Progress)]
        assert [alive for alive, _ in groupby(states)] in ([True, False, True], [False, True])


async def test_a_feed_that_starts_in_a_silence_waits_for_its_end(clock, model):
    silence = silence_after(model, START)
    async with running(clock, [BTC], at=silence.start_ns + 5 * NS, for_s=3) as (_, sink):
        assert [c.state for c in sink.of(ConnectionChanged)] == ["silent"]
        assert len(sink.messages) == 1
        await clock.advance((silence.end_ns - clock.now_ns()) / NS + 5)
        assert [c.state for c in sink.of(ConnectionChanged)] == ["silent", "connected"]
        assert not sink.of(GapSuspected)
        assert sink.of(Progress)[0] == Progress("demo", BTC, silence.end_ns, -1, False)


async def test_symbols_come_and_go_while_it_runs(clock):
    async with running(clock, [BTC], at=START + MINUTE, for_s=5) as (feed, sink):
        await feed.follow([ADA])
        joined = clock.now_ns()
        await clock.advance(60)
        assert sink.of(Progress, ADA)[0].complete_through <= joined
        assert not sink.of(Progress, ADA)[0].feed_alive
        assert all(row[3] >= joined - 100 * NS_PER_MS for row in sink.trades(ADA))
        assert sink.trades(ADA)
        await feed.unfollow([ADA])
        assert not sink.of(Progress, ADA)[-1].feed_alive
        count = sum(getattr(m, "symbol", "") == ADA for m, _ in sink.messages)
        await clock.advance(30)
        assert sum(getattr(m, "symbol", "") == ADA for m, _ in sink.messages) == count
        await feed.follow([ADA])
        await clock.advance(30)
        assert sink.of(Progress, ADA)[-1].feed_alive
        with pytest.raises(UnknownSymbol):
            await feed.follow(["PEPE-USDT"])


async def test_close_says_that_nothing_is_alive(clock):
    async with running(clock, [BTC], at=START, for_s=5) as (feed, sink):
        await feed.close()
        count = len(sink.messages)
        assert not sink.of(Progress)[-1].feed_alive
        assert sink.of(ConnectionChanged)[-1].state == "closed"
        await clock.advance(5)
        assert len(sink.messages) == count


async def test_a_machine_that_slept_has_missed_what_happened(clock):
    async with running(clock, [BTC], at=START, for_s=5) as (_, sink):
        slept = clock.now_ns()
        clock.jump(3600)
        await clock.advance(30)
        (gap,) = [g for g in sink.of(GapSuspected) if g.reason == "disconnect"]
        assert gap.start_ns <= slept
        assert 0 <= gap.end_ns - (slept + 3600 * NS) <= 100 * NS_PER_MS
        assert [c.state for c in sink.of(ConnectionChanged)] == ["connected", "lost", "connected"]
        assert not [row for row in sink.trades() if slept < row[3] < gap.end_ns]
        assert sink.of(Progress)[-1].feed_alive


async def test_a_short_pause_loses_nothing(clock, model):
    async with running(clock, [BTC], at=START, for_s=5) as (_, sink):
        clock.jump(PAUSE_NS / NS - 1)
        await clock.advance(5)
        live = model.live_trades(BTC, START, clock.now_ns() - NS)
        assert [row[0] for row in sink.trades()][: live.trade_id.size] == live.trade_id.tolist()


async def test_a_clock_that_is_set_back_starts_the_feed_over(clock):
    async with running(clock, [BTC], at=START + 7200 * NS, for_s=5) as (_, sink):
        clock.jump(-3600)
        await clock.advance(20)
        assert sink.codes() == {"CLOCK_OFF": 1}
        assert sink.trades()[-1][3] < START + 3700 * NS
        assert sink.of(BookUpdated)[-1].sequence * NS_PER_MS == pytest.approx(clock.now_ns(), abs=NS)


async def test_trades_wait_while_the_log_is_behind(clock, model):
    async with running(clock, [BTC], at=START, for_s=5) as (_, sink):
        sink.congested = True
        before = len(sink.trades())
        await clock.advance(90)
        assert len(sink.trades()) == before
        sink.congested = False
        await clock.advance(1)
        live = model.live_trades(BTC, START, clock.now_ns() - NS)
        assert [row[0] for row in sink.trades()][: live.trade_id.size] == live.trade_id.tolist()


@pytest.mark.parametrize("kind", ["silence", "lost", "halt"])
async def test_what_the_live_feed_lost_the_venue_gives_back(clock, venue, model, kind):
    """The stream's candles agree with the venue's where nothing was lost, and everywhere once history has repaired."""
    if kind == "halt":
        window = halt_after(model, START)
        begins, ends = window.start_ms * NS_PER_MS, window.end_ms * NS_PER_MS
    else:
        gap = silence_after(model, START) if kind == "silence" else loss_after(model, ADA, START)
        begins, ends = gap.start_ns, gap.end_ns
    at = begins // MINUTE * MINUTE - 2 * MINUTE
    async with running(clock, [ADA], at=at, for_s=(ends - at) / NS + 150) as (_, sink):
        messages = [m for m, _ in sink.messages if isinstance(m, TradeBatch | Progress)]
        missing = [g for g in sink.of(GapSuspected) if g.first_missing_id >= 0]
    built = drive(CandleOperator(), messages)
    minutes = [c for c in built.rows if c.timeframe == 60]
    true = {r[0]: r for r in rows_of(await venue.candles(ADA, "1m", at, clock.now_ns()))}

    def as_row(c):
        return (c.open_time, c.open, c.high, c.low, c.close, c.volume, c.taker, c.quote, c.trades)

    whole = [c for c in minutes if not c.flags & GAPPED]
    assert len(whole) >= 2
    for candle in whole:
        assert as_row(candle) == true[candle.open_time]
    gapped = {t for t in true if t < minutes[-1].open_time} - {c.open_time for c in whole}
    assert bool(gapped) == (kind != "halt")
    for opens in gapped:
        assert opens < ends
        assert opens + MINUTE > begins - NS
        assert true[opens] == candle_from(model.trades(ADA, opens, opens + MINUTE), opens, 60)
    for hole in missing:
        batch = await venue.trades(ADA, hole.first_missing_id, hole.last_missing_id)
        built = drive(CandleOperator(), [batch], built)
    newest = {c.open_time: c for c in built.rows if c.timeframe == 60}
    for opens, candle in newest.items():
        assert as_row(candle) == true[opens]
    if kind == "halt":
        empty = [c for c in newest.values() if c.flags & EMPTY]
        assert len(empty) == (ends - begins) // MINUTE
