"""A group of symbols on one connection at a time, kept alive for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from candlewick.adapters.venues._connection.dialect import Dialect, Limits
from candlewick.adapters.venues._connection.session import Session
from candlewick.contracts.collector import ConnectionChanged
from candlewick.contracts.market import Instrument
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.net.backoff import Backoff
from candlewick.kernel.net.breaker import CircuitBreaker, CircuitOpen
from candlewick.kernel.net.budget import RateBudget
from candlewick.ports.venue import Sink, VenueForbidden, VenueRateLimited, VenueUnavailable

_ROTATE_AGAIN_S: Final = 10.0
_FORBIDDEN_PAUSE_S: Final = 300.0  # a region does not change its mind in seconds


class Lane:
    """Symbols that share a connection and a parser.

    A connection that closes, falls silent or cannot be subscribed is replaced, with jittered back-off behind the
    breaker; one that grows old is replaced before it is closed, so that nothing is missed (dense ids drop what comes
    twice). What the parser says of completeness follows: alive only while subscribed and heard.

    States it tells: connecting, connected, rotating, resubscribing (the last two end in connected), and lost, silent,
    failed, refused, paused, closed, in which nothing is received.
    """

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        limits: Limits,
        clock: Clock,
        random: Callable[[], float],
        sink: Sink,
        connects: RateBudget,
        breaker: CircuitBreaker,
    ) -> None:
        self.name = name
        self.parser = dialect.parser()
        self.instruments: dict[str, Instrument] = {}
        self._dialect = dialect
        self._limits = limits
        self._clock = clock
        self._random = random
        self._sink = sink
        self._connects = connects
        self._breaker = breaker
        self._backoff = Backoff(limits.backoff_s, limits.backoff_cap_s, random)
        self._session: Session | None = None
        self._flush_at: asyncio.TimerHandle | None = None
        self._snapshots: dict[str, asyncio.Task[None]] = {}
        self._lifetime_s = limits.lifetime_s * (1 - 0.05 * random())
        self._changed = asyncio.Event()

    def room(self) -> int:
        """How many more symbols fit."""
        free = self._limits.streams_a_connection - len(self._dialect.proof_streams)
        return free // self._dialect.streams_per_symbol - len(self.instruments)

    # What is followed

    async def follow(self, instruments: Iterable[Instrument]) -> None:
        new = [i for i in instruments if i.symbol not in self.instruments]
        for instrument in new:
            self.instruments[instrument.symbol] = instrument
            self.parser.add(instrument)
        session = self._session
        if session is None or session.is_closed():
            return  # the next connection takes them on
        await self._or_reconnect(session, session.subscribe([s for i in new for s in self._dialect.streams(i)]))
        if not session.is_closed():
            self.parser.subscribed([i.symbol for i in new])

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """What is known of symbols of this lane from now on; others, and names that the venue changed, are ignored."""
        for instrument in instruments:
            known = self.instruments.get(instrument.symbol)
            if known is not None and known.venue_symbol == instrument.venue_symbol:
                self.instruments[instrument.symbol] = instrument
                self.parser.learn(instrument, self._clock.now_ns(), self._sink)

    async def unfollow(self, symbols: Iterable[str]) -> None:
        gone = [self.instruments.pop(s) for s in symbols if s in self.instruments]
        session = self._session
        if session is not None and not session.is_closed():
            streams = [s for i in gone for s in self._dialect.streams(i)]
            await self._or_reconnect(session, session.unsubscribe(streams))
        for instrument in gone:
            self.parser.remove(instrument.symbol, self._clock.now_ns(), self._sink)

    async def _or_reconnect(self, session: Session, request: Awaitable[None]) -> None:
        try:
            await request
        except VenueUnavailable as error:
            self._say("refused", error.detail)
            session.close()
            self._changed.set()

    # Living

    async def run(self) -> None:
        """Until cancelled. Raises VenueForbidden."""
        try:
            while True:
                session = await self._connect()
                if session is None:
                    continue
                self._adopt(session)
                await self._live()
        finally:
            self._shut()

    async def _connect(self) -> Session | None:
        """One attempt, after whatever wait is due. None when it failed."""
        try:
            self._breaker.check()
        except CircuitOpen as error:
            self._say("paused", error.detail)
            await self._clock.sleep(error.retry_after_s)
            return None
        try:
            return await self._open()
        except VenueForbidden:
            self._breaker.failed()
            raise
        except VenueRateLimited as error:
            self._breaker.failed()
            self._connects.silence(error.retry_after_s)
            self._say("refused", error.detail)
        except CandlewickError as error:
            self._breaker.failed()
            self._say("failed", error.detail)
            await self._clock.sleep(self._backoff.next_s())
        except BaseException:
            self._breaker.failed()
            raise
        return None

    async def _open(self) -> Session:
        await self._connects.spend(1)
        self._say("connecting", self._dialect.url)
        session = Session(self._dialect, self._limits, self._clock, self._take)
        proof = list(self._dialect.proof_streams)
        await session.open(proof + [s for i in self.instruments.values() for s in self._dialect.streams(i)])
        self._breaker.succeeded()
        return session

    def _adopt(self, session: Session) -> None:
        self._session = session
        self.parser.subscribed(list(self.instruments))
        self._lifetime_s = self._limits.lifetime_s * (1 - 0.05 * self._random())
        self._say("connected", f"{len(self.instruments)} symbols")

    async def _live(self) -> None:
        """Watch the connection until it has to be replaced the hard way."""
        while True:
            session = self._session
            assert session is not None
            self._changed.clear()
            await self._clock.sleep(self._limits.watch_s)
            now = self._clock.now_ns()
            self.parser.flush(now, self._sink)
            if session.is_closed():
                self._lose(session, "disconnect", session.reason)
                return
            if session.silent_s() > self._limits.silence_s:
                self._lose(session, "silence", f"no frame for {session.silent_s():.1f} s")
                return
            if session.last_frame_at > session.opened_at:
                self._backoff.reset()
            self._ask_snapshots()
            await self._wake_symbols(session, now)
            if session.age_s() > self._lifetime_s:
                await self._rotate(session)

    def _lose(self, session: Session, reason: str, detail: str) -> None:
        session.close()
        self._session = None
        self.parser.lost(list(self.instruments), reason, self._clock.now_ns(), self._sink)
        self._say("silent" if reason == "silence" else "lost", detail)

    async def _rotate(self, old: Session) -> None:
        """Make before break: the old connection goes when the new one has been heard."""
        self._say("rotating", f"after {old.age_s():.0f} s")
        try:
            new = await self._open()
        except CandlewickError as error:
            self._lifetime_s = old.age_s() + max(_ROTATE_AGAIN_S, self._limits.overlap_s)
            self._say("connected", f"no younger connection yet: {error.detail}")
            return
        self._adopt(new)
        await self._clock.sleep(self._limits.overlap_s)
        old.close()

    async def _wake_symbols(self, session: Session, now: int) -> None:
        """Symbols that fell silent while the connection lives are subscribed anew."""
        silent = self.parser.silent(now, int(self._limits.symbol_silence_s * NS_PER_SECOND))
        if not silent:
            return
        self._say("resubscribing", ", ".join(silent))
        self.parser.lost(silent, "silence", now, self._sink)
        streams = [s for name in silent for s in self._dialect.streams(self.instruments[name])]
        await self._or_reconnect(session, session.unsubscribe(streams))
        if not session.is_closed():
            await self._or_reconnect(session, session.subscribe(streams))
        if not session.is_closed():
            self.parser.subscribed(silent)
            self._say("connected", f"resubscribed {len(silent)} symbols")

    def _take(self, ts_recv: int, raw: bytes) -> None:
        self._sink.frame(ts_recv, raw)
        try:
            self.parser.parse(ts_recv, raw, self._sink)
        except Exception as error:
            # A fault of ours must not cost the frames that follow; this one lies in the archive [19].
            self._sink.nonsense("PARSER_FAULT", f"{type(error).__name__}: {error}", raw)
        if self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(self._limits.linger_s, self._flush)

    def _flush(self) -> None:
        self._flush_at = None
        self.parser.flush(self._clock.now_ns(), self._sink)

    # Books

    def _ask_snapshots(self) -> None:
        for symbol in self.parser.wanted_snapshots():
            if symbol not in self._snapshots and symbol in self.instruments:
                task = asyncio.get_running_loop().create_task(self._snapshot(self.instruments[symbol]))
                self._snapshots[symbol] = task

    async def _snapshot(self, instrument: Instrument) -> None:
        symbol = instrument.symbol
        try:
            try:
                frame, raw = await self._dialect.snapshot(instrument)
            except CandlewickError as error:
                self._sink.nonsense("NO_SNAPSHOT", f"{symbol}: {error.detail}", b"")
                pause_s = getattr(error, "retry_after_s", self._limits.snapshot_retry_s)
                if isinstance(error, VenueForbidden):
                    pause_s = max(pause_s, _FORBIDDEN_PAUSE_S)
                await self._clock.sleep(pause_s * (1 + self._random()))
                return
            now = self._clock.now_ns()
            self._sink.frame(now, frame)
            if not self.parser.snapshot(symbol, raw, now, self._sink):
                await self._clock.sleep(self._limits.snapshot_retry_s)
        finally:
            del self._snapshots[symbol]

    # Ends

    def _say(self, state: str, detail: str) -> None:
        changed = ConnectionChanged(self._dialect.exchange, self.name, state, detail, len(self.instruments))
        self._sink.message(changed, self._clock.now_ns())

    def _shut(self) -> None:
        for task in self._snapshots.values():
            task.cancel()
        if self._flush_at is not None:
            self._flush_at.cancel()
        if self._session is not None:
            self._session.close()
            self._session = None
            self.parser.lost(list(self.instruments), "closed", self._clock.now_ns(), self._sink)
        self.parser.flush(self._clock.now_ns(), self._sink)
        self._say("closed", "")
