"""Frames put together from minutes equal those the operator builds."""

from random import Random

import numpy as np
import pytest

from candlewick.contracts.stream import CandleBatch
from candlewick.quant.candles import merge
from candlewick.quant.candles.aggregate import NotMinutes, from_minutes
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.candles import candles_of
from candlewick.testing.oracle.feed import Faults, cut, drive, feed


@pytest.mark.parametrize("seconds", [pytest.param(one, marks=pytest.mark.slow) for one in (180, 300, 900, 1800, 3600)])
def test_equals_the_operator(seconds: int) -> None:
    random = Random(seconds)
    arrivals = feed(random, 1500, 0.05, Faults(jitter=1.0, quiet=0.02, quiet_for=900.0, silences=4))
    done = drive(CandleOperator(), cut(arrivals, random, 50))
    rows = merge.best(merge.concat([b.columns_v1 for b in done.batches]))
    made = from_minutes(merge.take(rows, np.flatnonzero(rows.timeframe == 60)), seconds)
    built = {c.open_time: c for c in done.rows if c.timeframe == seconds}
    got = {c.open_time: c for c in candles_of(CandleBatch("sim", "BTC-USDT", made))}
    assert len(built) > 5
    for opens, candle in built.items():
        assert got[opens]._replace(known_at=0) == candle._replace(known_at=0)
    assert len(got) - len(built) <= 1  # the frame still open at the end


def test_anything_but_minutes_in_order_is_refused() -> None:
    done = drive(CandleOperator(), cut(feed(Random(1), 200, 0.5, Faults()), Random(1), 50))
    rows = merge.best(merge.concat([b.columns_v1 for b in done.batches]))
    with pytest.raises(NotMinutes):
        from_minutes(rows, 300)
