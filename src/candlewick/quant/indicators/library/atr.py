"""Average true range after Wilder: the true range averaged as ``(previous * (window - 1) + range) / window``.

The true range starts at the second bar (the first has no previous close) and the average is seeded by the simple mean
of the first ``window`` ranges, as in TA-Lib: first value at bar ``window``. A gap clears both.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, MAX_WINDOW, Floats, IndicatorSpec, Millis, Output, Param
from candlewick.quant.indicators.windows import is_number, range_with_previous, wilder, wilder_memory


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
        out[0, i] = np.nan
        if not (is_number(high[i]) and is_number(low[i]) and is_number(close[i])):
            state[:] = 0.0
            continue
        if state[0] > 0.0:
            out[0, i] = wilder(state, 2, window, range_with_previous(high[i], low[i], state[1]))
        state[0] = 1.0
        state[1] = close[i]


SPEC = IndicatorSpec(
    name="atr",
    title="Average true range",
    pane="own",
    params=(Param("window", 14, 1, MAX_WINDOW),),
    inputs=("high", "low", "close"),
    outputs=(Output("atr", "ATR"),),
    lookback=lambda window: (window,),
    memory=wilder_memory,
    state_size=lambda window: 4,
    advance=advance,
    gap="A gap clears the average and the previous close; it is seeded anew.",
)
