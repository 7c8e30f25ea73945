"""Bodies of requests and replies, and what OpenAPI says of each route."""

from typing import Any, Literal

import msgspec

from candlewick.contracts.timeframes import SECONDS
from candlewick.kernel.openapi import REF, problem, reply
from candlewick.quant.windows.encoding import CandleView
from candlewick.services.market.domain.state import BookView, TickerView, TradeView


class NewSymbol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /symbols."""

    exchange: str
    symbol: str


class InstrumentView(msgspec.Struct, frozen=True):
    """A followed symbol."""

    exchange: str
    symbol: str
    base: str
    quote: str
    price_tick: str
    size_step: str
    status: str
    origin: Literal["simulated", "replay", "live"]


class CandlePage(msgspec.Struct, frozen=True):
    """Candles, oldest first; ``next`` goes on with older ones, or with newer ones where start was given."""

    exchange: str
    symbol: str
    timeframe: str
    candles: list[CandleView]
    next: str | None


class SymbolList(msgspec.Struct, frozen=True):
    """The followed symbols."""

    symbols: list[InstrumentView]


class ListedView(msgspec.Struct, frozen=True):
    """A symbol that an exchange lists; ``status`` is trading, or the exchange's own word for why it does not."""

    symbol: str
    base: str
    quote: str
    price_tick: str
    size_step: str
    status: str
    followed: bool


class ListedList(msgspec.Struct, frozen=True):
    """Everything that an exchange lists, by symbol."""

    exchange: str
    symbols: list[ListedView]


class Removed(msgspec.Struct, frozen=True):
    """A symbol that is no longer followed."""

    exchange: str
    symbol: str
    status: Literal["removed"]


class TickerList(msgspec.Struct, frozen=True):
    """24-hour tickers."""

    mode: str
    tickers: list[TickerView]


class TradeList(msgspec.Struct, frozen=True):
    """The newest trades, newest first."""

    trades: list[TradeView]


class PriceView(msgspec.Struct, frozen=True):
    """The last price."""

    exchange: str
    symbol: str
    price: float
    ts: int | None
    origin: str | None


class Latest(msgspec.Struct, frozen=True):
    """The ticker and the newest candles of one symbol."""

    ticker: TickerView
    latest: CandlePage


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of an indicator, with its inclusive range."""

    name: str
    title: str
    type: Literal["int", "float"]
    default: float
    min: float
    max: float


class Output(msgspec.Struct, frozen=True):
    """One series that an indicator draws."""

    name: str
    title: str
    line: Literal["line", "histogram"]


class Indicator(msgspec.Struct, frozen=True):
    """An indicator of the catalogue."""

    name: str
    title: str
    pane: Literal["price", "own"]
    aliases: list[str]
    inputs: list[str]
    outputs: list[Output]
    params: list[Parameter]
    levels: list[float]
    anchored: bool
    gap: str


class Catalogue(msgspec.Struct, frozen=True):
    """Every indicator."""

    indicators: list[Indicator]


class SeriesLine(msgspec.Struct, frozen=True):
    """One output of one indicator; ``values`` are aligned with ``open_times``, null in warm-up and across gaps."""

    id: str
    name: str
    pane: Literal["price", "own"]
    output: str
    line: Literal["line", "histogram"]
    values: list[float | None]
    look_back: int
    levels: list[float]


class SeriesPage(msgspec.Struct, frozen=True):
    """Indicator series over a page of candles."""

    exchange: str
    symbol: str
    timeframe: str
    open_times: list[int]
    series: list[SeriesLine]


SCHEMAS = (
    InstrumentView, NewSymbol, CandlePage, SymbolList, ListedView, ListedList, Removed, TickerList, TradeList,
    PriceView, Latest, Catalogue, SeriesPage, TickerView, BookView, TradeView,
)  # fmt: skip


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_TIME = {"type": "string", "maxLength": 40}
_PAGE = [
    _query("start", _TIME, "First open time, ms or ISO 8601, inclusive."),
    _query("end", _TIME, "Open times before this, ms or ISO 8601."),
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 500}, "Candles at most."),
    _query("cursor", {"type": "string", "maxLength": 100}, "The 'next' of an earlier page."),
    _query("as_of", _TIME, "What was known at this instant, ms or ISO 8601."),
]
_FORMAT = _query(
    "format", {"type": "string", "enum": ["json", "csv", "arrow"], "default": "json"}, "Form of the reply."
)
_PATH = [
    {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "maxLength": 40, "pattern": "^[A-Za-z0-9._-]+$"},
    }
    for name in ("exchange", "symbol")
] + [{"name": "timeframe", "in": "path", "required": True, "schema": {"type": "string", "enum": list(SECONDS)}}]
_ERRORS = (404, 422, 503)

DOCS: dict[str, dict[str, Any]] = {
    "ohlcv": {
        "response_model": None,
        "openapi_extra": {"parameters": [*_PATH, *_PAGE, _FORMAT]},
        "responses": {
            200: {
                "description": "A page of candles.",
                "content": {
                    "application/json": {"schema": {"$ref": REF.format(name="CandlePage")}},
                    "text/csv": {"schema": {"type": "string"}},
                    "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **{code: problem(code) for code in (*_ERRORS, 405)},
        },
    },
    "symbols": reply(SymbolList, "The followed symbols.", errors=(503,)),
    "listed": reply(ListedList, "Everything that the exchange lists.", errors=_ERRORS),
    "add_symbol": {
        **reply(InstrumentView, "The symbol, followed from now on.", status=201, errors=(404, 409, 422, 503, 507)),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": REF.format(name="NewSymbol")}}},
            }
        },
    },
    "remove_symbol": reply(Removed, "The symbol is no longer followed.", errors=(*_ERRORS, 507)),
    "tickers": reply(TickerList, "Tickers."),
    "book": reply(BookView, "The best levels.", errors=_ERRORS),
    "trades": reply(TradeList, "The newest trades.", errors=_ERRORS),
    "catalogue": reply(Catalogue, "Every indicator.", errors=(503,)),
    "indicators": {
        **reply(SeriesPage, "Series aligned with the page of candles.", errors=_ERRORS),
        "openapi_extra": {"parameters": _PAGE},
    },
    "price": reply(PriceView, "The last price.", errors=_ERRORS),
    "ticker": reply(TickerView, "The ticker.", errors=_ERRORS),
    "older_ohlcv": {
        **reply(CandlePage, "A page of candles.", errors=_ERRORS),
        "openapi_extra": {
            "parameters": [
                _query("exchange", {"type": "string", "maxLength": 40}, "Venue; the first that has the symbol."),
                _query("timeframe", {"type": "string", "enum": list(SECONDS), "default": "1m"}, "Timeframe."),
                *_PAGE,
            ]
        },
    },
    "latest": reply(Latest, "Ticker and newest candles.", errors=_ERRORS),
}
