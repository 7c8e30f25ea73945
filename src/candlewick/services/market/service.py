"""The market service: wiring."""

import asyncio
from pathlib import Path

import msgspec

from candlewick.contracts.topics import MARKET_SYMBOLS
from candlewick.kernel.errors import Retryable
from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context
from candlewick.services.market.api.hot import HotCandles
from candlewick.services.market.api.routes import new_router
from candlewick.services.market.api.schemas import SCHEMAS
from candlewick.services.market.handlers.listing import Listing
from candlewick.services.market.handlers.market import Market
from candlewick.services.market.settings import MarketSettings
from candlewick.services.market.storage import SqlListingTable, SqlSymbolTable

_FOLLOWED = (
    "normalized.ohlcv", "normalized.ohlcv-open", "history.candles", "raw.market-data", "raw.ticker", "raw.book",
)  # fmt: skip
_RETRY_S = 5.0


class MarketService:
    """Windows from a snapshot and what comes after it; symbols from its own table."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._table = SqlSymbolTable()
        self._market = Market(
            context.settings,
            self._table,
            context.messaging,
            context.client("history"),
            context.clock,
            context.logger,
            discover=context.mode == "replay",
        )
        self._listing = Listing(
            self._table,
            SqlListingTable(),
            context.messaging,
            context.clock,
            context.logger,
            every_s=context.settings.refresh_minutes * 60,
        )
        self.router = new_router(self._market, self._listing, context)
        self.hot = {"/ohlcv/": HotCandles(self._market)}
        self.schemas: tuple[type[msgspec.Struct], ...] = SCHEMAS

    async def start(self) -> None:
        settings: MarketSettings = self._context.settings
        # Before the table is read: what another process of this service adds from here on is heard of.
        await self._context.messaging.follow((MARKET_SYMBOLS.name,), self._market.on_symbols)
        async with self._context.database.reading() as tx:
            known = await self._table.followed(tx, settings.exchange)
        for instrument in known:
            self._market.add_state(instrument)
        places = await self._market.stand()
        await self._context.messaging.follow(_FOLLOWED, self._market.on_events, after=places)
        self._context.background("load candles", self._market.load_new())
        await self._market.loaded()
        if self._context.mode != "replay":
            self._context.background("symbols", self._agree(settings.exchange))
        if known and self._context.mode != "replay" and await self._is_log_new():
            await self._market.announce(known)
            await self._listing.announce(settings.exchange)
        if not known and self._context.mode != "replay":
            first = asyncio.ensure_future(self._first_symbols(settings.exchange))
            self._context.background("first symbols", first)
        if self._context.mode != "replay":
            self._context.background("listing", self._listing.watch(self._context.venue(settings.exchange)))

    async def _agree(self, exchange: str) -> None:
        """Look at the table whenever a process of this service has said that it changed; until cancelled."""
        while True:
            await self._market.symbols_changed.wait()
            self._market.symbols_changed.clear()
            try:
                async with self._context.database.reading() as tx:
                    known = await self._table.followed(tx, exchange)
            except Retryable as error:
                self._context.logger.warning("symbols are not looked at yet", code=error.code)
                self._market.symbols_changed.set()
                await self._context.clock.sleep(_RETRY_S)
            else:
                self._market.agree(known)

    async def _is_log_new(self) -> bool:
        """Whether no symbol was ever told of in this log: the table came back from a backup without it."""
        context = self._context
        looker = await context.log.consumer([MARKET_SYMBOLS.name], group=None, member=context.member, start="oldest")
        try:
            return not await looker.end_positions()
        finally:
            await looker.close()

    async def _first_symbols(self, exchange: str) -> None:
        """Wait for the venue to name its instruments; readiness does not wait for it [20]."""
        while True:
            try:
                await self._market.follow_first(self._context.venue(exchange))
            except Retryable as error:
                self._context.logger.warning("venue does not answer yet", exchange=exchange, code=error.code)
                await self._context.clock.sleep(_RETRY_S)
            else:
                return

    async def stop(self) -> None:
        """Nothing in hand: all state is in the log, the table and memory."""

    def health(self) -> Health:
        return Health(State.READY, facts={"symbols": len(self._market.states)})


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="market",
    place=1,
    purpose="Price, ticker, candles and indicators of the followed symbols; which symbols are followed.",
    settings=MarketSettings,
    build=MarketService,
    consumes=tuple(Subscription(topic, "broadcast") for topic in (*_FOLLOWED, MARKET_SYMBOLS.name)),
    produces=("market.symbols", "market.markets"),
    calls=("history",),
    needs=frozenset({"database"}),
    schema=Path(__file__).parent / "schema",
)
