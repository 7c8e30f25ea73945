"""Use cases of the market service: following symbols, keeping windows, answering pages of candles."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from candlewick.contracts import codec
from candlewick.contracts.collector import BookUpdated, QuoteUpdated, TradeBatch
from candlewick.contracts.history import CandlesFetched, CandlesRepaired
from candlewick.contracts.market import Instrument, SymbolAdded, SymbolDeleted
from candlewick.contracts.stream import CandleBatch, CandleColumns
from candlewick.contracts.timeframes import NAMES
from candlewick.contracts.topics import MARKET_SYMBOLS, OPEN_OHLCV
from candlewick.kernel.clock import Clock
from candlewick.ports.log import Position
from candlewick.ports.runtime import Event, Messaging, ServiceClient, UnitOfWork
from candlewick.ports.venue import Venue
from candlewick.quant.candles.values import to_arrays
from candlewick.quant.windows.ring import FIELDS
from candlewick.quant.windows.symbol import Rows
from candlewick.services.market.domain import SymbolState
from candlewick.services.market.errors import (
    BadQuery,
    ExchangeNotFollowed,
    HistoryFailed,
    SymbolNotFollowed,
    SymbolNotListed,
    SymbolTaken,
)
from candlewick.services.market.ports import SymbolTable
from candlewick.services.market.settings import MarketSettings

_NS = 1_000_000
LATEST_MS = (1 << 42) - 1  # in 2109; what comes later does not fit an int64 of nanoseconds with room to add
Key = tuple[str, str]


class Page(msgspec.Struct, frozen=True):
    """What a reader asked for; times in ms, ``end`` exclusive."""

    exchange: str
    symbol: str
    seconds: int
    start: int | None
    end: int | None
    limit: int
    as_of: int | None = None


class Found(msgspec.Struct, frozen=True):
    """A page of candles: final rows oldest first, JSON of each, the open ones if they belong, the next cursor."""

    rows: Rows
    encoded: list[bytes]
    open_rows: Rows | None
    next: str | None


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
        self._discover = discover

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

    async def add_symbol(self, venue: Venue, symbol: str) -> Instrument:
        """Follow one more symbol. Raises ExchangeNotFollowed, SymbolNotListed, SymbolTaken."""
        if venue.info.name != self._settings.exchange:
            raise ExchangeNotFollowed(
                f"symbols of {self._settings.exchange} are followed here, was {venue.info.name!r}",
                hint="Start with --exchange to follow another",
            )
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
        await self.load(instrument.exchange, instrument.symbol)
        return instrument

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

    def add_state(self, instrument: Instrument) -> SymbolState:
        """The state of a followed symbol, made if it is new."""
        key = (instrument.exchange, instrument.symbol)
        if key not in self.states:
            self.states[key] = SymbolState(instrument, self._settings.ring_size)
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

    async def load(self, exchange: str, symbol: str) -> Mapping[tuple[str, int], Position]:
        """Fill the windows of a symbol from history; returns the log positions that the rows include [13]."""
        positions: Mapping[tuple[str, int], Position] = {}
        state = self.states[exchange, symbol]
        for seconds in NAMES:
            columns, at = await self._ask_history(Page(exchange, symbol, seconds, None, None, self._settings.ring_size))
            positions = positions or at
            state.windows.apply(columns)
        return positions

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
        positions = {
            (topic, int(part)): Position(int(epoch), int(offset))
            for topic, part, epoch, offset in json.loads(headers.get("x-log-positions", "[]"))
        }
        return message.columns_v1, positions

    def on_events(self, events: Sequence[Event]) -> None:
        """Follower of everything about prices."""
        for event in events:
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
            columns = message.columns_v1
            base, _, quote = message.symbol.partition("-")
            state = self.add_state(
                Instrument(
                    message.exchange,
                    message.symbol,
                    base + quote,
                    base,
                    quote,
                    f"{10.0**-columns.price_scale:.18f}".rstrip("0"),
                    f"{10.0**-columns.size_scale:.18f}".rstrip("0"),
                    columns.price_scale,
                    columns.size_scale,
                )
            )
        return state

    # -- pages -------------------------------------------------------------------------------------------------

    def from_memory(self, page: Page) -> Found | None:
        """The page from the rings; None when it reaches behind them or asks for the past's view."""
        state = self.states.get((page.exchange, page.symbol))
        if state is None or page.as_of is not None:
            return None
        ring = state.windows.rings[page.seconds]
        count = len(ring)
        end = count if page.end is None else ring.between(0, page.end)[1]
        if page.start is None:
            if end < page.limit and not self._is_whole(count):
                return None
            first, last = max(0, end - page.limit), end
            cursor = (
                _cursor("before", int(ring.slice(first, first + 1)["open_time_ms"][0]))
                if last - first == page.limit
                else None
            )
        else:
            if page.start < ring.first_open_ms and not self._is_whole(count):
                return None
            first = ring.between(page.start, page.start)[0]
            last = min(end, first + page.limit)
            more = last < end
            cursor = _cursor("from", int(ring.slice(last, last + 1)["open_time_ms"][0])) if more else None
        open_rows = None
        if last == count:
            open_rows = _inside(state.windows.open_rows(page.seconds), page)
        return _fitted(page, Found(ring.slice(first, last), ring.encoded(first, last), open_rows, cursor))

    def _is_whole(self, count: int) -> bool:
        """A ring that is not full holds all there is, once something was loaded."""
        return 0 < count < self._settings.ring_size

    async def page(self, page: Page) -> Found:
        """A page of candles, from memory or else from history. Raises SymbolNotFollowed where nothing is known."""
        found = self.from_memory(page)
        if found is not None:
            return found
        columns, _ = await self._ask_history(page)
        state = self.states.get((page.exchange, page.symbol))
        if not len(columns.open_time) and state is None:
            self.state(page.exchange, page.symbol)
        arrays = to_arrays(columns)
        rows = {name: getattr(arrays, name) for name, _ in FIELDS}
        cursor = None
        if len(rows["open"]) == page.limit:
            cursor = (
                _cursor("before", int(rows["open_time_ms"][0]))
                if page.start is None
                else _cursor("from", int(rows["open_time_ms"][-1]) + 1)
            )
        open_rows = None
        if state is not None and page.as_of is None and (page.start is None or cursor is None):
            open_rows = _inside(state.windows.open_rows(page.seconds), page)
            if open_rows is not None and len(rows["open"]) and open_rows["open_time_ms"][0] <= rows["open_time_ms"][-1]:
                open_rows = None
        return _fitted(page, Found(rows, [], open_rows, cursor))


def _fitted(page: Page, found: Found) -> Found:
    """At most ``limit`` candles, open ones counted: a page of the newest gives up its oldest, one from a start on
    leaves the open ones to the next page."""
    if found.open_rows is None:
        return found
    final, waiting = len(found.rows["open"]), len(found.open_rows["open"])
    excess = final + waiting - page.limit
    if excess <= 0:
        return found
    if page.start is not None:
        kept = waiting - excess
        following = _cursor("from", int(found.open_rows["open_time_ms"][kept]))
        open_rows = _cut(found.open_rows, 0, kept) if kept else None
        return Found(found.rows, found.encoded, open_rows, following)
    dropped = min(excess, final)
    rows = _cut(found.rows, dropped, final)
    open_rows = _cut(found.open_rows, excess - dropped, waiting)
    oldest = rows if dropped < final else open_rows
    return Found(rows, found.encoded[dropped:], open_rows, _cursor("before", int(oldest["open_time_ms"][0])))


def _cut(rows: Rows, first: int, last: int) -> Rows:
    return {name: array[first:last] for name, array in rows.items()}


def _inside(rows: Rows | None, page: Page) -> Rows | None:
    """The open candles that the page asks for."""
    if rows is None:
        return None
    times = rows["open_time_ms"]
    wanted = (times >= (page.start or 0)) & (times < (page.end if page.end is not None else 1 << 62))
    return {name: array[wanted] for name, array in rows.items()} if wanted.any() else None


def _cursor(kind: str, time_ms: int) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{time_ms}".encode()).decode().rstrip("=")


def with_cursor(page: Page, cursor: str) -> Page:
    """The page that a cursor goes on with. Raises BadQuery."""
    try:
        kind, _, text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        time_ms = int(text)
        field = {"before": "end", "from": "start"}[kind]
        if not 0 <= time_ms <= LATEST_MS:
            raise ValueError
    except (ValueError, KeyError):
        raise BadQuery(f"cursor must be the 'next' of an earlier page, was {cursor[:60]!r}") from None
    return msgspec.structs.replace(page, **{field: time_ms})
