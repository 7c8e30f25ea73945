"""The demo market as a venue: everything a venue is asked, answered by the model for the time that is now."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from candlewick.adapters.venues.demo.columns import candle_columns, trade_batch
from candlewick.adapters.venues.demo.feed import DemoFeed
from candlewick.adapters.venues.demo.rows import HOUR_S, MINUTE_S, PastHours, longer, minutes
from candlewick.contracts.collector import TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import SECONDS, open_of, seconds_of
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Rejected
from candlewick.ports.venue import FrameParser, Sink, UnknownSymbol, VenueInfo
from candlewick.quant.market_model.columns import ModelTrades
from candlewick.quant.market_model.model import MarketModel
from candlewick.quant.market_model.symbols import EXCHANGE

T = TypeVar("T")

# Candles are kept for 53 weeks: half a second of work a symbol when a first start asks for all of them.
CANDLES_KEPT_NS: Final = 53 * 7 * 86_400 * NS_PER_SECOND
# A month of trades of the busiest symbol is 1.3 million.
TRADES_KEPT_NS: Final = 31 * 86_400 * NS_PER_SECOND
_PAGE: Final = 1000
_WEEK_S: Final = SECONDS["1w"]


class NoFrames(Rejected):
    """A venue without a wire has no raw frames to understand."""

    code = "DEMO_NO_FRAMES"


class TimeframeNotServed(Rejected):
    """The demo market keeps no candles shorter than a minute."""

    code = "DEMO_TIMEFRAME"


class DemoVenue:
    """ports.venue.Venue without a network. Times are ``clock``'s; what has not happened by then is not told.

    Questions about the past are answered in a thread, one at a time, so that a year of candles (half a second of
    work) holds no socket up. Candles have origin SIMULATED; a minute in which the venue was halted is flat and EMPTY,
    and every candle carries all trades, also those that the live feed withheld.
    """

    info: Final = VenueInfo(
        name=EXCHANGE,
        title="Demo market (simulated)",
        simulated=True,
        candle_timeframes=tuple(name for name, seconds in SECONDS.items() if seconds >= MINUTE_S),
        candles_per_request=_PAGE,
    )

    def __init__(self, clock: Clock, *, seed: int = 1) -> None:
        self._clock, self._seed = clock, seed
        self._model = MarketModel(seed)  # the thread's alone; feeds have their own
        self._hours = PastHours(self._model)
        self._instruments = {i.symbol: i for i in self._model.instruments}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="demo-venue")

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Questions that wait are not answered any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def is_reachable(self, timeout_s: float) -> bool:
        """Always."""
        return True

    async def instruments(self) -> Sequence[Instrument]:
        return tuple(self._instruments.values())

    async def server_time_ns(self) -> int:
        return self._clock.now_ns()

    async def candles(self, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> CandleColumns:
        """As the port says, with origin SIMULATED. Raises UnknownSymbol, UnknownTimeframe, TimeframeNotServed."""
        seconds = seconds_of(timeframe)
        if seconds < MINUTE_S:
            raise TimeframeNotServed(
                f"timeframe must be one of {', '.join(self.info.candle_timeframes)}, was {timeframe!r}"
            )
        self._known(symbol)
        instrument, now = self._instruments[symbol], self._clock.now_ns()
        first = max(_open_from(start_ns, seconds), open_of(now - CANDLES_KEPT_NS, _WEEK_S))
        end = max(first, open_of(min(_open_from(end_ns, seconds), now), seconds))

        def ask() -> CandleColumns:
            if seconds < HOUR_S:
                rows = minutes(self._model, symbol, first, end)
            else:
                rows = self._hours.hours(symbol, first, end)
            if seconds not in {MINUTE_S, HOUR_S}:
                rows = longer(rows, seconds)
            return candle_columns(rows, seconds, instrument.price_scale, instrument.size_scale)

        return await self._ask(ask)

    async def trades(self, symbol: str, first_id: int, last_id: int) -> TradeBatch:
        """As the port says, origin SIMULATED; the last 31 days are kept. Raises UnknownSymbol."""
        self._known(symbol)
        now = self._clock.now_ns()

        def ask() -> ModelTrades:
            oldest = self._model.next_id(symbol, now - TRADES_KEPT_NS)
            newest = self._model.next_id(symbol, now) - 1
            low, high = max(first_id, oldest), min(last_id, newest)
            if low > high:
                return self._model.trades(symbol, now, now)
            return self._model.trades_by_id(symbol, low, high)

        return trade_batch(symbol, await self._ask(ask), now)

    def parser(self, instruments: Sequence[Instrument]) -> FrameParser:
        """Raises NoFrames."""
        raise NoFrames(f"the demo market has no recordings; record a real venue, was {self.info.name!r}")

    def feed(self, symbols: Sequence[str], instruments: Sequence[Instrument], sink: Sink) -> DemoFeed:
        """A feed that begins when it is run. Raises UnknownSymbol."""
        return DemoFeed(MarketModel(self._seed), self._clock, symbols, sink)

    def _known(self, symbol: str) -> None:
        if symbol not in self._instruments:
            raise UnknownSymbol(f"the demo market trades {', '.join(self._instruments)}, was {symbol!r}")

    async def _ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)


def _open_from(ts_ns: int, seconds: int) -> int:
    """The first open time at or after an instant."""
    opens = open_of(ts_ns, seconds)
    return opens if opens == ts_ns else opens + seconds * NS_PER_SECOND
