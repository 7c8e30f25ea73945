"""128-bit sums in two words: exact whatever the order, at the price of one carry."""

from typing import Any

import numpy as np

from candlewick.quant.compiled import inlined

MASK64 = (1 << 64) - 1

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


@inlined
def add_wide(words: Any, at: int, low: Any, high: int) -> None:
    """words[at], words[at + 1] += low, high."""
    before = np.uint64(words[at])
    after = before + low
    words[at] = np.int64(after)
    if after < before:
        words[at + 1] += high + 1
    else:
        words[at + 1] += high


@inlined
def add_product(words: Any, at: int, a: int, b: int) -> None:
    """words[at], words[at + 1] += a * b, for a, b >= 0."""
    if a < 1 << 31 and b < 1 << 31:
        add_wide(words, at, np.uint64(a * b), 0)
        return
    x = np.uint64(a)
    y = np.uint64(b)
    x0 = x & _LOW
    x1 = x >> _32
    y0 = y & _LOW
    y1 = y >> _32
    low = x0 * y0
    middle = x1 * y0 + (low >> _32)
    carry = middle >> _32
    middle = (middle & _LOW) + x0 * y1
    add_wide(words, at, (middle << _32) | (low & _LOW), np.int64(x1 * y1 + carry + (middle >> _32)))


def join(low: int, high: int) -> int:
    """The integer that two words hold."""
    return (high << 64) | (low & MASK64)


def split(value: int) -> tuple[int, int]:
    """The (low, high) words of a non-negative integer below 2**127, as int64 values."""
    low = value & MASK64
    return (low - (1 << 64) if low >> 63 else low), value >> 64
