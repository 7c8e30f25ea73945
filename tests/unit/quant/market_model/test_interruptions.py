"""Halts, silences and lost trades of the demo market."""

import numpy as np

from candlewick.quant.market_model.model import DAY_MS, MINUTE_MS
from candlewick.quant.market_model.symbols import DEFAULT

NS = 1_000_000
NOW = 1_795_000_000_000 // DAY_MS * DAY_MS
SYMBOLS = tuple(p.symbol for p in DEFAULT)


def test_nothing_trades_in_a_halt(model):
    halts = model.halts(NOW - 90 * DAY_MS, NOW)
    assert 12 <= len(halts) <= 14
    for halt in halts:
        assert 8 * MINUTE_MS <= halt.end_ms - halt.start_ms <= 30 * MINUTE_MS
        assert model.halts(halt.start_ms + 1, halt.start_ms + 2) == (halt,)
        assert halt not in model.halts(halt.end_ms, halt.end_ms + 1)
        for symbol in SYMBOLS:
            assert model.trades(symbol, halt.start_ms * NS, halt.end_ms * NS).trade_id.size == 0
            assert model.trades(symbol, (halt.start_ms - MINUTE_MS) * NS, halt.start_ms * NS).trade_id.size > 0
            assert model.trades(symbol, halt.end_ms * NS, (halt.end_ms + MINUTE_MS) * NS).trade_id.size > 0


def test_gaps_are_withheld_live_and_fetched_by_id(model):
    start, end = (NOW - 2 * DAY_MS) * NS, NOW * NS
    gaps = model.planned_gaps(start, end)
    assert {gap.reason for gap in gaps} == {"lost", "silence"}
    assert {gap.symbol for gap in gaps} == set(SYMBOLS)
    for symbol in ("BTC-USDT", "AVAX-USDT"):
        all_ids = model.trades(symbol, start, end).trade_id
        live_ids = model.live_trades(symbol, start, end).trade_id
        own = [gap for gap in gaps if gap.symbol == symbol]
        assert 15 < len(own) < 40
        missing = np.setdiff1d(all_ids, live_ids)
        planned = np.concatenate([np.arange(g.first_id, g.last_id + 1) for g in own])
        assert np.array_equal(missing, np.intersect1d(planned, all_ids))
        for gap in own:
            fetched = model.trades_by_id(symbol, gap.first_id, gap.last_id)
            assert fetched.trade_id.size == gap.last_id - gap.first_id + 1
            assert (fetched.ts_event[0], fetched.ts_event[-1]) == (gap.start_ns, gap.end_ns)


def test_a_gap_is_the_same_however_it_is_asked_for(model):
    start, end = (NOW - DAY_MS) * NS, NOW * NS
    whole = model.live_trades("ETH-USDT", start, end)
    step = 37_000 * NS
    pieces = [model.live_trades("ETH-USDT", t, min(t + step, end)).trade_id for t in range(start, end, step)]
    assert np.concatenate(pieces).tobytes() == whole.trade_id.tobytes()
    gap = model.planned_gaps(start, end, "ETH-USDT")[0]
    assert model.planned_gaps(gap.start_ns, gap.start_ns + 1, "ETH-USDT") == (gap,)
    assert gap not in model.planned_gaps(gap.end_ns + 1, gap.end_ns + 2, "ETH-USDT")


def test_a_silence_takes_everything(model):
    silences = model.silences((NOW - 3 * DAY_MS) * NS, NOW * NS)
    assert 5 <= len(silences) <= 7
    for silence in silences:
        assert 25 <= (silence.end_ns - silence.start_ns) / 1e9 <= 86
        for symbol in SYMBOLS:
            assert model.live_trades(symbol, silence.start_ns, silence.end_ns).trade_id.size == 0


def test_halted_minutes_are_flat_candles_when_asked_for(model):
    halt = model.halts(NOW - 14 * DAY_MS, NOW)[0]
    start, end = halt.start_ms - 5 * MINUTE_MS, halt.end_ms + 5 * MINUTE_MS
    traded, whole = (model.candles("SOL-USDT", start, end, halted=h) for h in (False, True))
    length = (halt.end_ms - halt.start_ms) // MINUTE_MS
    assert traded.open_time.size == 10
    assert whole.open_time.tolist() == list(range(start, end, MINUTE_MS))
    for prices in (whole.open, whole.high, whole.low, whole.close):
        assert (prices[5 : 5 + length] == traded.close[4]).all()
    for amounts in (whole.volume, whole.quote_volume, whole.taker_buy_volume, whole.trades):
        assert (amounts[5 : 5 + length] == 0).all()
    assert (whole.first_trade_id[5 : 6 + length] == traded.first_trade_id[5]).all()
    inside = model.candles("SOL-USDT", halt.start_ms + 2 * MINUTE_MS, halt.start_ms + 4 * MINUTE_MS, halted=True)
    assert inside.close.tolist() == [traded.close[4]] * 2


def test_candles_open_within_the_span(model):
    assert model.candles("SOL-USDT", NOW + 1, NOW + MINUTE_MS).open_time.size == 0
    assert model.candles("SOL-USDT", NOW, NOW + 1).open_time.tolist() == [NOW]
    assert model.candles("SOL-USDT", NOW + 1, NOW + MINUTE_MS + 1).open_time.tolist() == [NOW + MINUTE_MS]
