"""Exponential moving average of closes with weight ``2 / (window + 1)``.

Seeded, as TA-Lib does, by the simple mean of the first ``window`` closes, which is the first value (bar
``window - 1``); other libraries start from the first close and differ until the seed is forgotten. Each step is
``ema += weight * (close - ema)``. A gap clears the average: the next window seeds a new one.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, MAX_WINDOW, Floats, IndicatorSpec, Millis, Output, Param
from candlewick.quant.indicators.windows import exponential, exponential_memory, is_number


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
    for i in range(close.size):
        if is_number(close[i]):
            out[0, i] = exponential(state, 0, window, close[i])
        else:
            state[:] = 0.0
            out[0, i] = np.nan


SPEC = IndicatorSpec(
    name="ema",
    title="Exponential moving average",
    pane="price",
    params=(Param("window", 20, 1, MAX_WINDOW),),
    inputs=("close",),
    outputs=(Output("ema", "EMA"),),
    lookback=lambda window: (window - 1,),
    memory=exponential_memory,
    state_size=lambda window: 2,
    advance=advance,
    gap="A gap clears the average; it is seeded anew by the next full window.",
)
