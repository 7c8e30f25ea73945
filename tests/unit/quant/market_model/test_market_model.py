"""The demo market: the same bytes for ever, candles equal to their trades, a book that trades print on."""

import hashlib
import warnings

import numpy as np
import pytest

from candlewick.kernel.errors import Rejected
from candlewick.quant.market_model import path, tape
from candlewick.quant.market_model.chance import draw, key_of, normal, power_of_two, uniform
from candlewick.quant.market_model.errors import BadDepth, OutOfTime, UnknownModelSymbol
from candlewick.quant.market_model.model import DAY_MS, LAST_MS, MINUTE_MS, MarketModel
from candlewick.quant.market_model.symbols import DEFAULT

NS = 1_000_000
NOW = 1_795_000_000_000 // DAY_MS * DAY_MS
SYMBOLS = tuple(p.symbol for p in DEFAULT)
DENSE = ("trade_id", "price", "size", "ts_event", "side")


def digest(*arrays):
    made = hashlib.sha256()
    for array in arrays:
        made.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return made.hexdigest()[:16]


def columns(value):
    return [getattr(value, name) for name in value.__slots__ if isinstance(getattr(value, name), np.ndarray)]


# --- determinism


def test_the_bytes_never_change(model):
    """Golden: whoever changes the model changes everybody's demo; then say so in the change log and renew these."""
    start = NOW - 3 * DAY_MS
    assert digest(*(c for s in SYMBOLS for c in columns(model.candles(s, start, NOW)))) == "fe43ae53bd7d5999"
    assert digest(*columns(model.trades("SOL-USDT", start * NS, (start + DAY_MS) * NS))) == "86d86f577b9290b7"
    assert digest(*columns(model.book("BTC-USDT", NOW * NS))) == "d47cfbc1c38c001f"


def test_another_seed_is_another_market(model):
    other = MarketModel(seed=2)
    span = (NOW - DAY_MS, NOW)
    assert not np.array_equal(other.candles("BTC-USDT", *span).close, model.candles("BTC-USDT", *span).close)
    assert other.halts(0, 10**12) != model.halts(0, 10**12)
    assert MarketModel(seed=-5).candles("BTC-USDT", *span).trades.size > 1_000


@pytest.mark.parametrize("symbol", ["BTC-USDT", "ADA-USDT"])
def test_any_minute_can_be_asked_first(symbol):
    start = NOW - 7 * DAY_MS + 13 * MINUTE_MS
    whole = MarketModel().trades(symbol, start * NS, (start + 90 * MINUTE_MS) * NS)
    backwards = MarketModel()
    pieces = [
        backwards.trades(symbol, (start + i * 7_321) * NS, (start + (i + 1) * 7_321) * NS) for i in reversed(range(738))
    ]
    for name in DENSE:
        joined = np.concatenate([getattr(piece, name) for piece in reversed(pieces)])
        size = joined.size
        assert 0 < size <= whole.trade_id.size
        assert joined.tobytes() == getattr(whole, name)[:size].tobytes()


def test_symbols_do_not_depend_on_which_others_are_traded():
    alone = MarketModel(symbols=DEFAULT[2:3])
    both = [m.candles("SOL-USDT", NOW - DAY_MS, NOW).close for m in (alone, MarketModel())]
    assert both[0].tobytes() == both[1].tobytes()


def test_compiled_code_equals_plain_python(model):
    """What the compiler does to the arithmetic changes no bit: the same functions run uncompiled."""
    symbol, day = "ETH-USDT", NOW // DAY_MS - 3
    keys, profile = model._path_keys[symbol], model._numbers[symbol]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy tells of the hash's wrap-around
        block = [np.empty(33), np.empty(32), np.empty(33, np.int64)]
        path.fill_block.function(keys, profile, day // 32, *block)
        at = day % 32
        minutes = [np.empty(1441), np.empty(1440), np.empty(1441, np.int64)]
        path.fill_day.function(
            keys, profile, path.HOURS, day,
            block[0][at], block[0][at + 1], block[1][at], block[2][at], block[2][at + 1], *minutes,
        )  # fmt: skip
        candles = np.empty((8, 40), np.int64)
        tape.fill_candles.function(
            model._tape_keys[symbol], profile, model._quantiles, day, *minutes, 600, 640, candles
        )
    compiled = model._day(symbol, day)
    for plain, other in zip(minutes, (compiled.x, compiled.mass, compiled.first), strict=True):
        assert plain.tobytes() == other.tobytes()
    opens = day * DAY_MS + 600 * MINUTE_MS
    kernel = model.candles(symbol, opens, opens + 40 * MINUTE_MS)
    rows = (kernel.open, kernel.high, kernel.low, kernel.close, kernel.volume, kernel.quote_volume,
            kernel.taker_buy_volume, kernel.trades)  # fmt: skip
    assert np.array(rows).tobytes() == candles.tobytes()


# --- trades, candles, ids


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_candles_are_their_trades(model, symbol):
    start = model.halts(NOW - 30 * DAY_MS, NOW)[0].start_ms // DAY_MS * DAY_MS
    end = start + 2 * DAY_MS
    trades, candles = model.trades(symbol, start * NS, end * NS), model.candles(symbol, start, end)
    opens, first = np.unique(trades.ts_event // NS // MINUTE_MS * MINUTE_MS, return_index=True)
    last = np.append(first[1:], trades.trade_id.size) - 1
    bought = np.where(trades.side == 1, trades.size, 0)
    expected = {
        "open_time": opens,
        "open": trades.price[first],
        "high": np.maximum.reduceat(trades.price, first),
        "low": np.minimum.reduceat(trades.price, first),
        "close": trades.price[last],
        "volume": np.add.reduceat(trades.size, first),
        "quote_volume": np.add.reduceat(trades.price * trades.size, first),
        "taker_buy_volume": np.add.reduceat(bought, first),
        "trades": last - first + 1,
        "first_trade_id": trades.trade_id[first],
    }
    for name, values in expected.items():
        assert np.array_equal(getattr(candles, name), values), name


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_ids_are_dense_and_times_run_forwards_across_blocks(model, symbol):
    border = (NOW // DAY_MS // 32) * 32 * DAY_MS
    found = model.trades(symbol, (border - DAY_MS) * NS, (border + DAY_MS) * NS)
    assert (np.diff(found.trade_id) == 1).all()
    assert (np.diff(found.ts_event) >= 0).all()
    assert (border - DAY_MS) * NS <= found.ts_event[0]
    assert found.ts_event[-1] < (border + DAY_MS) * NS
    assert (found.ts_event % NS == 0).all()
    assert set(found.side.tolist()) == {0, 1}
    assert found.price.min() >= 1
    assert found.size.min() >= 1


@pytest.mark.parametrize("symbol", ["BTC-USDT", "ADA-USDT"])
def test_trades_are_found_by_id(model, symbol):
    found = model.trades(symbol, (NOW - DAY_MS) * NS, NOW * NS)
    ids = found.trade_id
    for low, high in ((0, 0), (5, 5), (100, 2_500), (ids.size - 3, ids.size - 1)):
        same = model.trades_by_id(symbol, int(ids[low]), int(ids[high]))
        for name in DENSE:
            assert getattr(same, name).tobytes() == getattr(found, name)[low : high + 1].tobytes()
    assert model.next_id(symbol, (NOW - DAY_MS) * NS) == ids[0]
    assert (
        model.next_id(symbol, int(found.ts_event[777]) + 1) == ids[int((found.ts_event <= found.ts_event[777]).sum())]
    )
    assert model.trades_by_id(symbol, int(ids[9]), int(ids[8])).trade_id.size == 0
    assert model.trades_by_id(symbol, -5, 1).trade_id.tolist() == [1]


def test_every_minute_outside_a_halt_has_trades(model, month):
    halted = sum(
        (min(h.end_ms, NOW) - max(h.start_ms, NOW - 30 * DAY_MS)) // MINUTE_MS
        for h in model.halts(NOW - 30 * DAY_MS, NOW)
    )
    assert halted > 8
    for candles in month.values():
        assert candles.open_time.size == 30 * 1440 - halted
        assert candles.trades.min() >= 1


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_instruments_name_the_grid_of_prices_and_sizes(model, symbol):
    (instrument,) = (i for i in model.instruments if i.symbol == symbol)
    trades = model.trades(symbol, (NOW - MINUTE_MS) * NS, NOW * NS)
    assert instrument.exchange == "demo"
    assert (trades.price_scale, trades.size_scale) == (instrument.price_scale, instrument.size_scale)
    assert float(instrument.price_tick) == pytest.approx(10.0**-instrument.price_scale)
    assert float(instrument.size_step) == pytest.approx(10.0**-instrument.size_scale)
    assert instrument.symbol == f"{instrument.base}-{instrument.quote}"


# --- the book


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_books_are_in_order_and_trades_print_on_them(model, symbol):
    trades = model.trades(symbol, (NOW - 30 * MINUTE_MS) * NS, NOW * NS)
    alone = np.append(np.diff(trades.ts_event) > 0, True) & np.append(True, np.diff(trades.ts_event) > 0)
    for i in np.flatnonzero(alone)[:40]:
        book = model.book(symbol, int(trades.ts_event[i]))
        assert book.bid_price.size == book.ask_price.size == 20
        assert (np.diff(book.bid_price) < 0).all()
        assert (np.diff(book.ask_price) > 0).all()
        assert book.bid_price[0] < book.ask_price[0]
        assert book.bid_price[-1] > 0
        assert min(book.bid_size.min(), book.ask_size.min()) > 0
        assert trades.price[i] == (book.ask_price[0] if trades.side[i] else book.bid_price[0])


def test_a_book_changes_little_in_a_tenth_of_a_second(model):
    kept = []
    for i in range(50):
        before, after = (model.book("BTC-USDT", (NOW + i * 60_100 + d) * NS) for d in (0, 100))
        levels = [set(zip(b.bid_price.tolist(), b.bid_size.tolist(), strict=True)) for b in (before, after)]
        kept.append(len(levels[0] & levels[1]))
    assert np.mean(kept) > 12


def test_the_book_rests_in_a_halt_and_ends_at_the_lowest_price(model):
    halt = model.halts(NOW - 14 * DAY_MS, NOW)[0]
    books = [model.book("XRP-USDT", t * NS) for t in (halt.start_ms, halt.start_ms + 77_000, halt.end_ms - 1)]
    assert len({digest(*columns(book)) for book in books}) == 1
    deep = model.book("ADA-USDT", NOW * NS, levels=20_000)
    assert deep.bid_price[-1] == 1
    assert deep.bid_price.size < deep.ask_price.size == 20_000
    assert model.book("ADA-USDT", NOW * NS, levels=1).ask_price.tolist() == [deep.ask_price[0]]


# --- questions that cannot be answered


def test_bad_questions_have_codes(model):
    cases = [
        (lambda: model.candles("DOG-USDT", 0, 1), UnknownModelSymbol, "DEMO_SYMBOL_UNKNOWN"),
        (lambda: model.book("BTCUSDT", NOW * NS), UnknownModelSymbol, "DEMO_SYMBOL_UNKNOWN"),
        (lambda: model.planned_gaps(0, 1, ""), UnknownModelSymbol, "DEMO_SYMBOL_UNKNOWN"),
        (lambda: model.candles("BTC-USDT", 5, 4), OutOfTime, "DEMO_TIME_RANGE"),
        (lambda: model.trades("BTC-USDT", -1, 4), OutOfTime, "DEMO_TIME_RANGE"),
        (lambda: model.book("BTC-USDT", (LAST_MS + 1) * NS), OutOfTime, "DEMO_TIME_RANGE"),
        (lambda: model.trades_by_id("BTC-USDT", 10**15, 10**15), OutOfTime, "DEMO_TIME_RANGE"),
        (lambda: model.book("BTC-USDT", NOW * NS, levels=0), BadDepth, "DEMO_BOOK_DEPTH"),
    ]
    for ask, error, code in cases:
        with pytest.raises(error, match="was ") as caught:
            ask()
        assert isinstance(caught.value, Rejected)
        assert caught.value.code == code


def test_empty_questions_have_empty_answers(model):
    assert model.candles("BTC-USDT", NOW, NOW).open_time.size == 0
    assert model.trades("BTC-USDT", NOW * NS, NOW * NS).trade_id.size == 0
    assert model.planned_gaps(NOW * NS, NOW * NS) == ()


@pytest.mark.parametrize("at", [0, DAY_MS, LAST_MS - DAY_MS])
def test_it_works_at_both_ends_of_time(model, at):
    candles = model.candles("DOGE-USDT", at, at + DAY_MS)
    assert candles.open_time[0] == at
    assert candles.low.min() > 0
    assert (
        model.trades_by_id("DOGE-USDT", int(candles.first_trade_id[-1]), int(candles.first_trade_id[-1])).price.size
        == 1
    )


# --- chance


def test_random_numbers_have_the_moments_they_promise():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        key = key_of(7, "test")
        bits = [draw(key, i) for i in range(20_000)]
        flat, bell = np.array([uniform(b) for b in bits]), np.array([normal(b) for b in bits])
    assert len(set(map(int, bits))) == len(bits)
    assert 0.0 <= flat.min() < 0.001
    assert 0.999 < flat.max() < 1.0
    assert flat.mean() == pytest.approx(0.5, abs=0.01)
    assert bell.mean() == pytest.approx(0.0, abs=0.03)
    assert bell.std() == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(bell[:-1], bell[1:])[0, 1] == pytest.approx(0.0, abs=0.03)


def test_powers_of_two_need_no_library():
    x = np.linspace(-6.0, 6.0, 2_001)
    np.testing.assert_allclose([power_of_two(float(v)) for v in x], 2.0**x, rtol=3e-10)


def test_nothing_compiles_once_warm(model):
    from numba.core import event

    assert model.warm() == 5
    with event.install_recorder("numba:compile") as recorder:
        fresh = MarketModel(seed=9)
        fresh.candles("BTC-USDT", NOW, NOW + DAY_MS)
        fresh.live_trades("BTC-USDT", NOW * NS, (NOW + MINUTE_MS) * NS)
        fresh.book("BTC-USDT", NOW * NS)
    assert recorder.buffer == []
