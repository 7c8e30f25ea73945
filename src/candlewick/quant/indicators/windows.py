"""Arithmetic that indicators share: sums in one fixed order, windows in a flat buffer, the recursive averages.

Rolling sums are taken anew over every window, oldest to newest in eight interleaved lanes. So the error does not grow
with the length of the series, a value depends on the bars of its window alone (a chart that loads 300 bars and a stream
that has run for a month agree to the bit), and the cost is O(n x window) at about 0.1 ns an element.
"""

import numpy as np

from candlewick.quant.compiled import inlined
from candlewick.quant.indicators.spec import Floats


@inlined
def is_number(x: float) -> bool:
    """Neither NaN nor infinite."""
    return x - x == 0.0


@inlined
def lane_sum(a: Floats, start: int, count: int) -> float:
    """Sum of ``a[start : start + count]`` in eight lanes, lane ``i % 8`` for the ``i``-th element, then pairwise."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = start + (count - count % 8)
    i = start
    while i < whole:
        s0 += a[i]
        s1 += a[i + 1]
        s2 += a[i + 2]
        s3 += a[i + 3]
        s4 += a[i + 4]
        s5 += a[i + 5]
        s6 += a[i + 6]
        s7 += a[i + 7]
        i += 8
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    while i < start + count:
        total += a[i]
        i += 1
    return total


@inlined
def lane_square_sum(a: Floats, start: int, count: int, mean: float) -> float:
    """Sum of squared distances of ``a[start : start + count]`` from ``mean``, in the order of ``lane_sum``."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = start + (count - count % 8)
    i = start
    while i < whole:
        d0 = a[i] - mean
        d1 = a[i + 1] - mean
        d2 = a[i + 2] - mean
        d3 = a[i + 3] - mean
        d4 = a[i + 4] - mean
        d5 = a[i + 5] - mean
        d6 = a[i + 6] - mean
        d7 = a[i + 7] - mean
        s0 += d0 * d0
        s1 += d1 * d1
        s2 += d2 * d2
        s3 += d3 * d3
        s4 += d4 * d4
        s5 += d5 * d5
        s6 += d6 * d6
        s7 += d7 * d7
        i += 8
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    while i < start + count:
        d = a[i] - mean
        total += d * d
        i += 1
    return total


@inlined
def push(buffer: Floats, used: int, window: int, x: float) -> int:
    """Append to a window kept in a flat buffer of ``2 * window`` places and return the new fill.

    The newest ``window`` values always lie side by side at the end of the filled part; when the buffer is full they
    move to its front, once every ``window`` bars.
    """
    if used == 2 * window:
        for i in range(window):
            buffer[i] = buffer[used - window + i]
        used = window
    buffer[used] = x
    return used + 1


@inlined
def exponential(state: Floats, at: int, window: int, x: float) -> float:
    """One step of an exponential average with weight ``2 / (window + 1)``, seeded by the mean of its first window.

    ``state[at]`` counts bars up to the window, ``state[at + 1]`` holds the sum, then the average. NaN during warm-up.
    """
    seen = state[at]
    if seen >= window:
        average = state[at + 1] + (2.0 / (window + 1.0)) * (x - state[at + 1])
    else:
        state[at] = seen + 1.0
        average = state[at + 1] + x
        if seen + 1.0 < window:
            state[at + 1] = average
            return np.nan
        average /= window
    state[at + 1] = average
    return float(average)


@inlined
def wilder(state: Floats, at: int, window: int, x: float) -> float:
    """One step of Wilder's average ``(previous * (window - 1) + x) / window``, seeded and stored as above."""
    seen = state[at]
    if seen >= window:
        average = (state[at + 1] * (window - 1.0) + x) / window
    else:
        state[at] = seen + 1.0
        average = state[at + 1] + x
        if seen + 1.0 < window:
            state[at + 1] = average
            return np.nan
        average /= window
    state[at + 1] = average
    return float(average)


@inlined
def range_with_previous(high: float, low: float, previous_close: float) -> float:
    """True range: the widest of high - low, high - previous close and previous close - low."""
    widest = high - low
    up = abs(high - previous_close)
    down = abs(low - previous_close)
    widest = max(widest, up)
    return max(widest, down)


def exponential_memory(window: int) -> int:
    """Bars after which the seed of ``exponential`` weighs less than 1e-9: smallest ``n`` with ``(1 - a)^n < 1e-9``."""
    return _bars_to_forget((window - 1) / (window + 1))


def wilder_memory(window: int) -> int:
    """Bars after which the seed of ``wilder`` weighs less than 1e-9."""
    return _bars_to_forget((window - 1) / window)


def _bars_to_forget(kept: float) -> int:
    bars, left = 0, 1.0
    while left >= 1e-9:
        left *= kept
        bars += 1
    return bars
