"""The followed symbols' windows: filled from history, kept up to date by the log, read by pages."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from candlewick.contracts import codec
from candlewick.contracts.collector import BookUpdated, QuoteUpdated, TradeBatch
from candlewick.contracts.history import CandlesFetched, CandlesRepaired
from candlewick.contracts.market import Instrument, SymbolAdded, SymbolDeleted
from candlewick.contracts.stream import CandleBatch, CandleColumns
from candlewick.contracts.timeframes import NAMES, SECONDS
from candlewick.contracts.topics import MARKET_SYMBOLS, OPEN_OHLCV
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Retryable
from candlewick.ports.log import Position
from candlewick.ports.runtime import Event, Messaging, ServiceClient, UnitOfWork
from candlewick.ports.venue import Venue
from candlewick.quant.candles.values import to_arrays
from candlewick.quant.windows.ring import FIELDS
from candlewick.services.market.domain.state import OLDEST, Place, Places, SymbolState, discovered, positions_of
from candlewick.services.market.errors import (
    ExchangeNotFollowed,
    HistoryFailed,
    SymbolNotFollowed,
    SymbolNotListed,
    SymbolTaken,
)
from candlewick.services.market.handlers.pages import Found, Page, cursor_of, fitted, inside
from candlewick.services.market.ports import SymbolTable
from candlewick.services.market.settings import MarketSettings

_NS = 1_000_000
_LOOK_EVERY_S = 0.02
_LOAD_AGAIN_S = 0.2
_LOADED_WITHIN_S = 5.0
Key = tuple[str, str]


class Market:
    """The followed symbols' state, kept up to date by followers."""

    def __init__(
        self,
        settings: MarketSettings,
        table: SymbolTable,
        messaging: Messaging,
        history: ServiceClient,
        clock: Clock,
        logger: Any,
        *,
        discover: bool = False,
    ) -> None:
        """``discover``: follow every symbol that is heard of, as replays do."""
        self._settings, self._table, self._messaging, self._history = settings, table, messaging, history
        self._clock, self._logger = clock, logger
        self.states: dict[Key, SymbolState] = {}
        self.places = Places()
        self.symbols_changed = asyncio.Event()
        self._discover = discover
        self._unloaded: asyncio.Queue[Key] = asyncio.Queue()
        self._loading: dict[Key, asyncio.Event] = {}

    # -- symbols -----------------------------------------------------------------------------------------------

    async def follow_first(self, venue: Venue) -> None:
        """On the first start, follow the configured symbols that the venue lists; waits for the venue."""
        listed = {i.symbol: i for i in await venue.instruments()}
        wanted = [listed[s] for s in self._settings.symbols if s in listed]
        missing = [s for s in self._settings.symbols if s not in listed]
        if missing:
            self._logger.warning("symbols are not listed", symbols=missing, exchange=venue.info.name)

        async def work(unit: UnitOfWork) -> None:
            now = self._clock.now_ns()
            for place, instrument in enumerate(wanted):
                if await self._table.add(unit, instrument, now + place):
                    unit.emit(MARKET_SYMBOLS.name, SymbolAdded(instrument), ts_event=now)

        await self._messaging.unit_of_work(work)
        for instrument in wanted:
            self.add_state(instrument)

    async def announce(self, known: Sequence[Instrument]) -> None:
        """Tell a log that has not heard of them of symbols that are followed already."""

        async def work(unit: UnitOfWork) -> None:
            for instrument in known:
                unit.emit(MARKET_SYMBOLS.name, SymbolAdded(instrument), ts_event=self._clock.now_ns())

        await self._messaging.unit_of_work(work)

    async def add_symbol(self, venue: Venue, symbol: str) -> Instrument:
        """Follow one more symbol. Raises ExchangeNotFollowed, SymbolNotListed, SymbolTaken."""
        self.check_exchange(venue)
        instrument = next((i for i in await venue.instruments() if i.symbol == symbol), None)
        if instrument is None:
            raise SymbolNotListed(f"{venue.info.name} does not list the symbol, was {symbol!r}")

        async def work(unit: UnitOfWork) -> bool:
            now = self._clock.now_ns()
            added = await self._table.add(unit, instrument, now)
            if added:
                unit.emit(MARKET_SYMBOLS.name, SymbolAdded(instrument), ts_event=now)
            return added

        if not await self._messaging.unit_of_work(work):
            raise SymbolTaken(f"the symbol is followed already, was {symbol!r}")
        self.add_state(instrument)
        with suppress(HistoryFailed):  # it is loaded later then, and pages wait for it
            await self._loaded((instrument.exchange, instrument.symbol))
        return instrument

    def check_exchange(self, venue: Venue) -> None:
        """Raises ExchangeNotFollowed for any but the one whose symbols are followed here."""
        if venue.info.name != self._settings.exchange:
            raise ExchangeNotFollowed(
                f"symbols of {self._settings.exchange} are followed here, was {venue.info.name!r}",
                hint="Start with --exchange to follow another",
            )

    async def remove_symbol(self, exchange: str, symbol: str) -> None:
        """No longer follow a symbol; its stored candles stay. Raises SymbolNotFollowed."""

        async def work(unit: UnitOfWork) -> bool:
            removed = await self._table.remove(unit, exchange, symbol)
            if removed:
                unit.emit(MARKET_SYMBOLS.name, SymbolDeleted(exchange, symbol), ts_event=self._clock.now_ns())
            return removed

        if not await self._messaging.unit_of_work(work):
            raise SymbolNotFollowed(f"{exchange} symbol is not followed, was {symbol!r}")
        self.states.pop((exchange, symbol), None)
        self._loading.pop((exchange, symbol), None)

    def add_state(self, instrument: Instrument) -> SymbolState:
        """The state of a followed symbol; a new one is filled from history by ``load_new``."""
        key = (instrument.exchange, instrument.symbol)
        if key not in self.states:
            self.states[key] = SymbolState(instrument, self._settings.ring_size)
            self._loading[key] = asyncio.Event()
            self._unloaded.put_nowait(key)
        return self.states[key]

    def state(self, exchange: str, symbol: str) -> SymbolState:
        """Raises SymbolNotFollowed."""
        found = self.states.get((exchange, symbol))
        if found is None:
            known = ", ".join(sorted(s for e, s in self.states if e == exchange)[:12]) or "none"
            raise SymbolNotFollowed(
                f"{exchange} symbol is not followed, was {symbol!r}", hint=f"Followed there: {known}"
            )
        return found

    def find(self, symbol: str, exchange: str | None) -> SymbolState:
        """A followed symbol written BTC-USDT, BTC/USDT or BTCUSDT; the first exchange that has it if none is named."""
        wanted = symbol.upper().replace("/", "-")
        for (at, name), state in self.states.items():
            if exchange in (None, at) and wanted in (name, name.replace("-", ""), state.instrument.venue_symbol):
                return state
        raise SymbolNotFollowed(f"symbol is not followed{f' on {exchange}' if exchange else ''}, was {symbol!r}")

    # -- windows -----------------------------------------------------------------------------------------------

    async def stand(self) -> Mapping[Place, Position]:
        """Where to follow candles from: behind what history has stored, or from the oldest that the log keeps where it
        has nothing or does not answer. A replay goes on with the symbols that are stored."""
        positions: Mapping[Place, Position] = {}
        try:
            status, headers, body = await self._history.get("/history/series")
            if status != 200:
                raise HistoryFailed(f"history answered {status} for /history/series")
            positions = positions_of(headers)
            if self._discover:
                for exchange, symbol in sorted(
                    {(s["exchange"], s["symbol"]) for s in msgspec.json.decode(body)["series"]}
                ):
                    columns, _ = await self._ask_history(Page(exchange, symbol, SECONDS["1s"], None, None, 1))
                    self.add_state(discovered(exchange, symbol, columns))
        except Retryable as error:
            self._logger.warning("history does not answer yet; the log is read instead", code=error.code)
        return self.places.begin(positions)

    async def load_new(self) -> None:
        """Fill the windows of new symbols from history, again and again while it does not answer; until cancelled."""
        is_told = False
        while True:
            key = await self._unloaded.get()
            try:
                await self._load(key)
                is_told = False
            except Retryable as error:
                if not is_told:
                    self._logger.warning("candles are not loaded yet", code=error.code, detail=error.detail)
                is_told = True
                self._unloaded.put_nowait(key)
                await self._clock.sleep(_LOAD_AGAIN_S)

    async def _load(self, key: Key) -> None:
        """What the follower passed by before the symbol was known must be in the store first [13]."""
        state, passed = self.states.get(key), self.places.of(*key)
        if state is None:
            return
        pages = [Page(*key, seconds, None, None, self._settings.ring_size) for seconds in NAMES]
        for columns in await asyncio.gather(*(self._stored(page, passed) for page in pages)):
            state.windows.apply(columns)
        if (event := self._loading.pop(key, None)) is not None:
            event.set()

    async def _stored(self, page: Page, passed: Mapping[Place, Position]) -> CandleColumns:
        """The page once history has stored everything up to ``passed``."""
        while True:
            columns, at = await self._ask_history(page)
            if all(at.get(place, OLDEST) >= position for place, position in passed.items()):
                return columns
            await self._clock.sleep(_LOOK_EVERY_S)

    async def loaded(self) -> None:
        """Wait for the windows of all symbols, but not for a history that does not answer."""
        for key in list(self._loading):
            try:
                await self._loaded(key)
            except HistoryFailed:
                return

    async def _loaded(self, key: Key) -> None:
        """Raises HistoryFailed when the windows are not filled in time."""
        if (event := self._loading.get(key)) is not None:
            try:
                async with asyncio.timeout(_LOADED_WITHIN_S):
                    await event.wait()
            except TimeoutError:
                raise HistoryFailed(f"history has not given its candles yet, was {key[1]!r}") from None

    async def _ask_history(self, page: Page) -> tuple[CandleColumns, Mapping[tuple[str, int], Position]]:
        params = {"limit": str(page.limit)}
        if page.start is not None:
            params["start_ns"] = str(page.start * _NS)
        if page.end is not None:
            params["end_ns" if page.start is not None else "before_ns"] = str(page.end * _NS)
        if page.as_of is not None:
            params["as_of_ns"] = str(page.as_of * _NS)
        path = f"/history/candles/{page.exchange}/{page.symbol}/{NAMES[page.seconds]}"
        status, headers, body = await self._history.get(path, params)
        if status != 200:
            raise HistoryFailed(f"history answered {status} for {path}")
        message = codec.decode(CandleBatch.__name__, body)
        assert isinstance(message, CandleBatch)
        return message.columns_v1, positions_of(headers)

    def on_symbols(self, _: Sequence[Event]) -> None:
        """Follower of what this service says of symbols: another process of it may have said it. Events come later than
        what they tell of, so they only say that the table is worth a look."""
        self.symbols_changed.set()

    def agree(self, known: Sequence[Instrument]) -> None:
        """Follow what the table has, as it has it, and no other symbol of its exchange."""
        for instrument in known:
            self.add_state(instrument).instrument = instrument
        wanted = {(instrument.exchange, instrument.symbol) for instrument in known}
        for key in [key for key in self.states if key[0] == self._settings.exchange and key not in wanted]:
            self.states.pop(key)
            self._loading.pop(key, None)

    def on_events(self, events: Sequence[Event]) -> None:
        """Follower of everything about prices."""
        for event in events:
            self.places.reach(event.topic, event.partition, event.position)
            message = event.message
            if isinstance(message, (CandleBatch, CandlesFetched, CandlesRepaired)):
                state = self._followed(message)
                if state is None:
                    continue
                if event.topic == OPEN_OHLCV.name:
                    state.windows.apply_open(message.columns_v1)
                else:
                    state.windows.apply(message.columns_v1)
            elif isinstance(message, TradeBatch):
                if state := self._followed(message):
                    state.on_trades(message)
            elif isinstance(message, QuoteUpdated):
                if state := self.states.get((message.exchange, message.symbol)):
                    state.on_quote(message, event.envelope.ts_event // _NS)
            elif isinstance(message, BookUpdated) and (state := self.states.get((message.exchange, message.symbol))):
                state.on_book(message, event.envelope.ts_event // _NS)

    def _followed(self, message: CandleBatch | CandlesFetched | CandlesRepaired | TradeBatch) -> SymbolState | None:
        """The symbol's state; in a replay a symbol is followed when the recording first speaks of it."""
        state = self.states.get((message.exchange, message.symbol))
        if state is None and self._discover:
            state = self.add_state(discovered(message.exchange, message.symbol, message.columns_v1))
        return state

    # -- pages -------------------------------------------------------------------------------------------------

    def from_memory(self, page: Page) -> Found | None:
        """The page from the rings; None when it reaches behind them or asks for the past's view."""
        key = (page.exchange, page.symbol)
        state = self.states.get(key)
        if state is None or page.as_of is not None or key in self._loading:
            return None
        ring = state.windows.rings[page.seconds]
        count = len(ring)
        end = count if page.end is None else ring.between(0, page.end)[1]
        if page.start is None:
            if end < page.limit and not self._is_whole(count):
                return None
            first, last = max(0, end - page.limit), end
            cursor = (
                cursor_of("before", int(ring.slice(first, first + 1)["open_time_ms"][0]))
                if last - first == page.limit
                else None
            )
        else:
            if page.start < ring.first_open_ms and not self._is_whole(count):
                return None
            first = ring.between(page.start, page.start)[0]
            last = min(end, first + page.limit)
            more = last < end
            cursor = cursor_of("from", int(ring.slice(last, last + 1)["open_time_ms"][0])) if more else None
        open_rows = None
        if last == count:
            open_rows = inside(state.windows.open_rows(page.seconds), page)
        return fitted(
            page, Found(ring.slice(first, last), ring.encoded(first, last), open_rows, cursor, self.places.of(*key))
        )

    def _is_whole(self, count: int) -> bool:
        """A ring that is not full holds all there is, once something was loaded."""
        return 0 < count < self._settings.ring_size

    async def page(self, page: Page) -> Found:
        """A page of candles, from memory or else from history. Raises SymbolNotFollowed where nothing is known,
        HistoryFailed."""
        await self._loaded((page.exchange, page.symbol))
        found = self.from_memory(page)
        if found is not None:
            return found
        columns, stored = await self._ask_history(page)
        at = {place: stored.get(place, OLDEST) for place in self.places.of(page.exchange, page.symbol)}
        state = self.states.get((page.exchange, page.symbol))
        if not len(columns.open_time) and state is None:
            self.state(page.exchange, page.symbol)
        arrays = to_arrays(columns)
        rows = {name: getattr(arrays, name) for name, _ in FIELDS}
        cursor = None
        if len(rows["open"]) == page.limit:
            cursor = (
                cursor_of("before", int(rows["open_time_ms"][0]))
                if page.start is None
                else cursor_of("from", int(rows["open_time_ms"][-1]) + 1)
            )
        open_rows = None
        if state is not None and page.as_of is None and (page.start is None or cursor is None):
            open_rows = inside(state.windows.open_rows(page.seconds), page)
            if open_rows is not None and len(rows["open"]) and open_rows["open_time_ms"][0] <= rows["open_time_ms"][-1]:
                open_rows = None
        return fitted(page, Found(rows, [], open_rows, cursor, at))
