"""The demo market's live feed: what it gives, withholds and reports, and that the venue gives it back."""

from collections import Counter
from itertools import groupby

import numpy as np
import pytest

from candlewick.adapters.venues.demo.feed import PAUSE_NS, WATCHDOG_NS
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import (
    BookUpdated,
    ConnectionChanged,
    GapSuspected,
    Progress,
    QuoteUpdated,
    TradeBatch,
)
from candlewick.contracts.stream import EMPTY, GAPPED
from candlewick.kernel.clock import NS_PER_MS
from candlewick.ports.venue import UnknownSymbol
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.feed import drive
from tests.unit.adapters.venues.demo.market import (
    ADA,
    BTC,
    MINUTE,
    NS,
    START,
    candle_from,
    halt_after,
    loss_after,
    rows_of,
    running,
    silence_after,
)


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


@pytest.mark.parametrize("kind", ["silence", "lost", pytest.param("halt", marks=pytest.mark.slow)])
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
