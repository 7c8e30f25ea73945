"""Routes of the market service."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Body, Path, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from candlewick.contracts.market import Instrument
from candlewick.contracts.timeframes import SECONDS, seconds_of
from candlewick.ports.runtime import Context
from candlewick.quant.indicators import registry
from candlewick.services.market.api import tables
from candlewick.services.market.api.hot import HotCandles
from candlewick.services.market.api.queries import page_json, page_of
from candlewick.services.market.api.schemas import DOCS, InstrumentView, ListedList, ListedView, NewSymbol
from candlewick.services.market.domain.state import POSITIONS_HEADER, TRADE_TOPICS, header_of
from candlewick.services.market.errors import BadQuery, ListingUnknown, NoPriceYet
from candlewick.services.market.handlers.listing import Listing
from candlewick.services.market.handlers.market import Market
from candlewick.services.market.handlers.pages import Page

_JSON = "application/json"
_encode = msgspec.json.Encoder().encode
Timeframe = Annotated[str, Path(json_schema_extra={"enum": list(SECONDS)})]
Name = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._/-]+$")]


class _Symbol(StringConvertor):
    """A part of a path that names a symbol. ``listed`` names none: what is there takes other methods."""

    regex = "(?!listed$)[^/]+"


register_url_convertor("symbol", _Symbol())


def _json(body: Any, status: int = 200) -> Response:
    return Response(_encode(body), status, media_type=_JSON)


def _view(instrument: Instrument, context: Context) -> InstrumentView:
    simulated = context.venue(instrument.exchange).info.simulated
    origin: Literal["simulated", "replay", "live"] = "replay" if context.mode == "replay" else "live"
    return InstrumentView(
        instrument.exchange, instrument.symbol, instrument.base, instrument.quote, instrument.price_tick,
        instrument.size_step, instrument.status, "simulated" if simulated else origin,
    )  # fmt: skip


def _listed(one: Instrument, market: Market) -> ListedView:
    return ListedView(
        one.symbol, one.base, one.quote, one.price_tick, one.size_step, one.status,
        (one.exchange, one.symbol) in market.states,
    )  # fmt: skip


def new_router(market: Market, listing: Listing, context: Context) -> APIRouter:
    """All routes; /ohlcv is listed for the documentation and answered by ``HotCandles`` before the router is asked."""
    router = APIRouter()
    hot = HotCandles(market)

    @router.get("/ohlcv/{exchange}/{symbol}/{timeframe}", tags=["candles"], **DOCS["ohlcv"])
    async def get_ohlcv(request: Request) -> Response:
        """Candles, oldest first. Without start the newest; the candle still open comes last with final false."""
        sent: list[Any] = []

        async def keep(message: Any) -> None:
            sent.append(message)

        await hot(request.scope, request.receive, keep)
        headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        return Response(sent[1]["body"], sent[0]["status"], headers)

    @router.get("/symbols", tags=["symbols"], **DOCS["symbols"])
    async def get_symbols() -> Response:
        """The followed symbols."""
        return _json({"symbols": [_view(s.instrument, context) for s in market.states.values()]})

    @router.get("/symbols/{exchange}/listed", tags=["symbols"], **DOCS["listed"])
    async def get_listed(exchange: Name) -> Response:
        """Everything that the exchange lists, and what of it is followed; it is asked once a minute at most."""
        venue = context.venue(exchange)
        market.check_exchange(venue)
        if context.mode == "replay":
            raise ListingUnknown(f"a replay does not ask what is listed, was {exchange!r}")
        listed = {one.symbol: one for one in await listing.listed(venue)}
        return _json(ListedList(exchange, [_listed(listed[symbol], market) for symbol in sorted(listed)]))

    @router.post("/symbols", tags=["symbols"], **DOCS["add_symbol"])
    async def add_symbol(body: Annotated[dict[str, Any], Body()]) -> Response:
        """Follow one more symbol from now on; its recent history is fetched."""
        try:
            wanted = msgspec.convert(body, NewSymbol)
        except msgspec.ValidationError as error:
            raise BadQuery(f"body: {error}") from None
        instrument = await market.add_symbol(context.venue(wanted.exchange), wanted.symbol)
        return _json(_view(instrument, context), 201)

    @router.delete("/symbols/{exchange}/{symbol:symbol}", tags=["symbols"], **DOCS["remove_symbol"])
    async def remove_symbol(exchange: Name, symbol: Name) -> Response:
        """No longer follow a symbol; its candles are kept."""
        await market.remove_symbol(exchange, symbol)
        return _json({"exchange": exchange, "symbol": symbol, "status": "removed"})

    @router.get("/tickers", tags=["prices"], **DOCS["tickers"])
    async def get_tickers(symbols: Annotated[str | None, Query(max_length=4000)] = None) -> Response:
        """24-hour tickers with a sparkline of 48 half hours; all followed symbols unless some are named."""
        wanted = {s.strip() for s in symbols.split(",") if s.strip()} if symbols else None
        states = [s for s in market.states.values() if wanted is None or s.instrument.symbol in wanted]
        return _json({"mode": context.mode, "tickers": [s.ticker() for s in states]})

    @router.get("/book/{exchange}/{symbol}", tags=["prices"], **DOCS["book"])
    async def get_book(exchange: Name, symbol: Name) -> Response:
        """The best 20 levels of the order book."""
        view = market.state(exchange, symbol).book_view(context.mode)
        if view is None:
            raise NoPriceYet(f"no order book has arrived yet, was {symbol!r}")
        return _json(view)

    @router.get("/trades/{exchange}/{symbol}", tags=["prices"], **DOCS["trades"])
    async def get_trades(exchange: Name, symbol: Name, limit: Annotated[int, Query(ge=1, le=200)] = 200) -> Response:
        """The newest trades, newest first."""
        trades = list(market.state(exchange, symbol).tape)[:limit]
        at = market.places.of(exchange, symbol, TRADE_TOPICS)
        return Response(
            _encode({"trades": trades}), media_type=_JSON, headers={POSITIONS_HEADER: header_of(at).decode()}
        )

    @router.get("/indicators/catalogue", tags=["indicators"], **DOCS["catalogue"])
    async def get_catalogue() -> Response:
        """Every indicator with its parameters and outputs."""
        return _json({"indicators": [spec.describe() for spec in registry.catalogue()]})

    @router.get("/indicators/{exchange}/{symbol}/{timeframe}", tags=["indicators"], **DOCS["indicators"])
    async def get_indicators(
        exchange: Name, symbol: Name, timeframe: Timeframe, request: Request,
        series: Annotated[str, Query(max_length=500, examples=["ema:21,rsi:14"])],
    ) -> Response:  # fmt: skip
        """Indicator series aligned with the page of candles that the same query gives; null in warm-up and gaps."""
        bound = registry.parse_list(series)
        if not bound:
            raise BadQuery(f"series must name indicators such as ema:21,rsi:14, was {series!r}")
        query = {k: v for k, v in request.query_params.items() if k != "series"}
        page = page_of(exchange, symbol, timeframe, query)
        times, lines = await tables.indicator_series(market, page, bound)
        return _json(
            {"exchange": exchange, "symbol": symbol, "timeframe": timeframe, "open_times": times, "series": lines}
        )

    # -- paths that older clients know -------------------------------------------------------------------------

    @router.get("/api/v1/price/{symbol}", tags=["older paths"], **DOCS["price"])
    async def get_price(symbol: Name, exchange: Annotated[str | None, Query(max_length=40)] = None) -> Response:
        """The last price. The symbol may be written BTC-USDT or BTCUSDT."""
        ticker = market.find(symbol, exchange).ticker()
        if ticker.last is None:
            raise NoPriceYet(f"no price has arrived yet, was {symbol!r}")
        return _json({"exchange": ticker.exchange, "symbol": ticker.symbol, "price": ticker.last, "ts": ticker.ts,
                      "origin": ticker.origin})  # fmt: skip

    @router.get("/api/v1/ticker/{symbol}", tags=["older paths"], **DOCS["ticker"])
    async def get_ticker(symbol: Name, exchange: Annotated[str | None, Query(max_length=40)] = None) -> Response:
        """The 24-hour ticker of one symbol."""
        return _json(market.find(symbol, exchange).ticker())

    @router.get("/api/v1/ohlcv/{symbol}", tags=["older paths"], **DOCS["older_ohlcv"])
    async def get_older_ohlcv(request: Request, symbol: Name) -> Response:
        """Candles of one symbol; timeframe 1m and the first exchange that has the symbol unless told otherwise."""
        query = dict(request.query_params)
        instrument = market.find(symbol, query.pop("exchange", None)).instrument
        timeframe = query.pop("timeframe", "1m")
        page = page_of(instrument.exchange, instrument.symbol, timeframe, query)
        return Response(page_json(page, timeframe, await market.page(page)), media_type=_JSON)

    @router.get("/api/market/symbols/{symbol}/latest", tags=["older paths"], **DOCS["latest"])
    async def get_latest(
        symbol: Name, limit: Annotated[int, Query(ge=1, le=1500)] = 100,
        exchange: Annotated[str | None, Query(max_length=40)] = None, timeframe: str = "1m",
    ) -> Response:  # fmt: skip
        """The newest candles and the ticker of one symbol."""
        state = market.find(symbol, exchange)
        page = Page(state.instrument.exchange, state.instrument.symbol, seconds_of(timeframe), None, None, limit)
        body = page_json(page, timeframe, await market.page(page))
        return Response(b'{"ticker":%s,"latest":%s}' % (_encode(state.ticker()), body), media_type=_JSON)

    return router
