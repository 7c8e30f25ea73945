"""The order book around the fair price at a millisecond: best bid and ask, and levels of resting size behind them.

Behind the best price the book is divided into cells of a few ticks; each holds one resting price and size that stays
for about four seconds, so a book sampled ten times a second changes a little each time, as a real one does.
"""

import numpy as np

from candlewick.quant.compiled import inlined, kernel
from candlewick.quant.market_model.chance import draw, field, floor
from candlewick.quant.market_model.columns import Floats, Ints, Keys
from candlewick.quant.market_model.path import ANCHOR, LOTS, MINUTES
from candlewick.quant.market_model.tape import STEPS, best_bid, fill_fair

REST_MS = 4_000


@inlined
def resting(
    key: np.uint64, profile: Floats, quantiles: Floats, cell: int, epoch_ms: int, away: int
) -> tuple[np.int64, np.int64]:
    """Bits and size in lots of what rests in a price cell now; ``away`` counts cells from the minute's first price."""
    family = draw(key, cell)
    phase = field(family, 0, 4095)
    bits = draw(family, (epoch_ms + phase) // REST_MS)
    heavy = quantiles[field(bits, 0, 4095)]
    lots = 1 + floor(profile[LOTS] * heavy * (0.6 + 0.25 * min(away, 40)))
    return field(bits, 12, 0xFFFFF), lots


@kernel(
    "const u8[:]", "const f8[:]", "const f8[:]", "i8", "const f8[:]", "const f8[:]", "i8", "i8[:,:]",
)  # fmt: skip
def fill_book(
    keys: Keys,
    profile: Floats,
    quantiles: Floats,
    epoch_ms: int,
    x: Floats,
    mass: Floats,
    levels: int,
    out: Ints,
) -> None:
    """Best first: rows of ``out`` are bid price, bid size, ask price, ask size; ``keys``: fair prices, book.

    ``x`` and ``mass`` are the minutes of the day that holds ``epoch_ms``. Bids end at 1 tick: further levels are 0.
    """
    fair = np.empty(STEPS + 1)
    epoch = epoch_ms // 60_000
    minute = epoch % MINUTES
    spread = fill_fair(keys[0], epoch, profile, x[minute], x[minute + 1], mass[minute], fair)
    bid = best_bid(fair, spread, epoch_ms - epoch * 60_000)
    width = max(1, np.int64(profile[ANCHOR]) // 120_000)
    centre = floor(fair[0]) // width
    for way in range(2):
        price = bid if way == 0 else bid + spread
        sign = -1 if way == 0 else 1
        for level in range(levels):
            if level > 0:
                cell = price // width + sign
                price = cell * width
            else:
                cell = price // width
            offset, lots = resting(keys[1], profile, quantiles, 2 * cell + way, epoch_ms, abs(cell - centre))
            if level > 0:
                price += offset % width
            if price < 1:
                out[2 * way, level] = 0
                out[2 * way + 1, level] = 0
                continue
            out[2 * way, level] = price
            out[2 * way + 1, level] = lots
