"""Moving average convergence divergence: fast EMA - slow EMA of closes, an EMA of that as signal, and their difference.

Both averages are the ``ema`` indicator to the bit: each is seeded by the mean of its own first window, and the signal
by the mean of the first ``signal`` values of the line. (TA-Lib seeds the fast average later, on the last ``fast``
closes of the slow window; the two agree once the seeds are forgotten.) The line begins at bar ``slow - 1``, signal and
histogram at bar ``slow + signal - 2``. A gap clears all three.
"""

import numpy as np

from candlewick.quant.compiled import kernel
from candlewick.quant.indicators.errors import BadParameter
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
    fast = int(params[0])
    slow = int(params[1])
    signal = int(params[2])
    for i in range(close.size):
        out[0, i] = np.nan
        out[1, i] = np.nan
        out[2, i] = np.nan
        if not is_number(close[i]):
            state[:] = 0.0
            continue
        quick = exponential(state, 0, fast, close[i])
        line = exponential(state, 2, slow, close[i])
        if not is_number(line):
            continue
        line = quick - line
        smooth = exponential(state, 4, signal, line)
        out[0, i] = line
        out[1, i] = smooth
        out[2, i] = line - smooth


def _check(fast: int, slow: int, signal: int) -> None:
    if fast >= slow:
        raise BadParameter(f"fast must be smaller than slow ({slow}), was {fast!r}")


SPEC = IndicatorSpec(
    name="macd",
    title="Moving average convergence divergence",
    pane="own",
    params=(
        Param("fast", 12, 1, MAX_WINDOW - 1),
        Param("slow", 26, 2, MAX_WINDOW),
        Param("signal", 9, 1, MAX_WINDOW),
    ),
    inputs=("close",),
    outputs=(
        Output("macd", "MACD"),
        Output("signal", "Signal"),
        Output("histogram", "Histogram", "histogram"),
    ),
    lookback=lambda fast, slow, signal: (slow - 1, slow + signal - 2, slow + signal - 2),
    memory=lambda fast, slow, signal: exponential_memory(slow) + exponential_memory(signal),
    state_size=lambda fast, slow, signal: 6,
    check=_check,
    advance=advance,
    gap="A gap clears the averages; they are seeded anew.",
    levels=(0.0,),
)
