"""Binance's spot messages as typed structs. Field names are the venue's own (one letter each).

Source: https://github.com/binance/binance-spot-api-docs, ``web-socket-streams.md`` and ``rest-api.md``.
"""

from typing import Annotated, Any

import msgspec

Level = tuple[float, float]
Id = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]  # times 10**6 it must fit int64


class Frame(msgspec.Struct, gc=False):
    """What a frame is: a combined-stream event, a raw event (``e``), a REST depth reply, or an answer to a request."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""
    s: str = ""
    u: int = -1
    lastUpdateId: int = -1  # noqa: N815
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: Any = msgspec.UNSET
    code: int | None = None
    msg: str = ""


class Trade(msgspec.Struct, gc=False):
    e: str
    E: Millis
    s: str
    t: Id
    p: str
    q: str
    T: Millis
    m: bool


class AggTrade(msgspec.Struct, gc=False):
    e: str
    E: Millis
    s: str
    a: Id
    p: str
    q: str
    T: Millis
    m: bool


class FastTrade(msgspec.Struct, gc=False):
    """A trade whose numbers were read as floats (``strict=False``); exact below 2**51, see ``numbers.from_float``."""

    e: str
    E: Millis
    s: str
    t: Id
    p: float
    q: float
    T: Millis
    m: bool


class BookTicker(msgspec.Struct, gc=False):
    u: Id
    s: str
    b: float
    B: float
    a: float
    A: float


class DepthUpdate(msgspec.Struct, gc=False):
    e: str
    E: Millis
    s: str
    U: Id
    u: Id
    b: list[Level]
    a: list[Level]


class DepthSnapshot(msgspec.Struct, gc=False):
    lastUpdateId: Id  # noqa: N815
    bids: list[Level]
    asks: list[Level]


class KlineBody(msgspec.Struct, gc=False):
    t: Id
    T: Millis
    s: str
    i: str
    o: str
    c: str
    h: str
    l: str  # noqa: E741
    v: str
    n: int
    x: bool
    q: str
    V: str


class Kline(msgspec.Struct, gc=False):
    e: str
    E: Millis
    s: str
    k: KlineBody


class Timed(msgspec.Struct, gc=False):
    """Any other event: only its time is of use (it proves the connection alive)."""

    E: Millis


class RestTrade(msgspec.Struct, gc=False):
    id: Id
    price: str
    qty: str
    time: Millis
    isBuyerMaker: bool  # noqa: N815


class SymbolFilter(msgspec.Struct, gc=False):
    filterType: str  # noqa: N815
    tickSize: str = ""  # noqa: N815
    stepSize: str = ""  # noqa: N815


class SymbolInfo(msgspec.Struct, gc=False):
    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[SymbolFilter] = []
    baseAssetPrecision: int = 8  # noqa: N815
    quoteAssetPrecision: int = 8  # noqa: N815


class RateLimit(msgspec.Struct, gc=False):
    rateLimitType: str  # noqa: N815
    interval: str
    intervalNum: int  # noqa: N815
    limit: int


class ExchangeInfo(msgspec.Struct, gc=False):
    symbols: list[SymbolInfo]
    rateLimits: list[RateLimit] = []  # noqa: N815
    serverTime: int = 0  # noqa: N815


class ServerTime(msgspec.Struct, gc=False):
    serverTime: int  # noqa: N815


class ErrorReply(msgspec.Struct, gc=False):
    code: int = 0
    msg: str = ""


class KlineRow(msgspec.Struct, gc=False, array_like=True):
    """A REST kline: an array of twelve; times in ms, the last field is unused."""

    open_time: Millis
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time: int
    quote_volume: str
    trades: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
    taker_base: str
    taker_quote: str
