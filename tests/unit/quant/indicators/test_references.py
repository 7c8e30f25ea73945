"""Every indicator against values computed by other libraries: Stock.Indicators, TA-Lib, talipp and Lean's test data."""

import numpy as np
import pytest

from candlewick.quant.indicators.registry import compute, parse

TALIB = [
    pytest.param("talib_talipp/BTCUSDT-1h-2021.csv.gz", marks=pytest.mark.slow),
    "talib_talipp/ETHUSDT-1d-2017-2022.csv.gz",
]


def agree(ours, theirs, *, rtol=1e-9, atol=0.0, after=0, same_start=True):
    """Equal wherever they have a value from bar ``after`` on; with ``same_start`` also NaN at the same bars."""
    assert np.isfinite(theirs[after:]).sum() > 100
    if same_start:
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    there = np.isfinite(theirs)
    there[:after] = False
    np.testing.assert_allclose(ours[there], theirs[there], rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("text", "output", "file", "column"),
    [
        ("sma:20", "sma", "sma", "sma"),
        ("ema:20", "ema", "ema", "ema"),
        ("rsi:14", "rsi", "rsi", "rsi"),
        ("bollinger:20:2", "upper", "bb", "upperBand"),
        ("bollinger:20:2", "middle", "bb", "sma"),
        ("bollinger:20:2", "lower", "bb", "lowerBand"),
        ("atr:14", "atr", "atr", "atr"),
        ("true_range", "true_range", "tr", "tr"),
        ("stddev:14", "stddev", "stdev", "stdDev"),
    ],
)
def test_stock_indicators(references, text, output, file, column):
    theirs = references.stock_indicators(file)[column]
    agree(compute(parse(text), references.quotes())[output], theirs, rtol=1e-11)


@pytest.mark.parametrize("file", TALIB)
@pytest.mark.parametrize(
    ("text", "output", "column"),
    [
        ("sma:20", "sma", "SMA_20"),
        ("ema:12", "ema", "EMA_12"),
        ("ema:26", "ema", "EMA_26"),
        ("rsi:14", "rsi", "RSI_14"),
        ("bollinger:20:2", "upper", "BBU_20_2"),
        ("bollinger:20:2", "middle", "BBM_20_2"),
        ("bollinger:20:2", "lower", "BBL_20_2"),
        ("atr:14", "atr", "ATR_14"),
        ("true_range", "true_range", "TRANGE"),
        ("stddev:20", "stddev", "STDDEV_20_pop"),
    ],
)
def test_talib(references, make_candles, file, text, output, column):
    table = references.table(file)
    # the file holds ten significant digits
    agree(compute(parse(text), make_candles(table))[output], table[column], rtol=2e-9, atol=2e-9)


@pytest.mark.parametrize("file", TALIB)
@pytest.mark.parametrize(
    ("output", "column"), [("macd", "MACD_12_26_9"), ("signal", "MACDsig_12_26_9"), ("histogram", "MACDhist_12_26_9")]
)
def test_talib_macd_once_the_seeds_are_forgotten(references, make_candles, file, output, column):
    table = references.table(file)
    bound = parse("macd")
    after = bound.lookback + bound.spec.memory(*bound.values)
    ours = compute(bound, make_candles(table))[output]
    agree(ours, table[column], atol=2e-6, rtol=2e-9, after=after, same_start=False)


@pytest.mark.parametrize("file", TALIB)
@pytest.mark.parametrize(
    ("text", "output", "column"),
    [
        ("rsi:14", "rsi", "talipp_RSI_14"),
        ("macd:12:26:9", "macd", "talipp_MACD"),
        ("macd:12:26:9", "signal", "talipp_MACD_sig"),
        ("macd:12:26:9", "histogram", "talipp_MACD_hist"),
        ("bb:20:2", "upper", "talipp_BB_ub"),
        ("bb:20:2", "middle", "talipp_BB_cb"),
        ("bb:20:2", "lower", "talipp_BB_lb"),
    ],
)
def test_talipp(references, make_candles, file, text, output, column):
    table = references.table(file)
    agree(compute(parse(text), make_candles(table))[output], table[column], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("file", TALIB)
def test_talipp_atr_once_its_first_range_is_forgotten(references, make_candles, file):
    table = references.table(file)  # talipp counts high - low of the first bar as a range
    ours = compute(parse("atr:14"), make_candles(table))["atr"]
    agree(ours, table["talipp_ATR_14"], after=320, same_start=False)


@pytest.mark.parametrize("file", TALIB)
def test_talipp_vwap_within_one_day(references, make_candles, file):
    table = references.table(file)  # theirs never resets, so all bars are put into one day
    table["open_time"] = np.arange(table["close"].size, dtype=np.float64)
    agree(compute(parse("vwap"), make_candles(table))["vwap"], table["talipp_VWAP_cum"], rtol=1e-10)


def lean(references, make_candles, file):
    table = references.table(f"lean/{file}")
    return table, make_candles({name.lower(): column for name, column in table.items()})


def test_lean_macd(references, make_candles):
    table, candles = lean(references, make_candles, "spy_with_macd.txt")
    ours = compute(parse("macd"), candles)
    # their file rounds to 4 digits and seeds the fast average as TA-Lib does
    for output, column in (("macd", "MACD"), ("signal", "Signal"), ("histogram", "Histogram")):
        agree(ours[output], table[column], after=200, atol=2e-4, rtol=0, same_start=False)


def test_lean_bands(references, make_candles):
    table, candles = lean(references, make_candles, "spy_sm.csv")
    ours = compute(parse("bollinger:20:2"), candles)
    for output, column in (("middle", "mid_bb"), ("upper", "bb high"), ("lower", "bb low")):
        agree(ours[output], table[column])
    agree(compute(parse("sma:20"), candles)["sma"], table["mid_bb"], rtol=1e-12)


def test_lean_normalised_atr(references, make_candles):
    table, candles = lean(references, make_candles, "spy_natr.txt")
    agree(100.0 * compute(parse("atr:5"), candles)["atr"] / candles.close, table["NATR_5"], rtol=1e-11)


def test_lean_true_range(references, make_candles):
    table, candles = lean(references, make_candles, "spy_with_adx.txt")
    agree(compute(parse("tr"), candles)["true_range"], table["TR"], atol=0.0051, rtol=0)  # two digits


def test_lean_rolling_vwap(references, make_candles):
    table, candles = lean(references, make_candles, "spy_with_vwap.txt")
    typical = (candles.open + candles.high + candles.low + candles.close) / 4.0  # their typical price
    mean_price = make_candles({"close": typical, "volume": candles.volume})
    agree(compute(parse("vwap_rolling:50"), mean_price)["vwap"], table["Moving VWAP 50"], atol=6e-5, rtol=0)


def test_stock_indicators_volume_weighted_average(references, make_candles):
    quotes = references.quotes()
    closes = make_candles({"close": quotes.close, "volume": quotes.volume})
    theirs = references.stock_indicators("vwma")["vwma"]
    window = int(np.isfinite(theirs).argmax()) + 1
    agree(compute(parse(f"vwma:{window}"), closes)["vwap"], theirs, rtol=1e-11)
