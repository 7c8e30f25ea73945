"""The day's line of a ticker comes from the minutes, the first that a new symbol has."""

import numpy as np

from candlewick.contracts.market import Instrument
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.ring import FIELDS
from candlewick.services.market.domain.state import SymbolState

MINUTE_MS, HALF_HOUR_MS = 60_000, 1_800_000
FIRST = 1_700_000_100_000 // HALF_HOUR_MS * HALF_HOUR_MS


def minutes(first, last):
    """Final minutes [first, last) whose close is their number."""
    at = np.arange(first, last)
    values = {
        "open_time_ms": FIRST + at * MINUTE_MS,
        "close": at,
        "flags": np.ones(len(at)),
        "origin": np.ones(len(at)),
    }
    return CandleArrays(**{name: np.asarray(values.get(name, at * 0), dtype) for name, dtype in FIELDS})


def state():
    return SymbolState(Instrument("fake", "BTC-USDT", "BTCUSDT", "BTC", "USDT", "0.1", "0.1", 1, 1), 1500)


def test_nothing_is_drawn_of_nothing():
    assert state().ticker().sparkline == []


def test_every_half_hour_gives_its_last_close_and_the_newest_one_the_newest():
    known = state()
    known.windows.rings[60].apply(minutes(0, 95))
    assert known.ticker().sparkline == [29, 59, 89, 94]


def test_a_day_is_drawn_and_no_more():
    known = state()
    known.windows.rings[60].apply(minutes(0, 1495))
    assert known.ticker().sparkline == [29.0 + 30 * n for n in range(2, 49)] + [1494.0]


def test_half_hours_of_which_nothing_is_known_are_left_out():
    known = state()
    known.windows.rings[60].apply(minutes(0, 10))
    known.windows.rings[60].apply(minutes(70, 80))
    assert known.ticker().sparkline == [9, 79]
