"""Best bid and ask, conflated: the newest wins, at most one message per interval."""

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin
from candlewick.contracts.collector import QuoteUpdated
from candlewick.ports.venue import Sink


class QuoteConflator:
    """Keeps the newest quote of a symbol and hands it over at most every ``every_ns``; the last is never withheld."""

    __slots__ = ("_changed", "_due", "_quote", "every_ns", "exchange", "origin", "symbol")

    def __init__(self, exchange: str, symbol: str, *, every_ns: int, origin: Origin) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self.every_ns = every_ns
        self.origin = origin
        self._quote: tuple[int, int, int, int, int, int] | None = None
        self._changed = False
        self._due = 0

    def set(self, price_scale: int, size_scale: int, bid: int, bid_size: int, ask: int, ask_size: int) -> None:
        quote = (price_scale, size_scale, bid, bid_size, ask, ask_size)
        if quote != self._quote:
            self._quote = quote
            self._changed = True

    def set_many(
        self, price_scale: int, size_scale: int, quotes: NDArray[np.int64], recvs: NDArray[np.int64], sink: Sink
    ) -> None:
        """As ``set`` and ``flush`` for each row (bid, its size, ask, its size) at its receive time, in order."""
        count = len(quotes)
        moves = np.empty(count, np.bool_)
        moves[0] = self._quote != (price_scale, size_scale, *quotes[0].tolist())
        np.any(quotes[1:] != quotes[:-1], axis=1, out=moves[1:])
        moved = np.flatnonzero(moves)
        at = 0
        while True:
            if not self._changed:
                after = int(np.searchsorted(moved, at))
                if after == len(moved):
                    break
                at = int(moved[after])
            row = max(at, int(np.searchsorted(recvs, self._due)))
            if row >= count:
                self._changed = True
                break
            bid, bid_size, ask, ask_size = quotes[row].tolist()
            self._quote = (price_scale, size_scale, bid, bid_size, ask, ask_size)
            self._show(int(recvs[row]), sink)
            at = row + 1
        bid, bid_size, ask, ask_size = quotes[-1].tolist()
        self._quote = (price_scale, size_scale, bid, bid_size, ask, ask_size)

    @property
    def has_news(self) -> bool:
        """Whether the newest quote has not been handed over yet."""
        return self._changed

    def flush(self, ts_recv: int, sink: Sink) -> None:
        """Hand over the newest quote if it changed and the interval has passed."""
        if self._changed and ts_recv >= self._due:
            self._show(ts_recv, sink)

    def _show(self, ts_recv: int, sink: Sink) -> None:
        assert self._quote is not None
        self._changed = False
        self._due = ts_recv + self.every_ns
        sink.message(QuoteUpdated(self.exchange, self.symbol, *self._quote, self.origin), ts_recv)
