"""What each of Binance's events means for the symbols that are followed."""

from collections.abc import Callable
from typing import Final

import msgspec

from candlewick.adapters.venues._trades.clock import VenueClock
from candlewick.adapters.venues.binance import wire
from candlewick.adapters.venues.binance.scan import SymbolTable
from candlewick.adapters.venues.binance.symbol import SymbolState
from candlewick.contracts.collector import Side
from candlewick.kernel.clock import NS_PER_MS
from candlewick.kernel.decimals import BadDecimal, parse_mantissa
from candlewick.ports.venue import Sink

Handler = Callable[[SymbolState, "msgspec.Raw | bytes", int, Sink, bytes], None]

SNAPSHOT_STREAM: Final = "depthSnapshot"  # our own name for a REST depth reply inside a recording
MAX_SKEW_MS: Final = 60_000  # between a trade's own time and its event's
_SELL, _BUY = int(Side.SELL), int(Side.BUY)

_trade = msgspec.json.Decoder(wire.Trade).decode
_agg_trade = msgspec.json.Decoder(wire.AggTrade).decode
_fast_trade = msgspec.json.Decoder(wire.FastTrade, strict=False).decode
_ticker = msgspec.json.Decoder(wire.BookTicker, strict=False).decode
_depth = msgspec.json.Decoder(wire.DepthUpdate, strict=False).decode
_snapshot = msgspec.json.Decoder(wire.DepthSnapshot, strict=False).decode
_timed = msgspec.json.Decoder(wire.Timed).decode


class Events:
    """Handlers by the kind of stream; ``kinds`` is the table. Raise what msgspec and the decimals raise."""

    def __init__(self, *, aggregated: bool) -> None:
        self.clock = VenueClock()
        self._waiting: set[SymbolState] = set()  # proven alive by the next venue time
        self._dirty: set[SymbolState] = set()  # with trades gathered
        self._unshown: dict[SymbolState, None] = {}  # whose quote or book may have news, in order
        self._table: SymbolTable | None = None  # of the scanner; None when symbols or scales have changed
        self.kinds: dict[str, Handler] = {
            "trade": self._on_time if aggregated else self._on_trade,
            "aggTrade": self._on_agg_trade if aggregated else self._on_time,
            "bookTicker": self._on_ticker,
            "depth": self._on_depth,
            "depth@100ms": self._on_depth,
            "depth@1000ms": self._on_depth,
            SNAPSHOT_STREAM: self._on_snapshot,
            "miniTicker": self._on_time,
            "ticker": self._on_time,
            "avgPrice": self._on_time,
        }

    def _alive(self, event_ms: int, ts_recv: int, sink: Sink, raw: bytes) -> bool:
        """Whether the event's time is believable; it may move venue time and wake symbols."""
        clock = self.clock
        if not clock.accepts(event_ms * NS_PER_MS, ts_recv):
            sink.nonsense("CLOCK_JUMP", f"event time must be near venue time, was {event_ms!r} ms", raw)
            return False
        if clock.is_adopted:
            clock.is_adopted = False
            sink.nonsense(
                "CLOCK_OFF", f"this machine and the venue disagree, venue time taken as given, was {event_ms!r} ms", raw
            )
        if self._waiting:
            self._wake(ts_recv, sink)
        return True

    def _wake(self, ts_recv: int, sink: Sink) -> None:
        for state in self._waiting:
            state.trades.seen(self.clock.frontier, ts_recv, sink)
        self._waiting.clear()

    def _on_time(self, state: SymbolState, data: "msgspec.Raw | bytes", ts_recv: int, sink: Sink, raw: bytes) -> None:
        self._alive(_timed(data).E, ts_recv, sink, raw)

    def _on_trade(self, state: SymbolState, data: "msgspec.Raw | bytes", ts_recv: int, sink: Sink, raw: bytes) -> None:
        fast = _fast_trade(data)
        price, size = state.fast(fast.p, fast.q)
        if price > 0 and size > 0:
            self._accept(state, fast.t, price, size, fast, ts_recv, sink, raw)
            return
        d = _trade(data)
        self._take(state, d.t, d, ts_recv, sink, raw)

    def _on_agg_trade(
        self, state: SymbolState, data: "msgspec.Raw | bytes", ts_recv: int, sink: Sink, raw: bytes
    ) -> None:
        d = _agg_trade(data)
        self._take(state, d.a, d, ts_recv, sink, raw)

    def _take(
        self, state: SymbolState, trade_id: int, d: wire.Trade | wire.AggTrade, ts_recv: int, sink: Sink, raw: bytes
    ) -> None:
        try:
            price, size = parse_mantissa(d.p, state.price_scale), parse_mantissa(d.q, state.size_scale)
        except BadDecimal:
            if not self._widen(state, d.p, d.q, ts_recv, sink):
                raise
            price, size = parse_mantissa(d.p, state.price_scale), parse_mantissa(d.q, state.size_scale)
        if price <= 0:
            sink.nonsense("BAD_PRICE", f"price must be positive, was {d.p!r}", raw)
        elif size <= 0:
            sink.nonsense("BAD_SIZE", f"size must be positive, was {d.q!r}", raw)
        else:
            self._accept(state, trade_id, price, size, d, ts_recv, sink, raw)

    def _accept(
        self,
        state: SymbolState,
        trade_id: int,
        price: int,
        size: int,
        d: wire.Trade | wire.FastTrade | wire.AggTrade,
        ts_recv: int,
        sink: Sink,
        raw: bytes,
    ) -> None:
        if not self._is_for(state, d.s, sink, raw):
            return
        if abs(d.E - d.T) > MAX_SKEW_MS:
            sink.nonsense("CLOCK_JUMP", f"trade time must be near event time {d.E}, was {d.T!r} ms", raw)
            return
        if self._alive(d.E, ts_recv, sink, raw):
            state.trades.add(trade_id, price, size, d.T * NS_PER_MS, ts_recv, _SELL if d.m else _BUY, sink)
            self._dirty.add(state)

    def _widen(self, state: SymbolState, price: str, size: str, ts_recv: int, sink: Sink) -> bool:
        """Take finer scales if these numbers need them; False when that is not what is wrong with them."""
        if not state.widen_for(price, size, ts_recv, sink):
            return False
        self._table = None
        sink.nonsense(
            "SCALE_WIDENED",
            f"{state.instrument.symbol}: more digits than the tick says, scales are now "
            f"{state.price_scale} and {state.size_scale}, was {(price, size)!r}",
            b"",
        )
        return True

    def _on_ticker(self, state: SymbolState, data: "msgspec.Raw | bytes", ts_recv: int, sink: Sink, raw: bytes) -> None:
        d = _ticker(data)
        if not self._is_for(state, d.s, sink, raw):
            return
        try:
            bid, ask = state.level(d.b, d.B), state.level(d.a, d.A)
        except BadDecimal:
            if not state.finer_book():
                raise
            bid, ask = state.level(d.b, d.B), state.level(d.a, d.A)
        state.quote.set(*state.book.scales, *bid, *ask)
        state.quote.flush(ts_recv, sink)
        self._unshown[state] = None

    def _on_depth(self, state: SymbolState, data: "msgspec.Raw | bytes", ts_recv: int, sink: Sink, raw: bytes) -> None:
        d = _depth(data)
        if not self._is_for(state, d.s, sink, raw) or not self._alive(d.E, ts_recv, sink, raw):
            return
        book = state.book
        self._unshown[state] = None
        try:
            try:
                broken = book.update(d, state.level)
            except BadDecimal:
                if not state.finer_book():
                    raise
                broken = book.update(d, state.level)
        except BadDecimal:
            book.desync(ts_recv, sink)
            raise
        if broken:
            self._broken(state, broken, ts_recv, sink, raw)
            book.update(d, state.level)
        else:
            book.flush(ts_recv, sink)

    def _broken(self, state: SymbolState, why: str, ts_recv: int, sink: Sink, raw: bytes) -> None:
        code = "BOOK_CROSSED" if "bid" in why else "BOOK_SEQUENCE"
        sink.nonsense(code, f"{state.instrument.symbol}: {why}", raw)
        state.book.desync(ts_recv, sink)

    def _on_snapshot(
        self, state: SymbolState, data: "msgspec.Raw | bytes", ts_recv: int, sink: Sink, raw: bytes
    ) -> None:
        d = _snapshot(data)
        if state.book.is_synced():
            return
        self._unshown[state] = None
        try:
            unusable = state.book.snapshot(d, state.level)
        except BadDecimal:
            if not state.finer_book():
                raise
            unusable = state.book.snapshot(d, state.level)
        if unusable and state.book.is_synced():
            self._broken(state, unusable, ts_recv, sink, raw)
        state.book.flush(ts_recv, sink)

    def _is_for(self, state: SymbolState, venue_symbol: str, sink: Sink, raw: bytes) -> bool:
        if venue_symbol == state.instrument.venue_symbol:
            return True
        sink.nonsense("SYMBOL_MISMATCH", f"symbol must be {state.instrument.venue_symbol!r}, was {venue_symbol!r}", raw)
        return False
