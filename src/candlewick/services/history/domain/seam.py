"""Watches the minutes that arrive: each must follow the one before, and be whole."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from candlewick.contracts.stream import GAPPED, CandleColumns
from candlewick.services.history.domain.gaps import MINUTE_NS, MINUTE_S

_JOIN_NS = 10 * MINUTE_NS


class Hole(NamedTuple):
    """Minutes that did not come (``is_absent``) or came gapped, or a time in which trades are missing."""

    start_ns: int
    end_ns: int
    reason: str
    is_absent: bool = False


class Seam:
    """The newest final minute of each symbol; knows only what it was told."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], int] = {}
        self._joined: set[tuple[str, str]] = set()

    def knows(self, exchange: str, symbol: str) -> bool:
        return (exchange, symbol) in self._newest

    def forget(self) -> None:
        """What was seen may not have been stored, or others go on with it."""
        self._newest.clear()
        self._joined.clear()

    def has_joined(self, exchange: str, symbol: str) -> bool:
        """Whether it is known what lies before the symbol's first rows since the start."""
        return (exchange, symbol) in self._joined or self.knows(exchange, symbol)

    def join(self, exchange: str, symbol: str, newest_ns: int, first_ns: int) -> list[Hole]:
        """The minutes between the newest that is stored and the one that a live row falls into: those that closed
        between the fetch and the feed's beginning. Many are a fetch that is still to come, and looked at behind it."""
        begin, end = newest_ns + MINUTE_NS, first_ns // MINUTE_NS * MINUTE_NS
        if end - begin > _JOIN_NS:
            return []
        self._joined.add((exchange, symbol))
        return [Hole(begin, end, "downtime", True)] if begin < end else []

    def begin(self, exchange: str, symbol: str, newest_ns: int) -> None:
        """The newest stored minute, when nothing was seen of the symbol yet."""
        self._newest.setdefault((exchange, symbol), newest_ns)

    def pass_over(self, exchange: str, symbol: str, columns: CandleColumns, *, is_first: bool) -> list[Hole]:
        """Minutes that are missing before or between these rows, or gapped. ``is_first``: these are the symbol's first
        rows since the start, so what is missing before them was missed while nothing ran."""
        fresh = np.flatnonzero((columns.timeframe == MINUTE_S) & (columns.revision == 0))
        key = (exchange, symbol)
        holes: list[Hole] = []
        for at in fresh.tolist():
            opens = int(columns.open_time[at])
            newest = self._newest.get(key)
            if newest is not None and opens > newest + MINUTE_NS:
                holes.append(Hole(newest + MINUTE_NS, opens, "downtime" if is_first else "no_data", True))
            if columns.flags[at] & GAPPED:
                holes.append(Hole(opens, opens + MINUTE_NS, "joined_late" if is_first else "no_data"))
            self._newest[key] = max(opens, opens if newest is None else newest)
            is_first = False
        return holes


def joined(holes: Iterable[Hole]) -> list[Hole]:
    """Neighbours as one; absent minutes give their reason, since gapped ones beside them are their consequence."""
    out: list[Hole] = []
    for hole in holes:
        if out and out[-1].end_ns == hole.start_ns:
            reason = out[-1].reason if out[-1].is_absent or not hole.is_absent else hole.reason
            out[-1] = Hole(out[-1].start_ns, hole.end_ns, reason, out[-1].is_absent or hole.is_absent)
        else:
            out.append(hole)
    return out
