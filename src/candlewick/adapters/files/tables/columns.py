"""Which column is what: candles or trades, by their names, or by shape where a file has no header."""

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from candlewick.adapters.files.tables.errors import UnknownColumns
from candlewick.adapters.files.tables.table import Column, Table
from candlewick.adapters.files.tables.times import to_ns

Content = Literal["candles", "trades"]

_TIMES: Final = (
    "opentime", "timeopen", "timestamp", "ts", "time", "datetime", "date", "starttime", "start", "unix",
    "unixtimestamp", "begin", "t", "bartime", "datetimeutc", "index", "indexlevel0", "",
)  # fmt: skip
_CLOSE_TIMES: Final = ("closetime", "timeclose", "endtime", "end")
CANDLE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": _TIMES,
    "close_time": _CLOSE_TIMES,
    "open": ("open", "o", "openprice", "priceopen", "first"),
    "high": ("high", "h", "highprice", "pricehigh", "max"),
    "low": ("low", "l", "lowprice", "pricelow", "min"),
    "close": ("close", "c", "closeprice", "priceclose", "last"),
    "volume": ("volume", "v", "vol", "basevolume", "volumebase", "volumefrom", "volumetraded", "tradevolume"),
    "quote_volume": ("quotevolume", "quoteassetvolume", "qav", "turnover", "volumequote", "volumeto", "q"),
    "taker_buy_volume": ("takerbuyvolume", "takerbuybaseassetvolume", "takerbuybase", "takerbuybasevolume", "tbbav"),
    "trades": ("trades", "numberoftrades", "numtrades", "tradecount", "tradescount", "count", "n"),
    "symbol": ("symbol", "pair", "ticker", "market"),
    "origin": ("origin",),
    "revision": ("revision",),
    "quality": ("quality",),
}
TRADE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": ("timestamp", "time", "ts", "transacttime", "tradetime", "datetime", "date", "t", "tsevent", "eventtime"),
    "received": ("localtimestamp", "tsrecv", "receivedtime", "receipttimestamp"),
    "price": ("price", "p"),
    "size": ("size", "amount", "quantity", "qty", "q", "volume", "baseqty"),
    "side": ("side", "takerside", "direction", "s"),
    "buyer_maker": ("isbuyermaker", "buyermaker", "m"),
    "id": ("id", "tradeid", "aggtradeid", "tid", "a"),
    "first_id": ("firsttradeid", "firstid", "f"),
    "symbol": ("symbol", "pair", "market"),
}
_NEEDED: Final[dict[Content, tuple[str, ...]]] = {
    "candles": ("open", "high", "low", "close"),
    "trades": ("time", "price", "size"),
}
_KLINE: Final = (
    "time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades", "taker_buy_volume",
)  # fmt: skip
_BINANCE_TRADES: Final = ("id", "price", "size", "", "time", "buyer_maker", "")
_BINANCE_AGGREGATED: Final = ("id", "price", "size", "first_id", "", "time", "buyer_maker", "")
_CCXT_TRADES: Final = ("time", "id", "", "side", "price", "size", "")
_SIDES: Final = frozenset({"buy", "sell", "b", "s", "bid", "ask"})
_BOOLS: Final = frozenset({"true", "false", "1", "0"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a file holds, and the place of each known column."""

    content: Content
    places: dict[str, int]

    def column(self, table: Table, name: str) -> Column | None:
        place = self.places.get(name)
        return None if place is None else table.columns[place]


def recognise(table: Table, *, names: tuple[str, ...] | None = None) -> Meaning:
    """What the columns mean. ``names`` replaces the file's own (for files without a header that nobody could guess).
    Raises UnknownColumns."""
    named = names or table.names
    if named is not None:
        return _by_name(named)
    return _by_shape(table)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_name(names: tuple[str, ...]) -> Meaning:
    plain = [_plain(name) for name in names]
    candles = _match(plain, CANDLE_NAMES)
    if all(name in candles for name in _NEEDED["candles"]) and ("time" in candles or "close_time" in candles):
        _volumes_of_currencies(names, candles)
        return Meaning("candles", candles)
    trades = _match(plain, TRADE_NAMES)
    if all(name in trades for name in _NEEDED["trades"]):
        return Meaning("trades", trades)
    raise UnknownColumns(
        f"columns must name a time, open, high, low and close, or a time, price and size, was {list(names)!r}",
        hint="Name them with --columns, for example --columns time,open,high,low,close,volume",
    )


def _match(plain: list[str], known: dict[str, tuple[str, ...]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for meaning, spellings in known.items():
        place = next((plain.index(spelling) for spelling in spellings if spelling in plain), None)
        if place is not None and place not in found.values():
            found[meaning] = place
    return found


def _volumes_of_currencies(names: tuple[str, ...], places: dict[str, int]) -> None:
    """``Volume BTC, Volume USDT``: the first is the base's, the second the quote's."""
    spelled = [
        place for place, name in enumerate(names) if re.fullmatch(r"(?i)volume[ _]\(?[a-z0-9]{2,10}\)?", name.strip())
    ]
    for meaning, place in zip(("volume", "quote_volume"), spelled, strict=False):
        places.setdefault(meaning, place)


def _by_shape(table: Table) -> Meaning:
    width = len(table.columns)
    texts = [_distinct(column) for column in table.columns]
    if width == len(_CCXT_TRADES) and texts[3] and texts[3] <= _SIDES:
        return _positional("trades", _CCXT_TRADES)
    for shape in (_BINANCE_TRADES, _BINANCE_AGGREGATED):
        flag = shape.index("buyer_maker")
        if width in (len(shape), len(shape) - 1) and texts[flag] and texts[flag] <= _BOOLS:
            return _positional("trades", shape[:width])
    if width >= 5 and _looks_like_time(table.columns[0]):
        klines: tuple[str, ...] = _KLINE[: width if width < 7 else len(_KLINE) if width >= 11 else 6]
        return _positional("candles", klines)
    raise UnknownColumns(
        f"a file without a header must hold klines (time, open, high, low, close, volume, ...) or trades as exchanges "
        f"dump them, was {width} columns",
        hint="Name them with --columns, for example --columns time,open,high,low,close,volume",
    )


def _positional(content: Content, shape: tuple[str, ...]) -> Meaning:
    return Meaning(content, {name: place for place, name in enumerate(shape) if name})


def _distinct(column: Column) -> set[str]:
    if column.kind != "text":
        return set()
    return {str(cell).lower() for cell in column.values[:1000].tolist() if cell is not None}


def _looks_like_time(column: Column) -> bool:
    """Times of 1990..2100, or milliseconds of a day."""
    times = to_ns(column.take(np.arange(min(len(column), 1000))))
    good = times[times > 0]
    if len(good) < len(times) // 2 + 1:
        return len(times) > 0 and bool((times >= 0).all())
    typical = float(np.median(good))
    return 6.3e17 < typical < 4.2e18 or typical < 86_400_000 * 1e9
