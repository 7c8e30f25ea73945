"""Standard deviation of the last ``window`` closes.

``sample`` 0 divides by ``window`` (the population's, TA-Lib's STDDEV and the default), 1 by ``window - 1``
(Bessel's correction). Taken in two passes over the window, mean first, so a large price with a small spread loses no
digits. First value at bar ``window - 1``. A gap empties the window.
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
    divisor = window - params[1]
    used = int(state[0])
    buffer = state[1:]
    for i in range(close.size):
        used = push(buffer, used, window, close[i]) if is_number(close[i]) else 0
        if used < window:
            out[0, i] = np.nan
            continue
        mean = lane_sum(buffer, used - window, window) / window
        out[0, i] = np.sqrt(lane_square_sum(buffer, used - window, window, mean) / divisor)
    state[0] = used


SPEC = IndicatorSpec(
    name="stddev",
    title="Standard deviation",
    pane="own",
    params=(Param("window", 20, 2, MAX_WINDOW), Param("sample", 0, 0, 1)),
    inputs=("close",),
    outputs=(Output("stddev", "Standard deviation"),),
    lookback=lambda window, sample: (window - 1,),
    state_size=lambda window, sample: 1 + 2 * window,
    advance=advance,
    gap="A gap empties the window; the next value comes after a full window.",
)
