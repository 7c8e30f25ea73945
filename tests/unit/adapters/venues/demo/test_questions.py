"""The demo market as a venue: what it answers."""

import pytest

from candlewick.adapters.venues.demo.venue import CANDLES_KEPT_NS, NoFrames, TimeframeNotServed
from candlewick.contracts.base import Origin
from candlewick.contracts.stream import EMPTY, FINAL
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_MS
from candlewick.ports.venue import UnknownSymbol
from candlewick.testing.binance.sink import KeepingSink
from tests.unit.adapters.venues.demo.market import (
    ADA,
    BTC,
    DAY,
    MINUTE,
    NS,
    START,
    candle_from,
    rows_of,
)


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
