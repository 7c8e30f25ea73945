"""Where the price is at every minute, and how much happens in it.

Time is cut into blocks of 32 days. The log2 price at block borders is a fading sum of past shocks, so it is stationary
around the anchor and needs no history. Inside, block, day and minute are halved again and again: a node's variance is
shared between its halves at random (a multiplicative cascade, which clusters volatility at every scale and makes heavy
tails), in proportion to the hour's usual activity and to news; the price at the middle is the bridge between the ends
plus a shock of that variance. Shocks and cascade mix a common and an own part, so symbols move and calm down together.

Trade ids are dense because each block has a fixed number of trades, shared out over its days and minutes by cumulative
activity: the first id of any minute is known without counting.
"""

import numpy as np

from candlewick.quant.compiled import inlined, kernel
from candlewick.quant.market_model.chance import draw, field, floor, normal, power_of_two, uniform
from candlewick.quant.market_model.columns import Floats, Ints, Keys

DAYS = 32
MINUTES = 1440

# Places in SymbolProfile.numbers().
ANCHOR, MOVE, SHARE, RATE, LOTS = range(5)

# Activity of each UTC hour in percent of the mean, interpolated between hours: Asia's morning, then Europe and the US.
HOURS = np.array(
    [92, 88, 84, 80, 76, 76, 80, 90, 102, 106, 104, 102, 108, 126, 142, 146, 136, 120, 108, 102, 98, 96, 98, 96],
    dtype=np.float64,
)

_FADE = 0.85  # per block: half of a shock is gone after 4.3 blocks, about 4.5 months
_TERMS = 24  # 0.85**24 = 0.02
_SPREAD = 0.88  # log2 ratio of the halves' variance, standard deviation at each halving
_COMMON, _OWN = 0.9, 0.43588989  # of the cascade; squares add to 1
_RESTLESS = 1 << 40  # beyond the numbers of the nodes
_TO_LOG2 = 1.4426950408889634


@inlined
def news_of_day(key: np.uint64, day: int, chance: float) -> tuple[int | np.int64, float]:
    """Minute and force of the day's news for one family; force 0 on most days. Force is in mean minutes' variance."""
    bits = draw(key, day)
    if uniform(bits) >= chance:
        return 0, 0.0
    more = draw(bits, 1)
    force = 45.0 / np.sqrt(uniform(draw(bits, 2)) + 0.004)
    return 30 + field(more, 0, 1023) + field(more, 10, 255), force


@inlined
def halt_of_week(key: np.uint64, week: int) -> tuple[np.int64, np.int64, np.int64]:
    """Day, first minute of the day and length in minutes of the venue's planned halt in a week of epoch days."""
    bits = draw(key, week)
    day = week * 7 + field(bits, 8, 0xFFFF) % 7
    minute = 60 + field(bits, 24, 0xFFFF) % 1300
    return day, minute, 8 + field(bits, 40, 0xFFFF) % 23


@inlined
def day_weight(common: np.uint64, own: np.uint64, day: int) -> float:
    """Usual variance of a day: less at weekends, more on days with news. 1970-01-01 was a Thursday."""
    weekday = (day + 3) % 7
    weight = 0.62 if weekday >= 5 else 1.15
    _, shared = news_of_day(common, day, 0.22)
    _, single = news_of_day(own, day, 0.14)
    return float(weight * (1.0 + (shared + single) / 600.0))


@inlined
def level_at(key: np.uint64, block: int) -> float:
    """The stationary part of a log price at a block's first instant: mean 0, variance 1."""
    total, weight = 0.0, 0.5267826876426369  # sqrt(1 - 0.85**2)
    for back in range(_TERMS):
        total += weight * normal(draw(key, block - back))
        weight *= _FADE
    return total


@inlined
def halve(
    common: np.uint64, own: np.uint64, node: int, share: float, left: float, right: float, mass: float, w: float
) -> tuple[float, float]:
    """Price in the middle of a node and variance of its left half; ``w`` is the left half's usual share."""
    a, b = draw(common, node), draw(own, node)
    ratio = power_of_two(_SPREAD * (_COMMON * normal(draw(a, 1)) + _OWN * normal(draw(b, 1))))
    part = w * ratio / (w * ratio + (1.0 - w))
    shock = share * normal(a) + np.sqrt(1.0 - share * share) * normal(b)
    middle = left + (right - left) * part + np.sqrt(mass * part * (1.0 - part)) * shock
    return middle, mass * part


@kernel("const u8[:]", "const f8[:]", "i8", "f8[:]", "f8[:]", "i8[:]")
def fill_block(keys: Keys, profile: Floats, block: int, x: Floats, mass: Floats, first: Ints) -> None:
    """Prices, variances and first trade ids of the days of a block.

    ``keys``: common level, own level, common cascade, own cascade, common news, own news. Out: ``x[33]`` log2 of price
    over anchor at day borders, ``mass[32]`` variance of each day (log2 squared), ``first[33]`` first trade ids.
    """
    share = profile[SHARE]
    rest = np.sqrt(1.0 - share * share)
    sigma = profile[MOVE] * _TO_LOG2
    # sqrt(32) days' move is what a border's level moves: sqrt(2 * (1 - 0.85)) of its deviation
    scale = 10.33 * sigma
    for end in range(2):
        common, own = level_at(keys[0], block + end), level_at(keys[1], block + end)
        x[end * DAYS] = scale * (share * common + rest * own)
    shared, single = normal(draw(keys[2], _RESTLESS + block)), normal(draw(keys[3], _RESTLESS + block))
    restless = power_of_two(0.5 * (_COMMON * shared + _OWN * single))
    usual = np.empty(DAYS + 1)
    usual[0] = 0.0
    for day in range(DAYS):
        usual[day + 1] = usual[day] + day_weight(keys[4], keys[5], block * DAYS + day)
    mass[0] = sigma * sigma * DAYS * restless
    width = DAYS
    while width > 1:
        for a in range(0, DAYS, width):
            m, b = a + width // 2, a + width
            w = (usual[m] - usual[a]) / (usual[b] - usual[a])
            middle, part = halve(keys[2], keys[3], block * DAYS + m, share, x[a], x[b], mass[a], w)
            x[m] = middle
            mass[m] = mass[a] - part
            mass[a] = part
        width //= 2
    busy = np.empty(DAYS + 1)
    busy[0] = 0.0
    for day in range(DAYS):
        busy[day + 1] = busy[day] + 0.3 + np.sqrt(mass[day] / (sigma * sigma))
    count = profile[RATE] * MINUTES * DAYS
    for day in range(DAYS + 1):
        first[day] = 1 + block * np.int64(count) + floor(count * (busy[day] / busy[DAYS]))


@kernel("const u8[:]", "const f8[:]", "const f8[:]", "i8", "f8", "f8", "f8", "i8", "i8", "f8[:]", "f8[:]", "i8[:]")
def fill_day(
    keys: Keys,
    profile: Floats,
    hours: Floats,
    day: int,
    x_open: float,
    x_close: float,
    day_mass: float,
    first_id: int,
    next_id: int,
    x: Floats,
    mass: Floats,
    first: Ints,
) -> None:
    """Prices, variances and first trade ids of the minutes of an epoch day.

    ``keys`` as in ``fill_block``, then the cascade within days (common, own) and the halts. Out: ``x[1441]``,
    ``mass[1440]``, ``first[1441]``; a halted minute has no ids of its own.
    """
    usual = np.empty(MINUTES + 1)
    weight = np.empty(MINUTES)
    for minute in range(MINUTES):
        hour = minute // 60
        into = (minute - hour * 60) / 60.0
        weight[minute] = hours[hour] + (hours[(hour + 1) % 24] - hours[hour]) * into
    for family in range(2):
        at, force = news_of_day(keys[4 + family], day, 0.22 if family == 0 else 0.14)
        if force > 0.0:
            weight[at] += 100.0 * force
            for after in range(1, min(240, MINUTES - at)):
                slow = 1.0 + after / 6.0
                weight[at + after] += 100.0 * force * 0.22 / (slow * slow)
    usual[0] = 0.0
    for minute in range(MINUTES):
        usual[minute + 1] = usual[minute] + weight[minute]
    x[0] = x_open
    x[MINUTES] = x_close
    mass[0] = day_mass
    share = profile[SHARE]
    # Halves of 1440: depth first, at most eleven open right halves.
    ends = np.empty(16, np.int64)
    depth = 0
    ends[0] = MINUTES
    a = 0
    while a < MINUTES:
        b = ends[depth]
        if b - a == 1:
            a = b
            depth -= 1
            continue
        m = (a + b) // 2
        w = (usual[m] - usual[a]) / (usual[b] - usual[a])
        middle, part = halve(keys[6], keys[7], day * MINUTES + m, share, x[a], x[b], mass[a], w)
        x[m] = middle
        mass[m] = mass[a] - part
        mass[a] = part
        depth += 1
        ends[depth] = m
    halted, start, length = halt_of_week(keys[8], day // 7)
    busy = np.empty(MINUTES + 1)
    busy[0] = 0.0
    for minute in range(MINUTES):
        active = 0.33 + np.sqrt(mass[minute] * MINUTES / day_mass)
        if day == halted and start <= minute < start + length:
            active = 0.0
        busy[minute + 1] = busy[minute] + active
    count = next_id - first_id
    for minute in range(MINUTES + 1):
        first[minute] = first_id + floor(count * (busy[minute] / busy[MINUTES]))
