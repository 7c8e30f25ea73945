"""Definitions checked against exact rational arithmetic, and the choices each docstring makes."""

from fractions import Fraction

import numpy as np
import pytest

from candlewick.quant.indicators.registry import compute, parse

DAY_MS = 86_400_000


def exact(values):
    return [Fraction(float(v)) for v in values]


def test_window_sums_are_exact_to_the_last_digits_after_a_huge_value(make_candles):
    close = np.ones(1000)
    close[3] = 1e16
    values = compute(parse("sma:10"), make_candles({"close": close}))["sma"]
    assert (values[20:] == 1.0).all()  # a running sum would keep the rounding of 1e16 for ever
    spread = compute(parse("stddev:10"), make_candles({"close": close}))["stddev"]
    assert (spread[20:] == 0.0).all()


def test_deviation_of_a_large_price_with_a_small_spread(make_candles):
    close = 1e9 + np.arange(200) % 2
    values = compute(parse("stddev:20"), make_candles({"close": close}))["stddev"]
    assert (values[19:] == 0.5).all()


def test_sample_deviation(walk):
    population = compute(parse("stddev:20:0"), walk)["stddev"][19:]
    sample = compute(parse("stddev:20:sample=1"), walk)["stddev"][19:]
    np.testing.assert_allclose(sample, population * np.sqrt(20 / 19), rtol=1e-14)
    np.testing.assert_allclose(sample[0], np.std(walk.close[:20], ddof=1), rtol=1e-12)


def test_day_vwap_against_fractions_and_across_midnight(walk):
    values = compute(parse("vwap"), walk)["vwap"]
    money = traded = Fraction(0)
    day = None
    for i in range(walk.close.size):
        if walk.open_time[i] // DAY_MS != day:
            day, money, traded = walk.open_time[i] // DAY_MS, Fraction(0), Fraction(0)
        high, low, close, volume = exact((walk.high[i], walk.low[i], walk.close[i], walk.volume[i]))
        money += (high + low + close) / 3 * volume
        traded += volume
        assert values[i] == pytest.approx(float(money / traded), rel=1e-15)
    opens = int((walk.open_time % DAY_MS == 0).argmax())
    assert 0 < opens < walk.close.size
    assert values[opens] == pytest.approx((walk.high[opens] + walk.low[opens] + walk.close[opens]) / 3)


def test_day_vwap_goes_on_after_a_gap_and_waits_for_the_first_trade(walk):
    walk.volume[:5] = 0.0
    walk.close[100] = np.nan
    values = compute(parse("vwap"), walk)["vwap"]
    assert np.isnan(values[:5]).all()
    assert np.isnan(values[100])
    assert np.isfinite(values[101])


def test_rolling_vwap_without_volume_has_no_value(make_candles):
    candles = make_candles({"close": np.full(30, 5.0), "volume": np.repeat((1.0, 0.0, 2.0), 10)})
    values = compute(parse("vwap_rolling:5"), candles)["vwap"]
    assert np.isnan(values[:4]).all()
    assert np.isnan(values[14:20]).all()
    assert (values[20:] == 5.0).all()


def test_rsi_of_a_flat_a_rising_and_a_falling_market(make_candles):
    def last(close):
        return compute(parse("rsi:5"), make_candles({"close": close}))["rsi"][-1]

    assert last(np.full(50, 3.0)) == 50.0
    assert last(np.arange(50.0)) == 100.0
    assert last(-np.arange(50.0)) == 0.0


def test_macd_is_the_difference_of_two_emas_to_the_bit(walk):
    ours = compute(parse("macd:5:13:4"), walk)
    quick = compute(parse("ema:5"), walk)["ema"]
    slow = compute(parse("ema:13"), walk)["ema"]
    assert ours["macd"].tobytes() == (quick - slow).tobytes()
    there = np.isfinite(ours["signal"])
    assert (ours["histogram"][there] == (ours["macd"] - ours["signal"])[there]).all()


def test_bands_are_the_average_and_deviation_indicators(walk):
    bands = compute(parse("bollinger:20:2"), walk)
    mean = compute(parse("sma:20"), walk)["sma"]
    width = 2.0 * compute(parse("stddev:20"), walk)["stddev"]
    assert bands["middle"].tobytes() == mean.tobytes()
    assert bands["upper"].tobytes() == (mean + width).tobytes()
    assert bands["lower"].tobytes() == (mean - width).tobytes()


@pytest.mark.parametrize("text", ["sma:5", "ema:5", "rsi:5", "bb:5", "atr:5", "macd:3:5:2", "stddev:5", "tr", "vwma:5"])
def test_a_gap_restarts_the_warm_up(text, walk):
    bound = parse(text)
    at = 200
    fresh = {name: compute(bound, _tail(walk, at + 1))[name] for name in bound.lookbacks}
    for column in (walk.open, walk.high, walk.low, walk.close, walk.volume):
        column[at] = np.nan
    for name, values in compute(bound, walk).items():
        assert np.isnan(values[at])
        assert values[at + 1 :].tobytes() == fresh[name].tobytes()


@pytest.mark.parametrize("text", ["ema:20", "rsi:14", "atr:14", "macd"])
def test_memory_is_where_the_start_stops_mattering(text, walk):
    bound = parse(text)
    forgotten = bound.lookback + bound.spec.memory(*bound.values)
    assert bound.spec.memory(*bound.values) > 0
    late = {name: values[50:] for name, values in compute(bound, walk).items()}
    for name, values in compute(bound, _tail(walk, 50)).items():
        scale = np.nanmax(np.abs(values))
        assert np.nanmax(np.abs(values - late[name])[forgotten:]) < 1e-8 * scale
        assert np.nanmax(np.abs(values - late[name])) > 1e-8 * scale


def test_history_to_load():
    assert parse("sma:20").history_from(1_000 * 60_000, 60_000) == 981 * 60_000
    assert parse("vwap").history_from(DAY_MS * 9 + 5, 60_000) == DAY_MS * 9
    bound = parse("ema:20")
    assert bound.history_from(1_000 * 60_000, 60_000) == (1_000 - 19 - bound.spec.memory(20)) * 60_000


def _tail(candles, start):
    columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
    return type(candles)(*(column[start:].copy() for column in columns))
