"""Binance's spot frames to messages; the same code for the live feed and for recordings."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.venues._trades.gather import GathererState
from candlewick.adapters.venues.binance import wire
from candlewick.adapters.venues.binance.events import MAX_SKEW_MS, Handler
from candlewick.adapters.venues.binance.follow import Followed
from candlewick.adapters.venues.binance.instruments import NAME, guessed_instrument
from candlewick.adapters.venues.binance.scan import COLUMNS, TRADE, SymbolTable, scan_frames
from candlewick.adapters.venues.binance.sort import (
    FACTS,
    FIRST_EVENT,
    RECV,
    SKEW_MS,
    TRADES,
    UNKNOWN,
    sort_trades,
    survey,
)
from candlewick.adapters.venues.binance.symbol import SymbolState
from candlewick.contracts.base import Origin
from candlewick.contracts.market import Instrument
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.kernel.decimals import BadDecimal
from candlewick.kernel.errors import Corrupt
from candlewick.ports.venue import Sink

I8 = NDArray[np.int64]
_BLOCK: Final = 2048  # frames whose bytes and rows stay in the processor's cache
_HEAD: Final = 64  # bytes within which a frame names its kind
_SCAN_FROM: Final = 16  # fewer frames than this are parsed one by one
_frame = msgspec.json.Decoder(wire.Frame).decode
_EVENTS = {"trade": "trade", "aggTrade": "aggTrade", "depthUpdate": "depth", "kline": "kline"}


class ParserState(msgspec.Struct, frozen=True):
    """Where a parser stands, books and quotes apart: those start over."""

    clock: tuple[int, int]
    due: int
    last_recv: int
    waiting: list[str]
    symbols: list[tuple[Instrument, GathererState]]


class BinanceParser(Followed):
    """Understands frames of one connection (or one recording).

    Venue time is the highest event time (``E``, or a trade's ``T``) seen in any frame of the connection. Trades count
    as complete up to that minus ``margin_ns``: in the recordings a trade came at most 214 ms behind the newest event
    time, so 1 s is almost five times what was seen. No frame for ``silence_ns`` means that the time in between was not
    proven alive. With ``live`` a symbol proves nothing until ``subscribed`` says that the venue has taken it on.

    The book starts from a REST snapshot: its owner asks ``wanted_snapshots`` and calls ``snapshot``; in recordings it
    is a frame. ``discover`` takes on symbols as they appear, for recordings that do not name theirs. Klines, 24 h
    tickers and the like only prove the connection alive: candles are built from trades, and tickers from candles.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        exchange: str = NAME,
        batch: int = 2048,
        margin_ns: int = NS_PER_SECOND,
        progress_ns: int = NS_PER_SECOND,
        silence_ns: int = 10 * NS_PER_SECOND,
        quote_ns: int = 100 * NS_PER_MS,
        book_ns: int = 100 * NS_PER_MS,
        book_levels: int = 20,
        origin: Origin = Origin.BUILT,
        aggregated: bool = False,
        discover: bool = False,
        live: bool = False,
    ) -> None:
        if not 1 <= batch <= 4096:
            raise ValueError(f"batch must be between 1 and 4096, was {batch!r}")
        super().__init__(
            exchange=exchange,
            batch=batch,
            origin=origin,
            quote_ns=quote_ns,
            book_ns=book_ns,
            book_levels=book_levels,
            aggregated=aggregated,
            live=live,
        )
        self.margin_ns = margin_ns
        self.progress_ns = progress_ns
        self.silence_ns = silence_ns
        self.discover = discover
        self.frames = 0
        self._slots: list[SymbolState] = []
        self._facts = np.zeros(FACTS, np.int64)
        self._due = 0
        self._last_recv = 0
        for instrument in instruments:
            self.add(instrument)

    def checkpoint(self) -> bytes:
        """After ``flush``: what ``restore`` needs so that the next frames give the same trades, gaps and Progress."""
        symbols = [(s.instrument, s.trades.checkpoint()) for s in self._states.values()]
        waiting = sorted(s.instrument.venue_symbol for s in self._waiting)
        return msgspec.msgpack.encode(
            ParserState(self.clock.checkpoint(), self._due, self._last_recv, waiting, symbols)
        )

    def restore(self, saved: bytes) -> None:
        """Go on where another parser stood; for a parser that has seen no frame. Raises Corrupt."""
        try:
            state = msgspec.msgpack.decode(saved, type=ParserState)
        except msgspec.DecodeError as error:
            raise Corrupt(f"a parser's checkpoint must be what a parser wrote ({error}), was {saved[:40]!r}") from error
        for instrument, gatherer in state.symbols:
            self.add(instrument)
            mine = self._states[instrument.venue_symbol]
            mine.restore(gatherer)
        self.clock.restore(state.clock)
        self._due, self._last_recv = state.due, state.last_recv
        self._waiting = {self._states[name] for name in state.waiting}
        self._table = None

    # Frames

    def parse(self, ts_recv: int, raw: bytes, sink: Sink) -> None:
        self._turn(ts_recv, sink)
        self._one(ts_recv, raw, sink)

    def parse_many(self, frames: Sequence[tuple[int, bytes]], sink: Sink) -> None:
        """Many frames, as ``parse`` one by one; trades of a block may be handed over before its quotes and books."""
        for start in range(0, len(frames), _BLOCK):
            block = frames[start : start + _BLOCK]
            times = np.fromiter([ts for ts, _ in block], np.int64, len(block))
            self._block(times, [raw for _, raw in block], sink)

    def flush(self, ts_recv: int, sink: Sink) -> None:
        """Hands over gathered trades, then quotes, books and Progress where due."""
        for state in self._dirty:
            state.trades.flush(ts_recv, sink)
        self._dirty.clear()
        self._show(ts_recv, sink)
        if ts_recv >= self._due:
            self._progress(ts_recv, sink)

    def finish(self, ts_recv: int, sink: Sink) -> None:
        """The end of a recording: hand over everything, with a last Progress."""
        self.flush(ts_recv, sink)
        self._progress(ts_recv, sink)

    def _turn(self, ts_recv: int, sink: Sink) -> None:
        if self._last_recv and ts_recv - self._last_recv > self.silence_ns:
            self._silence(self._last_recv, sink)
        self._last_recv = ts_recv
        if ts_recv >= self._due:
            self._show(ts_recv, sink)
            self._progress(ts_recv, sink)

    def _silence(self, ts_recv: int, sink: Sink) -> None:
        for state in self._states.values():
            if state.trades.is_alive:
                state.trades.lost("silence", ts_recv, sink)
                self._waiting.add(state)

    def _show(self, ts_recv: int, sink: Sink) -> None:
        for state in list(self._unshown):
            state.quote.flush(ts_recv, sink)
            state.book.flush(ts_recv, sink)
            if not (state.quote.has_news or state.book.has_news):
                del self._unshown[state]

    def _progress(self, ts_recv: int, sink: Sink) -> None:
        self._due = ts_recv + self.progress_ns
        through = self.clock.frontier - self.margin_ns
        for state in self._states.values():
            state.trades.progress(through, ts_recv, sink)
        self._dirty.clear()

    def _one(self, ts_recv: int, raw: bytes, sink: Sink) -> None:
        self.frames += 1
        try:
            frame = _frame(raw)
            if frame.stream:
                route = self._routes.get(frame.stream) or self._route(frame.stream)
                if route is None:
                    sink.nonsense("UNKNOWN_STREAM", f"stream must be one we asked for, was {frame.stream!r}", raw)
                    return
                handler, state = route
                state.heard(ts_recv)
                handler(state, frame.data, ts_recv, sink, raw)
            else:
                self._raw_event(frame, ts_recv, sink, raw)
        except msgspec.ValidationError as error:
            sink.nonsense("BAD_TYPE", str(error), raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            sink.nonsense("BAD_FRAME", str(error), raw)
        except BadDecimal as error:
            sink.nonsense("BAD_DECIMAL", str(error), raw)

    def _raw_event(self, frame: wire.Frame, ts_recv: int, sink: Sink, raw: bytes) -> None:
        if frame.s and (frame.e or frame.u >= 0):
            kind = _EVENTS.get(frame.e, "miniTicker") if frame.e else "bookTicker"
            route = self._route(f"{frame.s.lower()}@{kind}")
            if route is None:
                sink.nonsense("UNKNOWN_SYMBOL", f"symbol must be one we asked for, was {frame.s!r}", raw)
                return
            route[0](route[1], raw, ts_recv, sink, raw)
        elif frame.lastUpdateId >= 0:
            self._bare_snapshot(ts_recv, sink, raw)
        elif frame.error is not msgspec.UNSET or frame.code is not None:
            sink.nonsense("REQUEST_REFUSED", f"the venue refused a request, was {raw[:200]!r}", raw)
        elif frame.result is msgspec.UNSET:
            sink.nonsense("BAD_FRAME", "a frame must be an event or an answer", raw)

    def _route(self, stream: str) -> tuple[Handler, SymbolState] | None:
        if stream in self._proofs:
            return self._on_time, self._proofs[stream]
        name, _, kind = stream.partition("@")
        state = self._states.get(name.upper())
        if state is None and self.discover and kind and name.isalnum():
            self.add(guessed_instrument(name, self.exchange))
            state = self._states[name.upper()]
        handler = self._on_time if kind.startswith("kline") else self.kinds.get(kind)
        if state is None or handler is None:
            return None
        self._routes[stream] = handler, state
        return handler, state

    def snapshot(self, symbol: str, raw: bytes, ts_recv: int, sink: Sink) -> bool:
        """A REST depth reply for a symbol of ours. True when the book now stands on it; else ask again later."""
        state = self._by_symbol.get(symbol)
        if state is None:
            return True
        try:
            self._on_snapshot(state, raw, ts_recv, sink, raw)
        except (msgspec.DecodeError, UnicodeDecodeError, BadDecimal) as error:
            sink.nonsense("BAD_FRAME", str(error), raw)
        return state.book.is_synced()

    def _bare_snapshot(self, ts_recv: int, sink: Sink, raw: bytes) -> None:
        wanting = [s for s in self._states.values() if s.book.wants_snapshot]
        if len(wanting) == 1:
            self._on_snapshot(wanting[0], raw, ts_recv, sink, raw)
        else:
            sink.nonsense("UNKNOWN_SNAPSHOT", f"one book must wait for a snapshot, was {len(wanting)!r}", raw)

    # Blocks

    def _block(self, times: I8, raws: list[bytes], sink: Sink) -> None:
        count = len(raws)
        if count < _SCAN_FROM or self.aggregated or bool((np.diff(times) < 0).any()):
            for ts_recv, raw in zip(times.tolist(), raws, strict=True):
                self.parse(ts_recv, raw, sink)
            return
        rows = np.empty((0, COLUMNS), np.int64)
        scanned_from = 0
        done = 0
        while done < count:
            if self._table is None or not done:
                rows, scanned_from = self._scan(raws[done:]), done
            self._turn(int(times[done]), sink)
            stop = max(done + 1, int(np.searchsorted(times, self._due)))
            if self.discover and not self._states:
                stop = done + 1  # until a symbol is known there is nothing to scan for
            self._stretch(rows[done - scanned_from : stop - scanned_from], times[done:stop], raws, done, sink)
            self._last_recv = int(times[stop - 1])
            done = stop

    def _scan(self, raws: list[bytes]) -> I8:
        if self._table is None:
            self._slots = list(self._states.values())
            self._table = SymbolTable(
                [s.instrument.venue_symbol for s in self._slots],
                [s.price_scale for s in self._slots],
                [s.size_scale for s in self._slots],
            )
        table = self._table
        lengths = np.fromiter(map(len, raws), np.int64, len(raws))
        ends = np.cumsum(lengths)
        rows = np.empty((len(raws), COLUMNS), np.int64)
        scan_frames(
            np.frombuffer(b"".join(raws), np.uint8),
            ends - lengths,
            ends,
            table.names,
            table.lengths,
            table.table,
            table.price_scales,
            table.size_scales,
            rows,
        )
        return rows

    def _stretch(self, rows: I8, times: I8, raws: list[bytes], offset: int, sink: Sink) -> None:
        """Rows within one Progress interval: scanned ones as columns, everything else one by one."""
        facts = self._facts
        survey(rows, times, facts)
        trades, others, unknown = facts[: UNKNOWN + 1].tolist()
        # A living stretch opens at the very first event time.
        if self._waiting or trades + others < _SCAN_FROM:
            for i in range(len(rows)):
                self._one(int(times[i]), raws[offset + i], sink)
            return
        rest = np.flatnonzero(rows[:, 0] < 0).tolist() if unknown else []
        # A trade the scanner did not take must keep its place among the others.
        is_mixed = any(b'trade"' in raws[offset + i][:_HEAD] for i in rest)
        if is_mixed or (trades and not self._trades(rows, times, sink)):
            rest = np.flatnonzero((rows[:, 0] < 0) | (rows[:, 1] == TRADE)).tolist()
        if others:
            is_quote = (rows[:, 0] >= 0) & (rows[:, 1] != TRADE)
            self._quotes(rows[is_quote], times[is_quote], sink)
        for i in rest:
            self._one(int(times[i]), raws[offset + i], sink)

    def _quotes(self, rows: I8, times: I8, sink: Sink) -> None:
        self.frames += len(rows)
        slots = rows[:, 0]
        for slot in np.unique(slots).tolist():
            mine = slots == slot
            state = self._slots[slot]
            recvs = times[mine]
            state.heard(int(recvs[-1]), len(recvs))
            self._unshown[state] = None
            state.quote.set_many(state.price_scale, state.size_scale, rows[mine, 3:7], recvs, sink)

    def _trades(self, rows: I8, times: I8, sink: Sink) -> bool:
        """The surveyed trades as columns; False, and nothing done, when their times must be judged one by one."""
        count, skew_ms = int(self._facts[TRADES]), int(self._facts[SKEW_MS])
        if skew_ms > MAX_SKEW_MS or not self.clock.accepts_all(*self._facts[FIRST_EVENT:].tolist()):
            return False
        self.frames += count
        stops, dense = np.empty(len(self._slots), np.int64), np.empty(len(self._slots), np.uint8)
        columns, sides = np.empty((5, count), np.int64), np.empty(count, np.uint8)
        sort_trades(rows, times, stops, columns, sides, dense)
        start = 0
        for state, stop, is_dense in zip(self._slots, stops.tolist(), dense.tolist(), strict=True):
            if stop > start:
                part = columns[:, start:stop]
                state.heard(int(part[RECV, -1]), stop - start)
                state.trades.add_columns(part, sides[start:stop], bool(is_dense), sink)
                self._dirty.add(state)
            start = stop
        return True
