"""Best bid and ask, conflated: the newest wins, at most one message per interval."""

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

    def flush(self, ts_recv: int, sink: Sink) -> None:
        """Hand over the newest quote if it changed and the interval has passed."""
        if self._changed and ts_recv >= self._due and self._quote is not None:
            self._changed = False
            self._due = ts_recv + self.every_ns
            sink.message(QuoteUpdated(self.exchange, self.symbol, *self._quote, self.origin), ts_recv)
