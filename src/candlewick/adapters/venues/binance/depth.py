"""Binance's rules for a local book: diffs, a REST snapshot, and the numbers that must join.

Source: binance-spot-api-docs, ``web-socket-streams.md``, "How to manage a local order book correctly".
"""

from collections import deque
from collections.abc import Callable

from candlewick.adapters.venues._books.book import Book
from candlewick.adapters.venues.binance.instruments import WIRE_SCALE
from candlewick.adapters.venues.binance.numbers import EXACT_BELOW, WIRE, divisor_for
from candlewick.adapters.venues.binance.wire import DepthSnapshot, DepthUpdate
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import BookUpdated
from candlewick.ports.venue import Sink

_PENDING = 1200  # two minutes of diffs at 100 ms; beyond it the oldest go and a newer snapshot is needed
Mantissas = Callable[[float, float], tuple[int, int]]


class DepthBook:
    """One symbol's book. ``wants_snapshot`` asks its owner for the REST snapshot; ``snapshot`` brings it."""

    def __init__(self, exchange: str, symbol: str, *, levels: int, every_ns: int, origin: Origin) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self.levels = levels
        self.every_ns = every_ns
        self.origin = origin
        self.scales = (WIRE_SCALE, WIRE_SCALE)
        self._synced = False
        self.wants_snapshot = False
        self.resyncs = 0
        self._book = Book()
        self._pending: deque[DepthUpdate] = deque(maxlen=_PENDING)
        self._changed = False
        self._due = 0

    def is_synced(self) -> bool:
        """Whether the book stands on a snapshot with no diff missing since."""
        return self._synced

    def update(self, diff: DepthUpdate, mantissas: Mantissas) -> str | None:
        """Apply a diff, or keep it until the snapshot comes. Returns what broke the sequence, if something did."""
        if not self._synced:
            self._pending.append(diff)
            self.wants_snapshot = True
            return None
        return self._apply(diff, mantissas)

    def _apply(self, diff: DepthUpdate, mantissas: Mantissas) -> str | None:
        book = self._book
        if diff.u <= book.sequence:
            return None
        if book.sequence + 1 < diff.U:
            return f"expected update {book.sequence + 1}, was {diff.U!r}"
        price_divisor, size_divisor = divisor_for(self.scales[0]), divisor_for(self.scales[1])
        if price_divisor and size_divisor:
            book.bids.apply(diff.b, WIRE, EXACT_BELOW, price_divisor, size_divisor, mantissas)
            book.asks.apply(diff.a, WIRE, EXACT_BELOW, price_divisor, size_divisor, mantissas)
        else:
            for side, levels in ((book.bids, diff.b), (book.asks, diff.a)):
                for price, size in levels:
                    side.change(*mantissas(price, size))
        book.sequence = diff.u
        self._changed = True
        return "best bid is not below best ask" if book.is_crossed() else None

    def snapshot(self, reply: DepthSnapshot, mantissas: Mantissas) -> str | None:
        """Start from a snapshot and the diffs kept so far. Returns why it cannot be used, if so (ask again then)."""
        pending = self._pending
        while pending and pending[0].u <= reply.lastUpdateId:
            pending.popleft()
        if pending and reply.lastUpdateId + 1 < pending[0].U:
            return f"the snapshot must reach update {pending[0].U - 1}, was {reply.lastUpdateId!r}"
        book = Book()
        book.bids.replace([mantissas(p, q) for p, q in reply.bids])
        book.asks.replace([mantissas(p, q) for p, q in reply.asks])
        book.sequence = reply.lastUpdateId
        self._book = book
        self._synced = True
        self.wants_snapshot = False
        self._changed = True
        while pending:
            broken = self._apply(pending[0], mantissas)
            pending.popleft()  # only now: what raises is applied again at finer scales
            if broken:
                return broken
        return None

    def rescale(self, price_scale: int, size_scale: int) -> None:
        """Go on at finer scales."""
        factors = int(10 ** (price_scale - self.scales[0])), int(10 ** (size_scale - self.scales[1]))
        self._book.bids.rescale(*factors)
        self._book.asks.rescale(*factors)
        self.scales = (price_scale, size_scale)

    def desync(self, ts_recv: int, sink: Sink) -> None:
        """The book is no longer to be trusted: say so once, and start over."""
        if self._synced:
            self._emit(ts_recv, sink, in_sequence=False)
            self.resyncs += 1
            self._due = 0  # the good news is not held back
        self._synced = False
        self.wants_snapshot = True
        self._changed = False
        self._pending.clear()

    @property
    def has_news(self) -> bool:
        """Whether the best levels have changed since they were handed over."""
        return self._changed

    def flush(self, ts_recv: int, sink: Sink) -> None:
        """Hand over the best levels if they changed and the interval has passed."""
        if self._changed and ts_recv >= self._due:
            self._emit(ts_recv, sink, in_sequence=True)

    def _emit(self, ts_recv: int, sink: Sink, *, in_sequence: bool) -> None:
        self._changed = False
        self._due = ts_recv + self.every_ns
        bid_price, bid_size = self._book.bids.top(self.levels)
        ask_price, ask_size = self._book.asks.top(self.levels)
        sink.message(
            BookUpdated(
                self.exchange,
                self.symbol,
                self._book.sequence,
                in_sequence,
                self.origin,
                bid_price,
                bid_size,
                ask_price,
                ask_size,
                *self.scales,
            ),
            ts_recv,
        )
