"""Random numbers by address: a hash of (seed, what for, which one) instead of a generator with a state.

Any number can be drawn without drawing those before it. The bits come from splitmix64's finaliser (Steele, Lea and
Flood, 2014) and everything after them uses ``+ - * / sqrt`` alone, so every machine draws the same.
"""

import numpy as np

from candlewick.quant.compiled import inlined

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S11 = np.uint64(11)
_S16 = np.uint64(16)
_S32 = np.uint64(32)
_S48 = np.uint64(48)
_LOW_16 = np.uint64(0xFFFF)

MASK = 0xFFFFFFFFFFFFFFFF


@inlined
def draw(key: np.uint64, which: int) -> np.uint64:
    """64 random bits, number ``which`` (any int64) of the family ``key``; also makes the key of a sub-family."""
    x = key + _GOLDEN * np.uint64(which + 1)
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


@inlined
def uniform(bits: np.uint64) -> float:
    """A number in [0, 1) from 64 bits."""
    return float(np.int64(bits >> _S11)) * 1.1102230246251565e-16


@inlined
def normal(bits: np.uint64) -> float:
    """A nearly normal number, mean 0 and variance 1, within 3.46: the sum of four 16-bit uniforms."""
    total = (bits & _LOW_16) + ((bits >> _S16) & _LOW_16) + ((bits >> _S32) & _LOW_16) + (bits >> _S48)
    return float(np.int64(total) - 131_070) * 2.642899569e-05


@inlined
def field(bits: np.uint64, shift: int, mask: int) -> np.int64:
    """The bits under ``mask`` once ``shift`` lower ones are dropped."""
    return np.int64((bits >> np.uint64(shift)) & np.uint64(mask))


@inlined
def floor(x: float) -> np.int64:
    """The largest whole number that is not above ``x``."""
    return np.int64(np.floor(x))


@inlined
def power_of_two(x: float) -> float:
    """2 ** x to 2e-10 without a library call: an exact whole power times a series for the rest in [-0.5, 0.5)."""
    whole = np.floor(x + 0.5)
    y = (x - whole) * 0.6931471805599453
    series: float = 1.0 + y * (
        1.0 + y * (0.5 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * (1 / 5040 + y / 40320))))))
    )
    while whole > 0.0:
        series *= 2.0
        whole -= 1.0
    while whole < 0.0:
        series *= 0.5
        whole += 1.0
    return series


def key_of(seed: int, purpose: str) -> np.uint64:
    """The family of random numbers of one purpose under one seed (any int)."""
    h = 0xCBF29CE484222325 ^ (seed & MASK)  # FNV-1a over the purpose, then mixed
    for byte in purpose.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    h = ((h ^ (h >> 30)) * int(_MIX_1)) & MASK
    h = ((h ^ (h >> 27)) * int(_MIX_2)) & MASK
    return np.uint64(h ^ (h >> 31))
