"""Volume-weighted average price of the day so far, anchored at 00:00 UTC.

Every bar adds its typical price ``(high + low + close) / 3`` times its volume; the day is that of the bar's open time.
Both sums are compensated (Neumaier), so a day of one-second bars loses no digits. Before anything has traded in the day
the value is NaN. A bar that is a gap has no value and adds nothing: the day goes on without it, since one missing bar
shifts the average only by its share of the day's volume. A series that begins in mid-day counts from its first bar;
load from midnight (``BoundIndicator.history_from``) for the day's true average.
"""

import numpy as np

from candlewick.quant.compiled import inlined, kernel
from candlewick.quant.indicators.spec import ADVANCE, Floats, IndicatorSpec, Millis, Output
from candlewick.quant.indicators.windows import is_number

DAY_MS = 86_400_000


@inlined
def add_compensated(state: Floats, at: int, x: float) -> None:
    """Add to the sum at ``state[at]``, keeping what rounding loses in ``state[at + 1]``."""
    total = state[at]
    new = total + x
    if abs(total) >= abs(x):
        state[at + 1] += (total - new) + x
    else:
        state[at + 1] += (x - new) + total
    state[at] = new


@kernel(*ADVANCE)
def advance(
    state: Floats,
    params: Floats,
    open_time: Millis,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    out: Floats,
) -> None:
    for i in range(close.size):
        out[0, i] = np.nan
        if not (is_number(high[i]) and is_number(low[i]) and is_number(close[i]) and is_number(volume[i])):
            continue
        day = open_time[i] // DAY_MS
        if state[0] == 0.0 or state[1] != day:
            state[:] = 0.0
            state[0] = 1.0
            state[1] = day
        typical = (high[i] + low[i] + close[i]) / 3.0
        add_compensated(state, 2, typical * volume[i])
        add_compensated(state, 4, volume[i])
        traded = state[4] + state[5]
        if traded > 0.0:
            out[0, i] = (state[2] + state[3]) / traded


SPEC = IndicatorSpec(
    name="vwap",
    title="Volume-weighted average price, day",
    pane="price",
    params=(),
    inputs=("open_time", "high", "low", "close", "volume"),
    outputs=(Output("vwap", "VWAP"),),
    lookback=lambda: (0,),
    state_size=lambda: 6,
    advance=advance,
    gap="A gap has no value and adds nothing; the day's average goes on without it.",
    anchored=True,
)
