"""Simple moving average: the mean of the last ``window`` closes (TA-Lib's SMA).

First value at bar ``window - 1``. A gap empties the window.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, MAX_WINDOW, Floats, IndicatorSpec, Millis, Output, Param
from candlewick.quant.indicators.windows import is_number, lane_sum, push


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
    window = int(params[0])
    used = int(state[0])
    buffer = state[1:]
    for i in range(close.size):
        if not is_number(close[i]):
            used = 0
            out[0, i] = np.nan
            continue
        used = push(buffer, used, window, close[i])
        out[0, i] = lane_sum(buffer, used - window, window) / window if used >= window else np.nan
    state[0] = used


SPEC = IndicatorSpec(
    name="sma",
    title="Simple moving average",
    pane="price",
    params=(Param("window", 20, 1, MAX_WINDOW),),
    inputs=("close",),
    outputs=(Output("sma", "SMA"),),
    lookback=lambda window: (window - 1,),
    state_size=lambda window: 1 + 2 * window,
    advance=advance,
    gap="A gap empties the window; the next value comes after a full window.",
)
