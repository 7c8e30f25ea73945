"""When a venue changes how many digits it sends: bring both sides to the finer scale, exactly or not at all."""

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import frozen
from candlewick.contracts.collector import TradeColumns
from candlewick.kernel.decimals import INT64_MAX
from candlewick.kernel.errors import Rejected
from candlewick.quant.candles.layout import (
    F_OPEN,
    F_QUOTE,
    F_TAKER,
    F_VOLUME,
    FRAME,
    FRAMES,
    FRAMES_AT,
    H_PREV_CLOSE,
    H_PRICE_SCALE,
    H_SIZE_SCALE,
    MINUTE_SLOTS,
    S_OPEN,
    S_QUOTE,
    S_TAKER,
    S_VOLUME,
    SECOND_SLOTS,
    SECONDS_AT,
    SLOT,
    Words,
)
from candlewick.quant.candles.wide import join, split


class ScaleChanged(Rejected):
    """Trades whose scale cannot be brought together with what the key holds without losing a digit."""

    code = "SCALE_CHANGED"


def align(state: Words, columns: TradeColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Prices and sizes of a batch at the key's scales; the state is raised first where the batch is finer.

    Raises ScaleChanged, and leaves the state alone then.
    """
    price_scale, size_scale = int(state[H_PRICE_SCALE]), int(state[H_SIZE_SCALE])
    if price_scale < 0:
        state[H_PRICE_SCALE], state[H_SIZE_SCALE] = columns.price_scale, columns.size_scale
        return columns.price, columns.size
    prices = _raised(columns.price, max(0, price_scale - columns.price_scale), "price")
    sizes = _raised(columns.size, max(0, size_scale - columns.size_scale), "size")
    _raise_state(state, max(0, columns.price_scale - price_scale), max(0, columns.size_scale - size_scale))
    return prices, sizes


def _raised(values: NDArray[np.int64], digits: int, what: str) -> NDArray[np.int64]:
    if digits == 0:
        return values
    factor = int(10**digits)
    if factor > INT64_MAX or (len(values) and max(int(values.max()), -int(values.min())) > INT64_MAX // factor):
        raise ScaleChanged(f"{what} mantissas must fit 64 bits with {digits} more digits, was {values.max()!r}")
    return frozen(values * np.int64(factor))


def _raise_state(state: Words, price_digits: int, size_digits: int) -> None:
    if price_digits == size_digits == 0:
        return
    prices, sizes = 10**price_digits, 10**size_digits
    raised = state.copy()
    groups = [
        (SECONDS_AT + i * SLOT, S_OPEN, (S_VOLUME, S_TAKER, S_QUOTE)) for i in range(SECOND_SLOTS + MINUTE_SLOTS)
    ] + [(FRAMES_AT + i * FRAME, F_OPEN, (F_VOLUME, F_TAKER, F_QUOTE)) for i in range(FRAMES)]
    try:
        raised[H_PREV_CLOSE] = int(state[H_PREV_CLOSE]) * prices
        for at, ohlc, sums in groups:
            for k in range(at + ohlc, at + ohlc + 4):
                raised[k] = int(state[k]) * prices
            for k, factor in zip(sums, (sizes, sizes, prices * sizes), strict=True):
                raised[at + k], raised[at + k + 1] = split(join(int(state[at + k]), int(state[at + k + 1])) * factor)
    except OverflowError:
        more = (price_digits, size_digits)
        raise ScaleChanged(f"what the key holds must fit its words with more digits, was {more!r} more") from None
    raised[H_PRICE_SCALE] += price_digits
    raised[H_SIZE_SCALE] += size_digits
    state[:] = raised
