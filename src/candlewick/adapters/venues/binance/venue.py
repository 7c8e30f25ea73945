"""Binance spot as a venue."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from candlewick.adapters.venues._connection.dialect import Limits
from candlewick.adapters.venues._connection.feed import LiveFeed
from candlewick.adapters.venues.binance import wire
from candlewick.adapters.venues.binance.candles import candle_columns, trade_batch
from candlewick.adapters.venues.binance.instruments import NAME, instrument_from
from candlewick.adapters.venues.binance.parse import BinanceParser
from candlewick.adapters.venues.binance.rest import WEIGHT_A_MINUTE, BinanceRest, depth_weight
from candlewick.adapters.venues.binance.stream import BinanceDialect
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import SECONDS, seconds_of
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND, Clock
from candlewick.kernel.decimals import BadDecimal
from candlewick.kernel.net.budget import RateBudget
from candlewick.ports.venue import Sink, UnknownSymbol, VenueInfo, VenueNonsense

REST_URL: Final = "https://api.binance.com"
STREAM_URL: Final = "wss://stream.binance.com:9443"
_PAGE: Final = 1000
_TIME_FRESH_NS: Final = 60 * NS_PER_SECOND
_SHARE: Final = 0.8  # of the venue's weight limit; the rest is for others at this address

_INFO = VenueInfo(
    name=NAME, title="Binance", simulated=False, candle_timeframes=tuple(SECONDS), candles_per_request=_PAGE
)
_LIMITS = Limits()
_exchange_info = msgspec.json.Decoder(wire.ExchangeInfo).decode
_klines = msgspec.json.Decoder(list[wire.KlineRow]).decode
_trades = msgspec.json.Decoder(list[wire.RestTrade]).decode
_time = msgspec.json.Decoder(wire.ServerTime).decode


class BinanceVenue:
    """``rest_url`` and ``stream_url`` may point at any server that speaks Binance's spot protocol.

    Trades wait in ``spool`` (a folder, at most ``spool_bytes``) while the sink is congested. ``parser_options`` are
    those of ``BinanceParser``: batch, margin_ns, progress_ns and the like. ``budget`` is shared with others behind the
    same address; without one this venue has its own.
    """

    def __init__(
        self,
        clock: Clock,
        random: Callable[[], float],
        *,
        rest_url: str = REST_URL,
        stream_url: str = STREAM_URL,
        info: VenueInfo = _INFO,
        timeout_s: float = 10.0,
        retries: int = 3,
        backoff_s: float = 0.25,
        transport: httpx.AsyncBaseTransport | None = None,
        limits: Limits = _LIMITS,
        spool: Path | None = None,
        spool_bytes: int = 1 << 30,
        depth_limit: int = 1000,
        parser_options: dict[str, Any] | None = None,
        budget: RateBudget | None = None,
    ) -> None:
        self.info = info
        self.rest_url = rest_url.rstrip("/")
        self.stream_url = stream_url.rstrip("/")
        self._clock = clock
        self._random = random
        self._http = httpx.AsyncClient(base_url=self.rest_url, timeout=timeout_s, transport=transport)
        self.rest = BinanceRest(self._http, clock, random, budget=budget, retries=retries, backoff_s=backoff_s)
        self._limits = limits
        self._spool = spool
        self._spool_bytes = spool_bytes
        self._depth_limit = depth_limit
        self._parser_options = parser_options or {}
        self._instruments: dict[str, Instrument] = {}
        self._offset_ns = 0
        self._offset_at = -_TIME_FRESH_NS

    async def open(self) -> None:
        """Nothing to open: connections are made when something is asked."""

    async def close(self) -> None:
        await self._http.aclose()

    async def is_reachable(self, timeout_s: float) -> bool:
        """Whether the venue answers a ping in time; one attempt, no error."""
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._http.get("/api/v3/ping")
        except (TimeoutError, httpx.HTTPError):
            return False
        return reply.status_code == 200

    async def instruments(self) -> Sequence[Instrument]:
        """Every spot symbol the venue lists; also learns the venue's weight limit."""
        params = {"permissions": "SPOT", "showPermissionSets": "false"}
        found = await self.rest.get("/api/v3/exchangeInfo", params, 20, _exchange_info)
        for limit in found.rateLimits:
            if (limit.rateLimitType, limit.interval, limit.intervalNum) == ("REQUEST_WEIGHT", "MINUTE", 1):
                self.rest.budget.limit = max(1, int(min(limit.limit, WEIGHT_A_MINUTE) * _SHARE))
        out = [instrument_from(s, self.info.name) for s in found.symbols]
        self._instruments = {i.symbol: i for i in out}
        return out

    async def instrument(self, symbol: str) -> Instrument:
        """One instrument by our spelling. Raises UnknownSymbol."""
        if symbol not in self._instruments:
            await self.instruments()
        try:
            return self._instruments[symbol]
        except KeyError:
            raise UnknownSymbol(f"{self.info.title} must list the symbol, was {symbol!r}") from None

    async def server_time_ns(self) -> int:
        reply = await self.rest.get("/api/v3/time", {}, 1, _time)
        now = reply.serverTime * NS_PER_MS
        self._offset_ns = now - self._clock.now_ns()
        self._offset_at = self._clock.monotonic_ns()
        return now

    async def _venue_now_ns(self) -> int:
        if self._clock.monotonic_ns() - self._offset_at >= _TIME_FRESH_NS:
            return await self.server_time_ns()
        return self._clock.now_ns() + self._offset_ns

    async def candles(self, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> CandleColumns:
        seconds = seconds_of(timeframe)
        instrument = await self.instrument(symbol)
        closed_before_ms = await self._venue_now_ns() // NS_PER_MS
        rows: list[wire.KlineRow] = []
        start_ms, end_ms = -(-start_ns // NS_PER_MS), -(-end_ns // NS_PER_MS)
        while start_ms < end_ms:
            params: dict[str, str | int] = {
                "symbol": instrument.venue_symbol,
                "interval": timeframe,
                "startTime": max(0, start_ms),
                "endTime": end_ms - 1,
                "limit": _PAGE,
            }
            page = await self.rest.get("/api/v3/klines", params, 2, _klines)
            times = [r.open_time for r in page]
            if times != sorted(set(times)) or (times and times[0] < start_ms):
                raise VenueNonsense(f"klines must be in order from {start_ms}, was {times[:3]!r}")
            rows.extend(r for r in page if r.open_time < end_ms and r.open_time + seconds * 1000 <= closed_before_ms)
            if len(page) < _PAGE:
                break
            start_ms = times[-1] + seconds * 1000
        try:
            return candle_columns(rows, instrument, timeframe, Origin.FETCHED)
        except BadDecimal as error:
            raise VenueNonsense(error.detail) from error

    async def trades(self, symbol: str, first_id: int, last_id: int) -> TradeBatch:
        """By ``historicalTrades``, public on Binance since it dropped the key; others may answer VenueForbidden."""
        instrument = await self.instrument(symbol)
        found: list[wire.RestTrade] = []
        next_id = first_id
        while next_id <= last_id:
            params: dict[str, str | int] = {
                "symbol": instrument.venue_symbol,
                "fromId": next_id,
                "limit": min(_PAGE, last_id - next_id + 1),
            }
            page = await self.rest.get("/api/v3/historicalTrades", params, 25, _trades)
            page = sorted((t for t in page if next_id <= t.id <= last_id), key=lambda t: t.id)
            if not page:
                break
            found.extend(page)
            next_id = page[-1].id + 1
        try:
            return trade_batch(found, instrument, self._clock.now_ns())
        except BadDecimal as error:
            raise VenueNonsense(error.detail) from error

    async def depth(self, instrument: Instrument) -> bytes:
        """The raw reply of a depth snapshot: what recordings keep, and what ``BinanceParser.snapshot`` takes."""
        params: dict[str, str | int] = {"symbol": instrument.venue_symbol, "limit": self._depth_limit}
        return await self.rest.raw("/api/v3/depth", params, depth_weight(self._depth_limit))

    @property
    def _origin(self) -> Origin:
        return Origin.SIMULATED if self.info.simulated else Origin.BUILT

    def parser(self, instruments: Sequence[Instrument]) -> BinanceParser:
        return BinanceParser(
            instruments,
            exchange=self.info.name,
            origin=self._origin,
            discover=not instruments,
            **self._parser_options,
        )

    def feed(self, symbols: Sequence[str], instruments: Sequence[Instrument], sink: Sink) -> LiveFeed:
        """One feed a process: lanes share the connection budget, and the spool's folder has one owner."""
        dialect = BinanceDialect(
            self.info.name,
            self.stream_url,
            self.depth,
            instruments,
            origin=self._origin,
            parser_options=self._parser_options,
        )
        return LiveFeed(
            dialect,
            symbols,
            instruments,
            sink,
            self._clock,
            self._random,
            limits=self._limits,
            spool_folder=self._spool,
            spool_bytes=self._spool_bytes,
        )
