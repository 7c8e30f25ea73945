"""One symbol of the live feed: trades as their time comes, quotes and books as they change."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.venues._trades.gather import TradeGatherer
from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.collector import BookUpdated, QuoteUpdated
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.ports.venue import Sink
from candlewick.quant.market_model.model import MarketModel
from candlewick.quant.market_model.symbols import EXCHANGE

MINUTE_NS: Final = 60 * NS_PER_SECOND
LEVELS: Final = 20
_BATCH: Final = 4096
_EMPTY: Final = np.empty(0, np.int64)


class LiveTape:
    """Plays the model's live trades of one symbol from ``start_ns`` on; earlier ones are never given."""

    def __init__(self, model: MarketModel, symbol: str, start_ns: int) -> None:
        self._model, self.symbol = model, symbol
        (instrument,) = (i for i in model.instruments if i.symbol == symbol)
        self._scales = (instrument.price_scale, instrument.size_scale)
        self.gatherer = TradeGatherer(EXCHANGE, symbol, *self._scales, batch=_BATCH, origin=Origin.SIMULATED)
        self._planned_to = self._given_to = start_ns
        self._columns: tuple[NDArray[np.int64], ...] = ()
        self._sides: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._times = _EMPTY
        self._next = 0
        self._said_second = 0
        self._quote: tuple[int, ...] = ()
        self._book = _EMPTY

    def open(self, at_ns: int, ts_recv: int, sink: Sink) -> None:
        """The feed is alive from ``at_ns`` on; what happened before stays untold. Nothing if it is alive already."""
        if self.gatherer.is_alive:
            return
        self._skip(at_ns)
        self.gatherer.seen(at_ns, ts_recv, sink)
        self.gatherer.progress(at_ns, ts_recv, sink)  # else the stream waits for the next to call it alive
        self._said_second = at_ns // NS_PER_SECOND

    def give(self, until_ns: int, ts_recv: int, sink: Sink) -> None:
        """Trades before ``until_ns`` that have not been given, as one batch; Progress when a second has begun."""
        while self._given_to < until_ns:
            if self._given_to >= self._planned_to:
                self._plan()
            stop_ns = min(until_ns, self._planned_to)
            stop = int(np.searchsorted(self._times, stop_ns, side="left"))
            if stop > self._next:
                here = slice(self._next, stop)
                received = np.full(stop - self._next, ts_recv, np.int64)
                columns = np.stack([*(column[here] for column in self._columns), received])
                is_dense = bool((np.diff(columns[0]) == 1).all())
                self.gatherer.add_columns(columns, self._sides[here], is_dense, sink)
                self._next = stop
            self._given_to = stop_ns
        second = until_ns // NS_PER_SECOND
        if second != self._said_second:
            self._said_second = second
            self.gatherer.progress(until_ns, ts_recv, sink)
        else:
            self.gatherer.flush(ts_recv, sink)

    def wait(self, ts_recv: int, sink: Sink) -> None:
        """While the feed is not alive: Progress that stands still, when a second has begun."""
        if ts_recv // NS_PER_SECOND != self._said_second:
            self._said_second = ts_recv // NS_PER_SECOND
            self.gatherer.progress(0, ts_recv, sink)

    def show(self, at_ns: int, sink: Sink) -> None:
        """The book at an instant and its top, each if it changed since it was last shown."""
        book = self._model.book(self.symbol, at_ns, LEVELS)
        levels = np.concatenate((book.bid_price, book.bid_size, book.ask_price, book.ask_size))
        if np.array_equal(levels, self._book):
            return
        self._book = levels
        bid, bid_size = int(book.bid_price[0]), int(book.bid_size[0])
        ask, ask_size = int(book.ask_price[0]), int(book.ask_size[0])
        price_scale, size_scale = self._scales
        if (bid, bid_size, ask, ask_size) != self._quote:
            self._quote = (bid, bid_size, ask, ask_size)
            quote = QuoteUpdated(
                EXCHANGE, self.symbol, price_scale, size_scale, bid, bid_size, ask, ask_size, Origin.SIMULATED
            )  # fmt: skip
            sink.message(quote, at_ns)
        update = BookUpdated(
            EXCHANGE, self.symbol, at_ns // NS_PER_MS, True, Origin.SIMULATED,
            frozen(book.bid_price), frozen(book.bid_size), frozen(book.ask_price), frozen(book.ask_size),
            price_scale, size_scale,
        )  # fmt: skip
        sink.message(update, at_ns)

    def _skip(self, to_ns: int) -> None:
        self._given_to = max(self._given_to, to_ns)
        self._next = int(np.searchsorted(self._times, self._given_to, side="left"))

    def _plan(self) -> None:
        """The live trades of the rest of this minute. Gaps are cut out by the model; ids show that they are missing."""
        start = self._given_to
        self._planned_to = start // MINUTE_NS * MINUTE_NS + MINUTE_NS
        trades = self._model.live_trades(self.symbol, start, self._planned_to)
        self._columns = (trades.trade_id, trades.price, trades.size, trades.ts_event)
        self._times, self._sides = trades.ts_event, trades.side
        self._next = 0
