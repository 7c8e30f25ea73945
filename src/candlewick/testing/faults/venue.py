"""Venues that break one law each."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from candlewick.contracts.base import Message, frozen
from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated, TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import CandleColumns
from candlewick.ports.venue import Feed, FrameParser, Sink, UnknownSymbol, Venue, VenueForbidden, VenueUnavailable
from candlewick.testing.conformance.harness import Fault

_Say = Callable[[Message, int], None]


class _Around:
    """Everything as the sound venue does it; what a feed says passes ``say``, what a parser says too."""

    def __init__(self, sound: Venue) -> None:
        self.sound = sound

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sound, name)

    def feed(self, symbols: Sequence[str], instruments: Sequence[Instrument], sink: Sink) -> Feed:
        return self.sound.feed(symbols, instruments, self.sink(sink))

    def sink(self, sink: Sink) -> "_Sink":
        return _Sink(sink, self.say)

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        say(message, ts_recv)


class _Sink:
    """Passes what is said through a fault."""

    def __init__(self, sound: Sink, fault: Callable[[Message, int, _Say], None]) -> None:
        self._sound = sound
        self._fault = fault

    def message(self, message: Message, ts_recv: int) -> None:
        self._fault(message, ts_recv, self._sound.message)

    def frame(self, ts_recv: int, raw: bytes) -> None:
        self._sound.frame(ts_recv, raw)

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        self._sound.nonsense(code, detail, raw)

    def is_congested(self) -> bool:
        return self._sound.is_congested()


class VenueSpelling(_Around):
    """Symbols as the venue spells them."""

    async def instruments(self) -> Sequence[Instrument]:
        return [msgspec.structs.replace(i, symbol=i.venue_symbol) for i in await self.sound.instruments()]


class RoundsSizes(_Around):
    """The last digit is lost."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, TradeBatch):
            c = message.columns_v1
            message = msgspec.structs.replace(
                message, columns_v1=msgspec.structs.replace(c, size=frozen(c.size // 10 * 10))
            )
        say(message, ts_recv)


class SwapsSides(_Around):
    """The maker's side instead of the taker's."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, TradeBatch):
            c = message.columns_v1
            side = frozen((1 - c.side).astype(np.uint8))
            message = msgspec.structs.replace(message, columns_v1=msgspec.structs.replace(c, side=side))
        say(message, ts_recv)


class KeepsFrames(_Around):
    """No frame reaches the recorder."""

    def sink(self, sink: Sink) -> _Sink:
        kept = super().sink(sink)
        kept.frame = lambda ts_recv, raw: None  # type: ignore[method-assign]
        return kept


class DeliversTwice(_Around):
    """Every batch comes again."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        say(message, ts_recv)
        if isinstance(message, TradeBatch):
            say(message, ts_recv)


class HidesGaps(_Around):
    """Missing ids are nobody's business."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if not isinstance(message, GapSuspected):
            say(message, ts_recv)


class PromisesAhead(_Around):
    """complete_through is the present, without a margin."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, Progress):
            message = msgspec.structs.replace(message, complete_through=ts_recv + 10_000_000)
        say(message, ts_recv)


class ProgressWithTradesOnly(_Around):
    """Time stands still while nothing trades."""

    def __init__(self, sound: Venue) -> None:
        super().__init__(sound)
        self._left = 2

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, TradeBatch):
            self._left = 2
        if isinstance(message, Progress):
            self._left -= 1
            if self._left < 0:
                return
        say(message, ts_recv)


class AlwaysAlive(_Around):
    """Claims to be alive whatever happens."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, Progress):
            message = msgspec.structs.replace(message, feed_alive=True)
        say(message, ts_recv)


class KeepsFirstQuote(_Around):
    """The first quote stays, newer ones are dropped."""

    def __init__(self, sound: Venue) -> None:
        super().__init__(sound)
        self._seen = False

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, QuoteUpdated):
            if self._seen:
                return
            self._seen = True
        say(message, ts_recv)


class WorstFirst(_Around):
    """Levels from the far end."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, BookUpdated):
            price, size = frozen(message.bid_price[::-1]), frozen(message.bid_size[::-1])
            message = msgspec.structs.replace(message, bid_price=price, bid_size=size)
        say(message, ts_recv)


class TrustsEveryBook(_Around):
    """A hole in the sequence is not told."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, BookUpdated) and not message.in_sequence:
            return
        say(message, ts_recv)


class Swallows(_Around):
    """Nonsense disappears."""

    def sink(self, sink: Sink) -> _Sink:
        quiet = super().sink(sink)
        quiet.nonsense = lambda code, detail, raw: None  # type: ignore[method-assign]
        return quiet


class FollowsNobody(_Around):
    """``follow``, ``unfollow`` and ``learn`` do nothing."""

    def feed(self, symbols: Sequence[str], instruments: Sequence[Instrument], sink: Sink) -> Feed:
        sound = self.sound.feed(symbols, instruments, sink)

        class Deaf:
            async def run(self) -> None:
                await sound.run()

            async def close(self) -> None:
                await sound.close()

            async def follow(self, symbols: Sequence[str]) -> None:
                if "NO-SUCH" in symbols:
                    raise UnknownSymbol("no")

            async def unfollow(self, symbols: Sequence[str]) -> None:
                return

            def learn(self, instruments: Sequence[Instrument]) -> None:
                return

            def waiting_bytes(self) -> int:
                return 0

        return Deaf()


class DropsWhenCongested(_Around):
    """What the sink cannot take is forgotten."""

    def sink(self, sink: Sink) -> _Sink:
        def fault(message: Message, ts_recv: int, say: _Say) -> None:
            if not (sink.is_congested() and isinstance(message, TradeBatch)):
                say(message, ts_recv)

        deaf = _Sink(sink, fault)
        deaf.is_congested = lambda: False  # type: ignore[method-assign]
        return deaf


class GivesTheOpenCandle(_Around):
    """The candle that is not over is given as final; the last one is doubled."""

    async def candles(self, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> CandleColumns:
        c = await self.sound.candles(symbol, timeframe, start_ns, end_ns)
        arrays = {f: getattr(c, f) for f in c.__struct_fields__ if isinstance(getattr(c, f), np.ndarray)}
        return msgspec.structs.replace(c, **{f: frozen(np.append(a, a[-1:])) for f, a in arrays.items()})


class EndIsInclusive(_Around):
    """Off by one candle."""

    async def candles(self, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> CandleColumns:
        return await self.sound.candles(symbol, timeframe, start_ns, end_ns + 1)


class ExcludesTheLast(_Around):
    """The last id is left out."""

    async def trades(self, symbol: str, first_id: int, last_id: int) -> TradeBatch:
        return await self.sound.trades(symbol, first_id, last_id - 1)


class Impatient(_Around):
    """Gives up instead of waiting."""

    async def server_time_ns(self) -> int:
        self.sound.rest.budget.silence = lambda seconds: None  # type: ignore[attr-defined]
        return await self.sound.server_time_ns()


class NeverTriesAgain(_Around):
    """One server error is the end."""

    async def server_time_ns(self) -> int:
        self.sound.rest._retries = 0  # type: ignore[attr-defined]
        return await self.sound.server_time_ns()


class CallsItUnavailable(_Around):
    """A refused region looks like a server that is down."""

    async def server_time_ns(self) -> int:
        try:
            return await self.sound.server_time_ns()
        except VenueForbidden as error:
            raise VenueUnavailable(error.detail) from error


class _Parser:
    """A parser as the sound venue makes it."""

    def __init__(self, sound: FrameParser) -> None:
        self.sound = sound

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sound, name)


class DropsBlockEnds(_Around):
    """The last frame of a block is forgotten."""

    def parser(self, instruments: Sequence[Instrument]) -> Any:
        class Short(_Parser):
            def parse_many(self, frames: Sequence[tuple[int, bytes]], sink: Sink) -> None:
                self.sound.parse_many(frames[:-1] if len(frames) > 1 else frames, sink)

        return Short(self.sound.parser(instruments))


class ForgetsEverything(_Around):
    """A checkpoint restores nothing."""

    def parser(self, instruments: Sequence[Instrument]) -> Any:
        class Fresh(_Parser):
            def restore(self, saved: bytes) -> None:
                return

        return Fresh(self.sound.parser(instruments))


class RaisesWhenDown(_Around):
    """An unreachable venue is an error."""

    async def is_reachable(self, timeout_s: float) -> bool:
        if not await self.sound.is_reachable(timeout_s):
            raise AssertionError("not reachable")
        return True


class DeafToSilence(_Around):
    """Silence is told as a disconnect that never was, and the hole keeps its wrong reason."""

    def say(self, message: Message, ts_recv: int, say: _Say) -> None:
        if isinstance(message, GapSuspected) and message.reason == "silence":
            message = msgspec.structs.replace(message, reason="disconnect")
        say(message, ts_recv)


FAULTS = [
    Fault("test_01_instruments", "the venue's spelling", VenueSpelling),
    Fault("test_02_trades_arrive_exactly", "a digit lost", RoundsSizes),
    Fault("test_02_trades_arrive_exactly", "sides swapped", SwapsSides),
    Fault("test_02_trades_arrive_exactly", "delivered twice", DeliversTwice),
    Fault("test_03_frames_come_first", "no frames", KeepsFrames),
    Fault("test_04_duplicates_and_missing_ids", "delivered twice", DeliversTwice),
    Fault("test_04_duplicates_and_missing_ids", "gap hidden", HidesGaps),
    Fault("test_05_progress", "promises ahead", PromisesAhead),
    Fault("test_05_progress", "only with trades", ProgressWithTradesOnly),
    Fault("test_06_a_lost_connection_is_healed_and_told", "always alive", AlwaysAlive),
    Fault("test_06_a_lost_connection_is_healed_and_told", "hole hidden", HidesGaps),
    Fault("test_07_silence", "wrong reason", DeafToSilence),
    Fault("test_08_quotes", "first quote kept", KeepsFirstQuote),
    Fault("test_09_books", "worst first", WorstFirst),
    Fault("test_09_books", "hole hidden", TrustsEveryBook),
    Fault("test_10_nonsense", "swallowed", Swallows),
    Fault("test_11_follow_and_unfollow", "follows nobody", FollowsNobody),
    Fault("test_12_a_congested_sink", "dropped", DropsWhenCongested),
    Fault("test_13_candles", "one too many", GivesTheOpenCandle),
    Fault("test_13_candles", "end inclusive", EndIsInclusive),
    Fault("test_14_trades_by_id", "last excluded", ExcludesTheLast),
    Fault("test_15_silence_that_is_asked_for", "impatient", Impatient),
    Fault("test_16_refusals", "never tries again", NeverTriesAgain),
    Fault("test_16_refusals", "called unavailable", CallsItUnavailable),
    Fault("test_17_many_frames_at_once", "block ends dropped", DropsBlockEnds),
    Fault("test_18_checkpoints", "forgotten", ForgetsEverything),
    Fault("test_19_reachable", "raises", RaisesWhenDown),
    Fault("test_20_instruments_are_learned", "learns nothing", FollowsNobody),
]
