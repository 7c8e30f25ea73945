"""Which symbols a parser understands, and what is known of each: followed, lost, silent, waiting for a book."""

from collections.abc import Iterable

from candlewick.adapters.venues.binance.events import Events, Handler
from candlewick.adapters.venues.binance.instruments import guessed_instrument
from candlewick.adapters.venues.binance.symbol import SymbolState
from candlewick.contracts.base import Origin
from candlewick.contracts.market import Instrument
from candlewick.ports.venue import Sink


class Followed(Events):
    """The symbols of one connection (or one recording), found by the venue's spelling and by ours (BASE-QUOTE).

    With ``live`` a symbol proves nothing until ``subscribed``; in a recording it does from its first frame.
    """

    def __init__(
        self,
        *,
        exchange: str,
        batch: int,
        origin: Origin,
        quote_ns: int,
        book_ns: int,
        book_levels: int,
        aggregated: bool,
        live: bool,
    ) -> None:
        super().__init__(aggregated=aggregated)
        self.exchange = exchange
        self.batch = batch
        self.live = live
        self.aggregated = aggregated
        self._options = (origin, quote_ns, book_ns, book_levels)
        self._states: dict[str, SymbolState] = {}  # by the venue's spelling
        self._by_symbol: dict[str, SymbolState] = {}
        self._routes: dict[str, tuple[Handler, SymbolState] | None] = {}
        self._proofs: dict[str, SymbolState] = {}

    def add(self, instrument: Instrument) -> None:
        """Understand this symbol from now on."""
        if instrument.venue_symbol in self._states:
            return
        state = self._new_state(instrument)
        self._states[instrument.venue_symbol] = state
        self._by_symbol[instrument.symbol] = state
        self._routes.clear()
        self._table = None
        if not self.live:
            self._waiting.add(state)

    def _new_state(self, instrument: Instrument) -> SymbolState:
        origin, quote_ns, book_ns, book_levels = self._options
        return SymbolState(
            instrument,
            batch=self.batch,
            origin=origin,
            aggregated=self.aggregated,
            quote_ns=quote_ns,
            book_ns=book_ns,
            book_levels=book_levels,
        )

    def add_proof(self, stream: str) -> None:
        """A stream that is only to prove the connection alive; its symbol need not be followed."""
        name = stream.partition("@")[0]
        self._proofs[stream] = self._new_state(guessed_instrument(name, self.exchange))

    def learn(self, instrument: Instrument, ts_recv: int, sink: Sink) -> None:
        """What is known of a symbol of ours now: what is gathered at coarser scales is handed over first."""
        state = self._by_symbol.get(instrument.symbol)
        if state is not None:
            state.instrument = instrument
            if state.widen(instrument.price_scale, instrument.size_scale, ts_recv, sink):
                self._table = None

    def remove(self, symbol: str, ts_recv: int, sink: Sink) -> None:
        """Forget a symbol (ours, BASE-QUOTE) after handing over what was gathered."""
        state = self._by_symbol.pop(symbol, None)
        if state is None:
            return
        state.trades.lost("unfollowed", ts_recv, sink)
        state.trades.flush(ts_recv, sink)
        del self._states[state.instrument.venue_symbol]
        self._waiting.discard(state)
        self._dirty.discard(state)
        self._unshown.pop(state, None)
        self._routes.clear()
        self._table = None

    def states(self) -> Iterable[SymbolState]:
        return self._states.values()

    def state(self, symbol: str) -> SymbolState | None:
        return self._by_symbol.get(symbol)

    def lost(self, symbols: Iterable[str], reason: str, ts_recv: int, sink: Sink) -> None:
        """These symbols are no longer received; their books and completeness stand still until ``subscribed``."""
        for symbol in symbols:
            state = self._by_symbol.get(symbol)
            if state is not None:
                self._waiting.discard(state)
                state.trades.lost(reason, ts_recv, sink)
                state.book.desync(ts_recv, sink)

    def subscribed(self, symbols: Iterable[str]) -> None:
        """The venue sends these symbols from now on: the next venue time opens their living stretch."""
        for symbol in symbols:
            state = self._by_symbol.get(symbol)
            if state is not None and not state.trades.is_alive:
                self._waiting.add(state)

    def silent(self, ts_recv: int, at_least_ns: int) -> list[str]:
        """Symbols (ours) proven alive that have said nothing for ``at_least_ns`` and for 50 times their usual pause.

        Each is told once, and again only after twice the time.
        """
        return [
            s.instrument.symbol
            for s in self._states.values()
            if s.trades.is_alive and s.is_silent(ts_recv, at_least_ns)
        ]

    def wanted_snapshots(self) -> list[str]:
        """Symbols (ours) whose book waits for a REST snapshot."""
        return [s.instrument.symbol for s in self._states.values() if s.book.wants_snapshot]
