"""The trades of a minute, and the candle they make.

Inside a minute the fair price is a bridge of sixteen steps; a trade prints at the best ask or bid around it, where the
book stands at that millisecond. Arrivals come in bursts, one order may sweep several levels in the same millisecond,
takers stay on their side for a while and lean with the move, sizes are heavy-tailed (tail index 1.6) and often round.
"""

import numpy as np

from candlewick.quant.compiled import inlined, kernel
from candlewick.quant.market_model.chance import draw, field, floor, normal, power_of_two
from candlewick.quant.market_model.columns import Floats, Ints, Keys, Sides
from candlewick.quant.market_model.path import ANCHOR, LOTS, MINUTES, MOVE

STEPS = 16
STEP_MS = 60_000 // STEPS
NS_PER_MS = 1_000_000


def size_quantiles() -> Floats:
    """4096 quantiles of a Pareto distribution with tail index 1.6, ``u ** (-5 / 8)``, by exact square roots alone."""
    root = np.sqrt((np.arange(4096) + 0.5) / 4096.0)
    table: Floats = 1.0 / (root * np.sqrt(np.sqrt(root)))
    table.setflags(write=False)
    return table


@inlined
def fill_fair(
    key: np.uint64, minute: int, profile: Floats, x_open: float, x_close: float, mass: float, fair: Floats
) -> np.int64:
    """Fair prices in ticks at the 17 ends of the steps of an epoch minute; returns the spread in ticks (at least 1)."""
    fair[0] = x_open
    fair[STEPS] = x_close
    bits = draw(key, minute)
    spread = np.sqrt(mass) * 0.5
    width = STEPS
    while width > 1:
        for a in range(0, STEPS, width):
            m = a + width // 2
            fair[m] = 0.5 * (fair[a] + fair[a + width]) + spread * normal(draw(bits, m))
        spread *= 0.7071067811865476
        width //= 2
    for step in range(STEPS + 1):
        fair[step] = profile[ANCHOR] * power_of_two(fair[step])
    ticks: np.int64 = floor(0.014 * np.sqrt(mass) * fair[0] + 0.5)
    return max(np.int64(1), ticks)


@inlined
def best_bid(fair: Floats, spread: int, ms: int) -> np.int64:
    """Best bid in ticks at a millisecond of the minute; the best ask is ``spread`` ticks above. Never below 1."""
    step = ms // STEP_MS
    into = (ms - step * STEP_MS) / STEP_MS
    price = fair[step] + (fair[step + 1] - fair[step]) * into
    ticks: np.int64 = floor(price - 0.5 * spread + 0.5)
    return max(np.int64(1), ticks)


@inlined
def is_sweep(bits: np.uint64) -> bool:
    """Whether a trade belongs to the same taker's order as the one before."""
    return bool(field(bits, 8, 63) < 9)


@inlined
def gap_after(bits: np.uint64) -> np.int64:
    """Waiting time before a trade in parts of the minute's whole: mostly short, 43 times as long at most."""
    wait: np.int64 = 65_536 // (6 + field(bits, 0, 255))
    return wait


@inlined
def round_lots(lots: int) -> int:
    """The number of lots cut to its first digit, as people type it."""
    unit = 1
    while lots >= 10 * unit:
        unit *= 10
    return lots - lots % unit


@inlined
def fill_minute(
    key: np.uint64,
    minute: int,
    profile: Floats,
    quantiles: Floats,
    fair: Floats,
    mass: float,
    spread: int,
    count: int,
    price: Ints,
    size: Ints,
    ms: Ints,
    side: Sides,
    at: int,
) -> None:
    """Write the ``count`` trades of an epoch minute from place ``at`` on; times are ms into the minute."""
    family = draw(key, minute)
    whole = 0
    for i in range(count + 1):
        bits = draw(family, i)
        if not (i > 0 and i < count and is_sweep(bits)):
            whole += gap_after(bits)
    travelled = 0.0
    for step in range(STEPS):
        travelled += abs(fair[step + 1] - fair[step])
    lean = np.int64(70.0 * ((fair[STEPS] - fair[0]) / (travelled + 1.0)))
    # Sizes grow with the square root of the minute's volatility, as counts grow with volatility: volume does with both.
    usual = profile[MOVE] * profile[MOVE] * 2.0813689810056077 / MINUTES
    typical = profile[LOTS] * min(np.sqrt(np.sqrt(mass / usual)), 6.0)
    passed, deep, buys = 0, 0, 0
    for i in range(count):
        bits = draw(family, i)
        sweep = i > 0 and is_sweep(bits)
        if sweep:
            deep = min(deep + 1, 6)
        else:
            deep = 0
            passed += gap_after(bits)
            if i == 0 or field(bits, 14, 255) >= 110:
                buys = 1 if field(bits, 22, 255) < 128 + lean else 0
        now = passed * 60_000 // whole
        bid = best_bid(fair, spread, now)
        away = deep * max(1, spread // 2)
        price[at + i] = bid + spread + away if buys == 1 else max(1, bid - away)
        heavy = quantiles[field(bits, 30, 4095)]
        part = 0.03 + field(bits, 42, 1023) / 1024.0
        lots = 1 + floor(typical * heavy * part)
        size[at + i] = round_lots(lots) if field(bits, 52, 7) == 0 else lots
        ms[at + i] = now
        side[at + i] = buys


@kernel(
    "const u8[:]", "const f8[:]", "const f8[:]", "i8", "const f8[:]", "const f8[:]", "const i8[:]", "i8", "i8",
    "i8[:]", "i8[:]", "i8[:]", "u1[:]",
)  # fmt: skip
def fill_trades(
    keys: Keys,
    profile: Floats,
    quantiles: Floats,
    day: int,
    x: Floats,
    mass: Floats,
    first: Ints,
    start: int,
    stop: int,
    price: Ints,
    size: Ints,
    ts: Ints,
    side: Sides,
) -> None:
    """The trades of minutes ``start`` to ``stop`` of an epoch day; ``keys``: fair prices, trades. ``ts`` in ns."""
    fair = np.empty(STEPS + 1)
    for minute in range(start, stop):
        at, count = first[minute] - first[start], first[minute + 1] - first[minute]
        epoch = day * MINUTES + minute
        spread = fill_fair(keys[0], epoch, profile, x[minute], x[minute + 1], mass[minute], fair)
        fill_minute(keys[1], epoch, profile, quantiles, fair, mass[minute], spread, count, price, size, ts, side, at)
        for i in range(at, at + count):
            ts[i] = (epoch * 60_000 + ts[i]) * NS_PER_MS


@kernel(
    "const u8[:]", "const f8[:]", "const f8[:]", "i8", "const f8[:]", "const f8[:]", "const i8[:]", "i8", "i8",
    "i8[:,:]",
)  # fmt: skip
def fill_candles(
    keys: Keys,
    profile: Floats,
    quantiles: Floats,
    day: int,
    x: Floats,
    mass: Floats,
    first: Ints,
    start: int,
    stop: int,
    out: Ints,
) -> None:
    """Candles of the same minutes from the same trades.

    Rows of ``out``: open, high, low, close, volume, quote volume, taker buy volume, trades; a column for each minute.
    A minute without trades has zeros.
    """
    most = 0
    for minute in range(start, stop):
        most = max(most, first[minute + 1] - first[minute])
    price, size = np.empty(most, np.int64), np.empty(most, np.int64)
    ms, side = np.empty(most, np.int64), np.empty(most, np.uint8)
    fair = np.empty(STEPS + 1)
    for minute in range(start, stop):
        count = first[minute + 1] - first[minute]
        column = minute - start
        for row in range(8):
            out[row, column] = 0
        if count == 0:
            continue
        epoch = day * MINUTES + minute
        spread = fill_fair(keys[0], epoch, profile, x[minute], x[minute + 1], mass[minute], fair)
        fill_minute(keys[1], epoch, profile, quantiles, fair, mass[minute], spread, count, price, size, ms, side, 0)
        high = low = price[0]
        volume = quote = bought = 0
        for i in range(count):
            high = max(high, price[i])
            low = min(low, price[i])
            volume += size[i]
            quote += price[i] * size[i]
            if side[i] == 1:
                bought += size[i]
        out[0, column] = price[0]
        out[1, column] = high
        out[2, column] = low
        out[3, column] = price[count - 1]
        out[4, column] = volume
        out[5, column] = quote
        out[6, column] = bought
        out[7, column] = count
