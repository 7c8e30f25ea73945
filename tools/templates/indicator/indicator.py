"""$Title: the change of the close over the last ``window`` bars.

First value at bar ``window``. A gap empties the window.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, MAX_WINDOW, Floats, IndicatorSpec, Millis, Output, Param
from candlewick.quant.indicators.windows import is_number


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
    used = int(state[0])  # closes since the last gap
    ring = state[1:]
    for i in range(close.size):
        if not is_number(close[i]):
            used = 0
            out[0, i] = np.nan
            continue
        place = used % window
        out[0, i] = close[i] - ring[place] if used >= window else np.nan
        ring[place] = close[i]
        used += 1
    state[0] = used


SPEC = IndicatorSpec(
    name="$name",
    title="$Title",
    pane="own",
    params=(Param("window", 10, 1, MAX_WINDOW),),
    inputs=("close",),
    outputs=(Output("$name", "$Title"),),
    lookback=lambda window: (window,),
    state_size=lambda window: 1 + window,
    advance=advance,
    gap="A gap empties the window; the next value comes after a full window.",
)
