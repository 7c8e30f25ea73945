"""True range (Wilder): the widest of high - low, high - previous close and previous close - low.

The first bar, and the first after a gap, has no previous close and so no value, as in TA-Lib; some libraries write
high - low there.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, Floats, IndicatorSpec, Millis, Output
from candlewick.quant.indicators.windows import is_number, range_with_previous


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
        if not (is_number(high[i]) and is_number(low[i]) and is_number(close[i])):
            state[:] = 0.0
            continue
        if state[0] > 0.0:
            out[0, i] = range_with_previous(high[i], low[i], state[1])
        state[0] = 1.0
        state[1] = close[i]


SPEC = IndicatorSpec(
    name="true_range",
    title="True range",
    pane="own",
    params=(),
    inputs=("high", "low", "close"),
    outputs=(Output("true_range", "True range"),),
    lookback=lambda: (1,),
    state_size=lambda: 2,
    advance=advance,
    gap="The first bar after a gap has no previous close and no value.",
    aliases=("tr",),
)
