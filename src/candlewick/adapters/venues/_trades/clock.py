"""Venue time as one connection shows it."""

import numpy as np
from numpy.typing import NDArray

I8 = NDArray[np.int64]

_LIMIT_NS = 60_000_000_000  # the data plane's law 5: under 60 s is no fault
_ADOPT_WITHIN_NS = 7 * 86_400_000_000_000
_ADOPT_AFTER = 5


class VenueClock:
    """Tells a clock that jumped from one that is merely off, and remembers the highest believable venue time.

    An event is believed when its time is not more than 60 s before the highest believed one and not more than 60 s
    ahead of where that one would be by now. So frames that waited in a socket while a laptop slept are believed, and a
    single wild time is not. Five events in a row that disagree with the past but agree with each other, and lie within
    a week of the receive time, are a new truth: the machine's clock was set, or is wrong.
    """

    __slots__ = ("_agreeing", "_candidate", "_offset", "frontier", "is_adopted")

    def __init__(self) -> None:
        self.frontier = 0
        self.is_adopted = False
        self._offset = 0
        self._candidate = 0
        self._agreeing = 0

    def checkpoint(self) -> tuple[int, int]:
        """What ``restore`` needs to go on as if nothing had happened."""
        return self.frontier, self._offset

    def restore(self, saved: tuple[int, int]) -> None:
        self.frontier, self._offset = saved

    def accepts(self, ts_event: int, ts_recv: int) -> bool:
        """Whether the time is believable; if so it may move ``frontier`` (ns, never back except by adoption)."""
        frontier = self.frontier
        if frontier:
            expected = ts_recv + self._offset
            ahead = max(expected, frontier)
            good = frontier - _LIMIT_NS < ts_event < ahead + _LIMIT_NS
        else:
            good = -_LIMIT_NS < ts_event - ts_recv < _LIMIT_NS
        if good:
            self._agreeing = 0
            if ts_event > frontier:
                self.frontier = ts_event
                self._offset = ts_event - ts_recv
            return True
        return self._adopts(ts_event, ts_recv)

    def _adopts(self, ts_event: int, ts_recv: int) -> bool:
        if not -_ADOPT_WITHIN_NS < ts_event - ts_recv < _ADOPT_WITHIN_NS:
            return False
        self._agreeing = self._agreeing + 1 if abs(ts_event - self._candidate) < _LIMIT_NS else 1
        self._candidate = ts_event
        if self._agreeing < _ADOPT_AFTER:
            return False
        self.frontier = ts_event
        self._offset = ts_event - ts_recv
        self._agreeing = 0
        self.is_adopted = True
        return True

    def accepts_all(self, first: int, lowest: int, highest: int, first_recv: int, recv_of_highest: int) -> bool:
        """Whether ``accepts`` would believe each of many event times; if so as if it had, else no change.

        Given are their first, lowest and highest, and when the first and the (first) highest were received, all in ns.
        It asks for a little more than ``accepts`` does, so that the answer does not depend on the events in between.
        """
        frontier = self.frontier
        if frontier:
            begins = frontier - _LIMIT_NS < first < max(first_recv + self._offset, frontier) + _LIMIT_NS
        else:
            begins = -_LIMIT_NS < first - first_recv < _LIMIT_NS
        if not begins or lowest <= max(frontier, highest) - _LIMIT_NS or highest >= max(frontier, first) + _LIMIT_NS:
            return False
        if highest > frontier:
            self.frontier = highest
            self._offset = highest - recv_of_highest
        self._agreeing = 0
        return True
