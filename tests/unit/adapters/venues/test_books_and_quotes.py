"""Books and quotes against the plainest thing that could work."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from candlewick.adapters.venues._books.book import Book, BookSide
from candlewick.adapters.venues._books.quote import QuoteConflator
from candlewick.adapters.venues.binance.numbers import EXACT_BELOW, WIRE, divisor_for, from_float
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import QuoteUpdated
from candlewick.kernel.decimals import BadDecimal, parse_mantissa
from candlewick.testing.binance.sink import KeepingSink

changes = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=80)


@given(changes, st.booleans())
def test_a_side_is_a_sorted_map(moves: list[tuple[int, int]], is_bid: bool) -> None:
    side, plain = BookSide(is_bid=is_bid, depth=100), {}
    for price, size in moves:
        side.change(price, size)
        if size:
            plain[price] = size
        else:
            plain.pop(price, None)
    want = sorted(plain.items(), reverse=is_bid)
    prices, sizes = side.top(20)
    assert list(zip(prices.tolist(), sizes.tolist(), strict=True)) == want[:20]
    assert side.best() == (want[0][0] if want else None)
    assert len(side) == len(want)


@given(changes, st.booleans())
def test_floats_make_the_same_book(moves: list[tuple[int, int]], is_bid: bool) -> None:
    one, other = BookSide(is_bid=is_bid, depth=100), BookSide(is_bid=is_bid, depth=100)

    def never(price: float, size: float) -> tuple[int, int]:
        raise AssertionError("these fit")

    levels = [(price / 100, size / 1000) for price, size in moves]
    one.apply(levels, WIRE, EXACT_BELOW, divisor_for(2), divisor_for(3), never)
    for price, size in moves:
        other.change(price, size)
    assert [a.tolist() for a in one.top(50)] == [a.tolist() for a in other.top(50)]


def test_a_side_keeps_its_best_within_its_depth() -> None:
    for is_bid in (True, False):
        side = BookSide(is_bid=is_bid, depth=50)
        for price in range(1, 1000):
            side.change(price, 1)
        assert len(side) <= 100
        best = list(range(999, 979, -1)) if is_bid else list(range(1, 21))
        assert side.top(20)[0].tolist() == best


def test_a_crossed_book_is_seen() -> None:
    book = Book()
    assert not book.is_crossed()
    book.bids.replace([(10, 1), (9, 0)])
    book.asks.replace([(11, 1)])
    assert not book.is_crossed()
    book.bids.change(11, 1)
    assert book.is_crossed()


quotes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=60)


@settings(max_examples=300)
@given(quotes, st.lists(st.integers(1, 60), max_size=4))
def test_many_quotes_are_told_as_one_by_one(moves: list[tuple[int, int]], cuts: list[int]) -> None:
    times = np.cumsum([pause for _, pause in moves]).astype(np.int64)
    rows = np.array([[100 + price, 1, 200, 1] for price, _ in moves], np.int64)
    single, many = (QuoteConflator("x", "A-B", every_ns=100, origin=Origin.BUILT) for _ in range(2))
    one, other = KeepingSink(), KeepingSink()
    for row, ts in zip(rows.tolist(), times.tolist(), strict=True):
        single.set(2, 3, *row)
        single.flush(ts, one)
    borders = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    for start, stop in pairwise(borders):
        many.set_many(2, 3, rows[start:stop], times[start:stop], other)
    single.flush(10**9, one)
    many.flush(10**9, other)
    assert one.messages == other.messages
    assert one.of(QuoteUpdated)[-1].bid == rows[-1][0]


@given(st.integers(0, 2**51 - 1), st.integers(0, 8))
def test_floats_give_the_digits_back(mantissa: int, scale: int) -> None:
    """Law 1: below 2**51 the rounded float is the decimal that was sent."""
    text = f"{mantissa // 10**8}.{mantissa % 10**8:08}"
    try:
        want = parse_mantissa(text, scale)
    except BadDecimal:
        want = -1
    assert from_float(float(text), divisor_for(scale)) == want


def test_what_is_no_exact_number_is_refused() -> None:
    assert round(68268838.17508792 * 1e8) != 6826883817508792, "two roundings may cost the last digit"
    for value in (float("nan"), float("inf"), -1.0, 2**51 / 1e8):
        assert from_float(value, 1) == -1
