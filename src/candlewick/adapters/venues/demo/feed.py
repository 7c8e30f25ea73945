"""The live feed of the demo market: what a venue's socket would bring, and now and then what it would not."""

from collections.abc import Sequence
from typing import Final

from candlewick.adapters.venues.demo.tape import LiveTape
from candlewick.contracts.collector import ConnectionChanged
from candlewick.contracts.market import Instrument
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND, Clock
from candlewick.ports.venue import Sink, UnknownSymbol
from candlewick.quant.market_model.columns import Silence
from candlewick.quant.market_model.model import MarketModel
from candlewick.quant.market_model.symbols import EXCHANGE

POLL_NS: Final = 100 * NS_PER_MS
BOOK_EVERY_NS: Final = 250 * NS_PER_MS
# A feed that says nothing for so long is taken for dead.
WATCHDOG_NS: Final = 10 * NS_PER_SECOND
# After a longer pause of this process (a laptop that slept) a socket would have been closed by the other side.
PAUSE_NS: Final = 60 * NS_PER_SECOND
_LOOK_AHEAD_NS: Final = 24 * 3600 * NS_PER_SECOND
_CONNECTION: Final = "market"


class DemoFeed:
    """ports.venue.Feed over the model; it begins with the instant it is run.

    Ten times a second it gives what has happened since. In a halt of the venue it is alive and has no trades. In a
    planned silence it says nothing, then that it is not alive, and goes on behind it, as after a broken socket; trades
    that it loses on purpose show as a hole in the ids. All of them can be fetched from the venue.
    """

    def __init__(self, model: MarketModel, clock: Clock, symbols: Sequence[str], sink: Sink) -> None:
        self._model, self._clock, self._sink = model, clock, sink
        self._check(symbols)
        self._wanted = dict.fromkeys(symbols)
        self._tapes: dict[str, LiveTape] = {}
        self._at = 0  # everything before has been told, or is part of the silence that began here
        self._polled = 0
        self._shown = 0
        self._silence = Silence(0, 0)
        self._is_silent = False
        self._is_lost = True
        self._is_closed = False

    async def run(self) -> None:
        """Until cancelled or closed."""
        while not self._is_closed:
            self.poll(self._clock.now_ns())
            await self._clock.sleep((POLL_NS - self._clock.now_ns() % POLL_NS) / NS_PER_SECOND)

    async def follow(self, symbols: Sequence[str]) -> None:
        """From now on, also these. Raises UnknownSymbol, and then follows none of them."""
        self._check(symbols)
        self._wanted.update(dict.fromkeys(symbols))
        if self._polled and not self._is_closed:
            self._make_tapes()
            if not self._is_lost:
                self._open(self._at, self._clock.now_ns())

    async def unfollow(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            self._wanted.pop(symbol, None)
            tape = self._tapes.pop(symbol, None)
            if tape is not None:
                tape.gatherer.lost("disconnect", self._clock.now_ns(), self._sink)

    def learn(self, instruments: Sequence[Instrument]) -> None:
        """The model knows its own symbols."""

    def waiting_bytes(self) -> int:
        """None: a model waits for its sink."""
        return 0

    async def close(self) -> None:
        """Says that nothing is alive any more; gives nothing afterwards."""
        if not self._is_closed and self._polled:
            now = self._clock.now_ns()
            self._lose("disconnect", now)
            self._changed("closed", "closed here", now)
        self._is_closed = True

    def poll(self, now: int) -> None:
        """Give everything up to an instant."""
        if not -PAUSE_NS <= now - self._polled <= PAUSE_NS:
            self._begin(now)
        self._polled = max(self._polled, now)
        if not self._sink.is_congested():  # trades need no spool: the model still knows them later
            self._pass(now)
        if now - self._shown >= BOOK_EVERY_NS and not self._is_silent:
            self._shown = now
            for tape in self._tapes.values():
                tape.show(now, self._sink)

    def _begin(self, now: int) -> None:
        """Start, or start over at another time; what lies between is lost to the live feed."""
        away_s = (now - self._polled) / NS_PER_SECOND
        if self._polled:
            self._lose("disconnect", now)
            self._changed("lost", f"nothing ran here for {away_s:.0f} s", now)
        if now < self._polled:
            self._sink.nonsense("CLOCK_OFF", f"this machine's clock was set, was {away_s:.0f} s", b"")
            self._tapes.clear()
        self._at, self._polled, self._shown = now, now, 0
        self._silence = Silence(0, 0)
        self._make_tapes()
        self._is_silent = self._ahead().start_ns <= now
        if self._is_silent:
            self._changed("silent", "the feed begins in a silence", now)
        else:
            self._revive(now, now)

    def _pass(self, now: int) -> None:
        """Time moves up to ``now``, through silences."""
        while self._at < now:
            silence = self._ahead()
            if self._at < silence.start_ns:
                self._at = min(now, silence.start_ns)
                for tape in self._tapes.values():
                    tape.give(self._at, now, self._sink)
                continue
            self._is_silent = True
            if now >= silence.end_ns:
                self._lose("silence", now)
                self._at, self._is_silent = silence.end_ns, False
                self._revive(silence.end_ns, now)
                continue
            if self._is_lost:
                for tape in self._tapes.values():
                    tape.wait(now, self._sink)
            elif now - silence.start_ns >= WATCHDOG_NS:
                self._lose("silence", now)
                self._changed("silent", f"nothing came for {WATCHDOG_NS // NS_PER_SECOND} s", now)
            return

    def _ahead(self) -> Silence:
        """The silence that lasts or comes next; one begins in each half day."""
        if self._silence.end_ns <= self._at:
            self._silence = self._model.silences(self._at, self._at + _LOOK_AHEAD_NS)[0]
        return self._silence

    def _lose(self, reason: str, now: int) -> None:
        if not self._is_lost:
            self._is_lost = True
            for tape in self._tapes.values():
                tape.gatherer.lost(reason, now, self._sink)

    def _revive(self, since: int, now: int) -> None:
        self._is_lost = False
        self._changed("connected", "the demo market, simulated", now)
        self._open(since, now)

    def _open(self, since: int, now: int) -> None:
        for tape in self._tapes.values():
            tape.open(since, now, self._sink)

    def _make_tapes(self) -> None:
        for symbol in self._wanted:
            if symbol not in self._tapes:
                self._tapes[symbol] = LiveTape(self._model, symbol, self._at)

    def _changed(self, state: str, detail: str, now: int) -> None:
        self._sink.message(ConnectionChanged(EXCHANGE, _CONNECTION, state, detail, len(self._wanted)), now)

    def _check(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            if symbol not in self._model.symbols:
                raise UnknownSymbol(f"the demo market trades {', '.join(self._model.symbols)}, was {symbol!r}")
