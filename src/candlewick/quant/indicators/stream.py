"""An indicator fed one bar at a time, bit for bit equal to ``compute`` over all of them at once."""

import numpy as np

from candlewick.quant.indicators.errors import BadInput
from candlewick.quant.indicators.spec import BoundIndicator


class IndicatorStream:
    """The running state of one indicator over one series of bars. Not for two threads at once.

    Bars come oldest first; a bar with a NaN is a gap. About 3 us a bar.
    """

    def __init__(self, bound: BoundIndicator) -> None:
        self.bound = bound
        self._state = np.zeros(bound.spec.state_size(*bound.values))
        self._params = np.array(bound.values, dtype=np.float64)
        self._params.setflags(write=False)
        self._times = np.zeros(1, dtype=np.int64)
        self._bar = np.zeros((5, 1))
        self._out = np.empty((len(bound.spec.outputs), 1))
        times, bar = self._times.view(), self._bar.view()
        times.setflags(write=False)
        bar.setflags(write=False)
        self._inputs = (times, *(bar[row] for row in range(5)))

    def update(
        self, open_time: int, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        """Take a finished bar; return the value of every output at it, NaN where there is none."""
        self._times[0] = open_time
        self._bar[:, 0] = (open_, high, low, close, volume)
        self.bound.spec.advance(self._state, self._params, *self._inputs, self._out)
        return tuple(self._out[:, 0].tolist())

    def peek(
        self, open_time: int, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        """What ``update`` would return for this bar, without taking it: for the candle that is still open."""
        kept = self._state.copy()
        values = self.update(open_time, open_, high, low, close, volume)
        self._state[:] = kept
        return values

    def reset(self) -> None:
        """Forget every bar."""
        self._state[:] = 0.0

    def snapshot(self) -> bytes:
        """The state as little-endian float64 bytes; ``restore`` goes on from it to the same bits."""
        return self._state.astype("<f8").tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of the same indicator with the same parameters; else ``BadInput``."""
        if len(snapshot) != self._state.nbytes:
            raise BadInput(f"a snapshot of {self.bound.key} has {self._state.nbytes} bytes, was {len(snapshot)!r}")
        self._state[:] = np.frombuffer(snapshot, dtype="<f8")
