"""Relative strength index after Wilder (1978): ``100 * gain / (gain + loss)`` of averaged gains and losses of closes.

The averages are seeded by the simple mean of the first ``window`` changes and go on as
``(previous * (window - 1) + x) / window``, as in TA-Lib; the first value is at bar ``window``. Where nothing moved
(gain and loss both 0) the value is 50, neither strong nor weak: TA-Lib says 0 there and others 100, which would call a
dead market oversold or overbought. A gap clears the averages and the previous close.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.spec import ADVANCE, MAX_WINDOW, Floats, IndicatorSpec, Millis, Output, Param
from candlewick.quant.indicators.windows import is_number, wilder, wilder_memory


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
        x = close[i]
        out[0, i] = np.nan
        if not is_number(x):
            state[:] = 0.0
            continue
        if state[0] > 0.0:
            change = x - state[1]
            gain = wilder(state, 2, window, max(change, 0.0))
            loss = wilder(state, 4, window, max(-change, 0.0))
            if is_number(gain):
                moved = gain + loss
                out[0, i] = 100.0 * (gain / moved) if moved > 0.0 else 50.0
        state[0] = 1.0
        state[1] = x


SPEC = IndicatorSpec(
    name="rsi",
    title="Relative strength index",
    pane="own",
    params=(Param("window", 14, 1, MAX_WINDOW),),
    inputs=("close",),
    outputs=(Output("rsi", "RSI"),),
    lookback=lambda window: (window,),
    memory=wilder_memory,
    state_size=lambda window: 6,
    advance=advance,
    gap="A gap clears the averages; the first change after it is taken from the first close after it.",
    levels=(30.0, 70.0),
)
