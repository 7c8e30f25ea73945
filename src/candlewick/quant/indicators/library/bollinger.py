"""Bollinger bands: the simple moving average of closes and ``deviations`` standard deviations above and below it.

The deviation is the population's (divided by ``window``), as Bollinger defines the bands and TA-Lib computes them;
taken in two passes over the window, mean first. First values at bar ``window - 1``. A gap empties the window.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, MAX_WINDOW, Floats, IndicatorSpec, Millis, Output, Param
from candlewick.quant.indicators.windows import is_number, lane_square_sum, lane_sum, push


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
    deviations = params[1]
    used = int(state[0])
    buffer = state[1:]
    for i in range(close.size):
        used = push(buffer, used, window, close[i]) if is_number(close[i]) else 0
        if used < window:
            out[0, i] = np.nan
            out[1, i] = np.nan
            out[2, i] = np.nan
            continue
        mean = lane_sum(buffer, used - window, window) / window
        width = deviations * np.sqrt(lane_square_sum(buffer, used - window, window, mean) / window)
        out[0, i] = mean + width
        out[1, i] = mean
        out[2, i] = mean - width
    state[0] = used


SPEC = IndicatorSpec(
    name="bollinger",
    title="Bollinger bands",
    pane="price",
    params=(Param("window", 20, 2, MAX_WINDOW), Param("deviations", 2.0, 0.1, 10.0, "float")),
    inputs=("close",),
    outputs=(Output("upper", "Upper band"), Output("middle", "Middle band"), Output("lower", "Lower band")),
    lookback=lambda window, deviations: (window - 1,) * 3,
    state_size=lambda window, deviations: 1 + 2 * window,
    advance=advance,
    gap="A gap empties the window; the next values come after a full window.",
    aliases=("bb",),
)
