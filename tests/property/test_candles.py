"""LAWS 1-7: the operator equals the slow oracle, whatever the feed does and however its messages are cut."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candlewick.contracts.collector import TradeIds
from candlewick.quant.candles.layout import STATE_WORDS
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.candles import CandleOracle
from candlewick.testing.oracle.feed import Faults, cut, drive, feed

OPERATOR = CandleOperator()

FEEDS = {
    "clean": (800, 5.0, Faults()),
    "jitter": (800, 5.0, Faults(jitter=1.9)),
    "thin": (400, 0.02, Faults(jitter=1.0)),
    "doubled": (600, 4.0, Faults(jitter=1.0, doubled=0.1)),
    "lost": (600, 4.0, Faults(jitter=1.0, lost=0.002)),
    "late": (600, 4.0, Faults(jitter=1.0, late=0.01)),
    "very late": (500, 0.5, Faults(late=0.02, late_by=7200.0, doubled=0.02)),
    "thin and late": (250, 0.01, Faults(late=0.1, late_by=4000.0)),
    "days, later than allowed": (300, 0.003, Faults(late=0.1, late_by=200_000.0)),
    "silent": (600, 1.0, Faults(silences=8, late=0.01, quiet=0.01)),
    "no progress": (600, 1.0, Faults(progress_every=0.0, jitter=1.0, late=0.01)),
    "bad rows": (800, 2.0, Faults(bad=0.05)),
    "all of it": (600, 1.0, Faults(1.5, 0.002, 0.02, 0.02, 900.0, 0.01, 0.01, 300.0, 5)),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("ids", TradeIds)
@pytest.mark.parametrize("name", FEEDS)
def test_equals_oracle(name: str, ids: TradeIds, seed: int) -> None:
    trades, per_second, faults = FEEDS[name]
    random = Random(f"{name}{ids}{seed}")
    arrivals = feed(random, trades, per_second, faults)
    oracle = CandleOracle().feed(cut(arrivals, Random(1), 1, ids))
    done = drive(OPERATOR, cut(arrivals, random, random.choice((1, 7, 100, 3000)), ids))
    assert done.counters["duplicates"] == oracle.duplicates
    assert sorted(done.rows) == oracle.sorted_rows()
    assert done.counters["refused"] == oracle.refused.total()
    assert done.largest_hot <= STATE_WORDS * 8 <= 2048


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(sorted(FEEDS)),
    st.sampled_from(list(TradeIds)),
    st.integers(1, 400),
)
def test_any_cut_gives_the_same(seed: int, name: str, ids: TradeIds, most: int) -> None:
    _, per_second, faults = FEEDS[name]
    random = Random(seed)
    arrivals = feed(random, 150, per_second, faults)
    one = drive(OPERATOR, cut(arrivals, random, 1, ids))
    many = drive(OPERATOR, cut(arrivals, random, most, ids))
    assert sorted(one.rows) == sorted(many.rows)
    assert sorted(one.rows) == CandleOracle().feed(cut(arrivals, random, 1, ids)).sorted_rows()
    assert one.cold.keys() == many.cold.keys()
