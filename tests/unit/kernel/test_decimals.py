"""LAWS 1: mantissas are exact, and bad numbers are refused with a code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlewick.kernel.decimals import INT64_MAX, BadDecimal, parse_mantissa, scale_of, to_float, to_text


@pytest.mark.parametrize(
    ("text", "scale", "mantissa"),
    [
        ("61837.63000000", 8, 6183763000000),
        ("0", 0, 0),
        (".5", 1, 5),
        ("-1.50", 1, -15),
        ("+2", 3, 2000),
        ("12.300", 1, 123),
    ],
)
def test_reads_decimals_exactly(text, scale, mantissa):
    assert parse_mantissa(text, scale) == mantissa


@pytest.mark.parametrize("text", ["", ".", "-", "NaN", "inf", "1e5", "1,5", "1 ", "٣", "1.2.3", "0x1", "1.23"])
def test_refuses_what_is_not_a_plain_decimal_of_the_scale(text):
    with pytest.raises(BadDecimal) as caught:
        parse_mantissa(text, 1)
    assert caught.value.code == "BAD_DECIMAL"


def test_refuses_what_does_not_fit_64_bits():
    assert parse_mantissa(str(INT64_MAX), 0) == INT64_MAX
    with pytest.raises(BadDecimal, match="64 bits"):
        parse_mantissa(str(INT64_MAX + 1), 0)


@given(st.integers(-INT64_MAX, INT64_MAX), st.integers(0, 18))
def test_text_round_trips(mantissa, scale):
    assert parse_mantissa(to_text(mantissa, scale), scale) == mantissa


@given(st.integers(0, 10**40), st.integers(0, 20))
def test_float_is_the_nearest_to_the_official_string(mantissa, scale):
    assert to_float(mantissa, scale) == float(to_text(mantissa, scale))


def test_scale_counts_the_digits_that_matter():
    assert [scale_of(t) for t in ("0.00100000", "1", "10.50", "1.00")] == [3, 0, 1, 0]
