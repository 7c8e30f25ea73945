"""Decimal strings <-> int64 mantissas with a scale; value = mantissa / 10**scale.

Prices and sizes travel and are summed as mantissas so that every sum is exact. They become floats once, at the door
of indicators and JSON, rounded to the nearest float64.
"""

from candlewick.kernel.errors import Rejected

INT64_MAX = (1 << 63) - 1
MAX_SCALE = 18


class BadDecimal(Rejected):
    """A price or size that is not a finite decimal, or does not fit its scale."""

    code = "BAD_DECIMAL"


def parse_mantissa(text: str, scale: int) -> int:
    """The mantissa of a decimal string at ``scale`` digits behind the point.

    Accepts an optional sign, digits, an optional fraction; trailing zeros beyond the scale are fine, other digits
    there are not. Raises BadDecimal for anything else (NaN, infinity, exponents, blanks) and beyond int64.
    """
    whole, _, fraction = text.partition(".")
    sign = 1
    if whole[:1] in {"-", "+"}:
        sign = -1 if whole[0] == "-" else 1
        whole = whole[1:]
    digits = whole + fraction
    if not digits or not digits.isascii() or not digits.isdigit():
        raise BadDecimal(f"expected a plain decimal number, was {text!r}")
    if len(fraction) > scale:
        if fraction[scale:].strip("0"):
            raise BadDecimal(f"expected at most {scale} digits behind the point, was {text!r}")
        fraction = fraction[:scale]
    mantissa = int(whole.ljust(1, "0") + fraction.ljust(scale, "0"))
    if mantissa > INT64_MAX:
        raise BadDecimal(f"the number does not fit 64 bits at scale {scale}, was {text!r}")
    return sign * mantissa


def scale_of(text: str) -> int:
    """Digits behind the point that are needed to hold a decimal string exactly ('0.00100000' -> 3)."""
    return len(text.partition(".")[2].rstrip("0"))


def to_float(mantissa: int, scale: int) -> float:
    """The float64 nearest to mantissa / 10**scale, for integers of any size (Python's true division rounds right)."""
    return mantissa / int(10**scale)


def to_text(mantissa: int, scale: int) -> str:
    """The decimal string with exactly ``scale`` digits behind the point."""
    sign, digits = ("-", str(-mantissa)) if mantissa < 0 else ("", str(mantissa))
    if scale == 0:
        return sign + digits
    digits = digits.rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"
