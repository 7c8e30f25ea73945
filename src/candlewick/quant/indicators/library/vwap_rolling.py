"""Volume-weighted average price of the last ``window`` bars, each with its typical price (high + low + close) / 3.

First value at bar ``window - 1``, NaN while nothing has traded in the window. A gap empties the window. Fed with
high = low = close it is the volume-weighted moving average of closes.
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
    money = state[1 : 1 + 2 * window]
    sizes = state[1 + 2 * window :]
    for i in range(close.size):
        out[0, i] = np.nan
        if not (is_number(high[i]) and is_number(low[i]) and is_number(close[i]) and is_number(volume[i])):
            used = 0
            continue
        push(money, used, window, ((high[i] + low[i] + close[i]) / 3.0) * volume[i])
        used = push(sizes, used, window, volume[i])
        if used < window:
            continue
        traded = lane_sum(sizes, used - window, window)
        if traded > 0.0:
            out[0, i] = lane_sum(money, used - window, window) / traded
    state[0] = used


SPEC = IndicatorSpec(
    name="vwap_rolling",
    title="Volume-weighted average price, rolling",
    pane="price",
    params=(Param("window", 20, 1, MAX_WINDOW),),
    inputs=("high", "low", "close", "volume"),
    outputs=(Output("vwap", "Rolling VWAP"),),
    lookback=lambda window: (window - 1,),
    state_size=lambda window: 1 + 4 * window,
    advance=advance,
    gap="A gap empties the window; the next value comes after a full window.",
    aliases=("vwma",),
)
