"""The candle operator's corners, one at a time."""

import msgspec
import pytest

from candlewick.contracts.base import Origin
from candlewick.contracts.collector import Progress, TradeBatch, TradeIds
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, RECEIVE_TIMES
from candlewick.quant.candles.layout import StateVersion
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.candles import Candle, CandleOracle
from candlewick.testing.oracle.feed import Driven, Tick, batch, drive

NS = 1_000_000_000
T0 = 1_700_000_040 * NS  # opens a minute
DAY = 86_400 * NS


def _tick(at: float, trade_id: int, price: int = 100, size: int = 10, side: int = 1) -> Tick:
    return Tick(T0 + int(at * NS), trade_id, price, size, side)


def _progress(at: float, alive: bool = True) -> Progress:
    return Progress("sim", "BTC-USDT", T0 + int(at * NS), 0, alive)


def _minutes(done: Driven) -> list[Candle]:
    return sorted(c for c in done.rows if c.timeframe == 60)


def test_empty_minutes_exist_only_while_the_feed_was_alive() -> None:
    done = drive(
        CandleOperator(),
        [_progress(0), batch([_tick(5, 1)]), _progress(185), _progress(250, False), _progress(430), _progress(600)],
    )
    flags = {(c.open_time - T0) // (60 * NS): c.flags for c in _minutes(done)}
    assert flags == {0: FINAL, 1: FINAL | EMPTY, 2: FINAL | EMPTY, 8: FINAL | EMPTY, 9: FINAL | EMPTY}
    assert not [c for c in done.rows if c.timeframe == 1 and c.flags & EMPTY]


def test_a_killed_producer_that_says_silence_of_a_proven_time_again_changes_nothing() -> None:
    whole = [_progress(0, False), _progress(0), batch([_tick(5, 1)]), _progress(65)]
    again = [_progress(0, False), _progress(0), batch([_tick(5, 1)]), _progress(65)]
    rest = [batch([_tick(70, 2)]), _progress(130)]
    undisturbed, repeated = (drive(CandleOperator(), messages) for messages in (whole + rest, whole + again + rest))
    assert [c.flags for c in _minutes(repeated)] == [FINAL, FINAL]
    assert _minutes(repeated) == _minutes(undisturbed)


def test_the_first_candle_and_a_hole_by_id_are_gapped_until_the_ids_come() -> None:
    messages = [batch([_tick(5, 1)]), _progress(5), batch([_tick(70, 2), _tick(80, 4)]), _progress(130)]
    done = drive(CandleOperator(), messages)
    assert [c.flags & GAPPED for c in _minutes(done)] == [GAPPED, GAPPED]
    done = drive(CandleOperator(), [batch([_tick(75, 3)])], done)
    newest = _minutes(done)[-1]
    assert (newest.revision, newest.flags, newest.trades) == (1, FINAL, 3)


def test_bad_rows_are_dead_lettered_alone_and_a_clock_jump_does_not_move_time() -> None:
    ticks = [_tick(1, 1), _tick(2, 2, price=0), _tick(2, 3, size=-1), _tick(90_000, 4), _tick(3, 5)]
    done = drive(CandleOperator(), [batch(ticks)])
    assert {d.code: d.message.columns_v1.trade_id.tolist() for d in done.dead if isinstance(d.message, TradeBatch)} == {
        "BAD_TRADE": [2, 3],
        "CLOCK_JUMP": [4],
    }
    assert done.counters["trades"] == 2
    assert not done.rows


@pytest.mark.parametrize(("ids", "code"), [(TradeIds.DENSE, "TOO_LATE"), (TradeIds.OPAQUE, "QUARANTINED")])
def test_a_day_late_is_too_late(ids: TradeIds, code: str) -> None:
    done = drive(CandleOperator(), [batch([_tick(0, 5)], ids=ids), _progress(100), batch([_tick(-86_400, 3)], ids=ids)])
    assert [d.code for d in done.dead] == [code]


def test_a_finer_scale_raises_the_state_and_a_coarser_batch_is_raised() -> None:
    messages = [
        batch([_tick(1, 1, 100, 10)], scales=(2, 3)),
        batch([_tick(2, 2, 10_050, 105)], scales=(4, 4)),
        batch([_tick(3, 3, 102, 7)], scales=(2, 3)),
        _progress(100),
    ]
    done = drive(CandleOperator(), messages)
    minute = _minutes(done)[0]
    assert (minute.open, minute.high, minute.close, minute.volume) == (10_000, 10_200, 10_200, 100 + 105 + 70)
    assert minute.quote == 10_000 * 100 + 10_050 * 105 + 10_200 * 70
    assert done.batches[-1].columns_v1.price_scale == 4
    late = drive(CandleOperator(), [batch([_tick(4, 4, 1, 1)], scales=(6, 4))], done)
    assert _minutes(late)[-1].low == 1
    assert _minutes(late)[-1].high == 1_020_000


def test_a_scale_that_cannot_be_brought_together_is_refused() -> None:
    done = drive(CandleOperator(), [batch([_tick(1, 1, 1 << 40)]), batch([_tick(2, 2, 5)], scales=(18, 8))])
    assert [d.code for d in done.dead] == ["SCALE_CHANGED"]


def test_sums_pass_64_bits_exactly() -> None:
    ticks = [_tick(i / 10, i + 1, (1 << 60) - i, (1 << 60) + i) for i in range(50)]
    done = drive(CandleOperator(), [batch(ticks), _progress(100)])
    assert sorted(done.rows) == CandleOracle().feed([batch(ticks), _progress(100)]).sorted_rows()
    assert _minutes(done)[0].volume > 1 << 65


def test_what_a_batch_says_of_itself_is_on_its_candles() -> None:
    messages = [
        batch([_tick(1, 1)], aggregated=True, origin=Origin.SIMULATED, times_received=True),
        _progress(100),
    ]
    candle = _minutes(drive(CandleOperator(), messages))[0]
    assert (candle.trades, candle.origin) == (-1, Origin.SIMULATED)
    assert candle.flags & RECEIVE_TIMES
    mixed = drive(CandleOperator(), [*messages, batch([_tick(101, 2)])])
    assert [d.code for d in mixed.dead] == ["ID_SPACE_CHANGED"]


def test_more_gaps_than_fit_lose_no_duplicate_and_no_trade() -> None:
    known = [_tick(i / 4, 3 * i) for i in range(1, 200)]
    missing = [_tick(i / 4 + 0.1, 3 * i + 1) for i in range(1, 199)]
    messages = [batch(known), batch(missing), batch(known + missing), _progress(200)]
    done = drive(CandleOperator(), messages)
    assert done.counters["duplicates"] == len(known) + len(missing)
    assert done.largest_hot <= 2048
    oracle = CandleOracle().feed(messages)

    def plain(rows: list[Candle]) -> list[Candle]:
        return sorted(c._replace(flags=c.flags & ~GAPPED) for c in rows)

    assert plain(done.rows) == plain(oracle.rows)


def test_open_candles_come_at_most_every_quarter_second_and_with_progress() -> None:
    done = drive(CandleOperator(), [batch([_tick(i / 100, i + 1)]) for i in range(100)])
    assert len(done.open_batches) == 4
    done = drive(CandleOperator(), [_progress(1.2), _progress(1.3)], done)
    assert len(done.open_batches) == 5
    columns = done.open_batches[-1].columns_v1
    assert columns.timeframe.tolist() == [60, 180, 300, 900, 1800, 3600, 14_400, 86_400, 604_800]
    assert set(columns.trades.tolist()) == {100}
    assert not (columns.flags & FINAL).any()


def _seen_whole(done: Driven) -> set[int]:
    """Timeframes, s, whose newest open candle is not gapped."""
    columns = done.open_batches[-1].columns_v1
    return set(columns.timeframe[(columns.flags & GAPPED) == 0].tolist())


def test_an_open_candle_is_gapped_unless_it_was_seen_from_its_open_on() -> None:
    at = (1_700_000_100 * NS - T0) / NS  # opens a 15m candle, not a 30m one
    begun = [_progress(at - 30, False), _progress(at - 29), batch([_tick(at - 28, 1)]), _progress(at - 27.5)]
    done = drive(CandleOperator(), begun)
    assert _seen_whole(done) <= {1}
    done = drive(CandleOperator(), [batch([_tick(at + 5, 2)]), _progress(at + 5.5)], done)
    assert _seen_whole(done) - {1} == {60, 180, 300, 900}
    done = drive(CandleOperator(), [_progress(at + 400), batch([_tick(at + 401, 3)]), _progress(at + 401.5)], done)
    assert _seen_whole(done) - {1} == {60, 180, 300, 900}
    done = drive(CandleOperator(), [_progress(at + 460, False), _progress(at + 470)], done)
    done = drive(CandleOperator(), [batch([_tick(at + 471, 4)]), _progress(at + 471.5)], done)
    assert _seen_whole(done) <= {1}


@pytest.mark.slow
def test_cold_entries_of_the_past_leave() -> None:
    messages = [batch([_tick(i * 60, i + 1)]) for i in range(3 * 1440)]
    done = drive(CandleOperator(), messages)
    blocks = [name for name in done.cold if name[:1] == b"m"]
    assert 1440 <= len(blocks) <= 1443


def test_a_jump_over_years_is_quick_and_a_month_of_empty_minutes_comes_in_slices() -> None:
    done = drive(CandleOperator(), [_progress(0), batch([_tick(1, 1)]), _progress(30 * 86_400)])
    assert len(_minutes(done)) == 30 * 1440
    assert max(len(b.columns_v1.open) for b in done.batches) <= 4096
    done = drive(CandleOperator(), [_progress(30 * 86_400 + 1, False), _progress(20 * 365 * 86_400, False)], done)
    assert len(_minutes(done)) == 30 * 1440


def test_a_state_of_another_version_is_refused() -> None:
    hot = drive(CandleOperator(), [batch([_tick(1, 1)])]).hot
    assert hot is not None
    with pytest.raises(StateVersion, match="version 1"):
        CandleOperator().apply(b"\x07" + hot[1:], _progress(1), {})
    with pytest.raises(StateVersion):
        CandleOperator().apply(hot[:100], _progress(1), {})


def test_a_progress_that_is_no_time_is_refused() -> None:
    done = drive(CandleOperator(), [msgspec.structs.replace(_progress(0), complete_through=-5)])
    assert [d.code for d in done.dead] == ["BAD_PROGRESS"]
