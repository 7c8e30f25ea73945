"""Binance's numbers: decimals of eight digits behind the point, read as floats and exact all the same."""

from typing import Final

from candlewick.adapters.venues.binance.instruments import WIRE_SCALE

# A float nearest to a decimal, times 10**8, is off by at most 2**-52 of itself: two roundings. So rounding gives the
# exact mantissa of an eight-digit decimal while that stays below 2**51 (68268838.17508792 is the counterexample above).
WIRE: Final = 10.0**WIRE_SCALE
EXACT_BELOW: Final = 2**51 / WIRE


def from_float(value: float, divisor: int) -> int:
    """The exact mantissa of a decimal of at most 8 digits behind the point that was read as a float, or -1.

    ``divisor`` is 10**(8 - scale). -1: not a number, negative, too large to be exact, or finer than the scale; then
    the digits themselves must be parsed.
    """
    if 0.0 <= value < EXACT_BELOW:
        mantissa = round(value * WIRE)
        if divisor == 1:
            return mantissa
        mantissa, rest = divmod(mantissa, divisor)
        if not rest:
            return mantissa
    return -1


def divisor_for(scale: int) -> int:
    """What ``from_float`` divides by; 0 (never exact) for scales finer than the wire's."""
    return int(10 ** (WIRE_SCALE - scale)) if scale <= WIRE_SCALE else 0
