"""Prices, tickers, books and tapes of the followed symbols, as values, and the log positions that they include. No
I/O, no clock."""

from collections import deque
from collections.abc import Mapping
from math import fsum
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from candlewick.contracts.base import ORIGIN_NAMES
from candlewick.contracts.collector import BookUpdated, QuoteUpdated, Side, TradeBatch, TradeColumns
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import SECONDS
from candlewick.contracts.topics import BY_NAME, HISTORY_CANDLES, NORMALIZED_OHLCV, RAW_MARKET_DATA
from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import Position
from candlewick.quant.windows.symbol import SymbolWindows

_DAY_MS = 86_400_000
_MINUTE, _HALF_HOUR_MS = SECONDS["1m"], SECONDS["30m"] * 1000
SPARKLINE_POINTS = 48
TAPE_LENGTH = 200
_NS_PER_MS = 1_000_000
_MOST_NAMES = 10_000


POSITIONS_HEADER = "x-log-positions"
CANDLE_TOPICS = (NORMALIZED_OHLCV.name, HISTORY_CANDLES.name)
TRADE_TOPICS = (RAW_MARKET_DATA.name,)
OLDEST = Position(0, 0)
"""Before the first record of any log."""

Place = tuple[str, int]
"""(topic, partition)"""


def positions_of(headers: Mapping[str, str]) -> dict[Place, Position]:
    """The log positions that a reply includes, as it says itself."""
    rows = msgspec.json.decode(headers.get(POSITIONS_HEADER, "[]"), type=list[tuple[str, int, int, int]])
    return {(topic, partition): Position(epoch, offset) for topic, partition, epoch, offset in rows}


def header_of(at: Mapping[Place, Position]) -> bytes:
    """The other way round."""
    rows = [b'["%s",%d,%d,%d]' % (t.encode(), n, p.epoch, p.offset) for (t, n), p in at.items()]
    return b"[%s]" % b",".join(rows)


class Places:
    """How far the log has been followed, by topic and partition."""

    def __init__(self) -> None:
        self._at: dict[Place, Position] = {}
        self._mine: dict[tuple[tuple[str, ...], str], tuple[Place, ...]] = {}

    def begin(self, positions: Mapping[Place, Position]) -> Mapping[Place, Position]:
        """What is known of candles at these positions is known already; where none is given, nothing is. Returns the
        place of every partition of candles."""
        self._at = {
            (topic, partition): positions.get((topic, partition), OLDEST)
            for topic in CANDLE_TOPICS
            for partition in range(BY_NAME[topic].partitions)
        }
        return dict(self._at)

    def reach(self, topic: str, partition: int, position: Position) -> None:
        self._at[topic, partition] = position

    def of(self, exchange: str, symbol: str, topics: tuple[str, ...] = CANDLE_TOPICS) -> dict[Place, Position]:
        """Where the partitions stand that tell of a symbol."""
        key = f"{exchange}:{symbol}"
        mine = self._mine.get((topics, key))
        if mine is None:
            mine = tuple((topic, partition_of(key, BY_NAME[topic].partitions)) for topic in topics)
            if len(self._mine) < _MOST_NAMES:  # names come from whoever asks
                self._mine[topics, key] = mine
        return {place: self._at[place] for place in mine if place in self._at}


def discovered(exchange: str, symbol: str, columns: CandleColumns | TradeColumns) -> Instrument:
    """What a replay knows of a symbol: its name, and the scales of its numbers."""
    base, _, quote = symbol.partition("-")
    return Instrument(
        exchange, symbol, base + quote, base, quote,
        f"{10.0**-columns.price_scale:.18f}".rstrip("0"), f"{10.0**-columns.size_scale:.18f}".rstrip("0"),
        columns.price_scale, columns.size_scale,
    )  # fmt: skip


class TickerView(msgspec.Struct, frozen=True):
    """What moves, over the last 24 hours. ``ts`` is the newest word on the price: a trade's or a quote's."""

    exchange: str
    symbol: str
    last: float | None
    bid: float | None
    ask: float | None
    open_24h: float | None
    high_24h: float | None
    low_24h: float | None
    volume_24h: float | None
    quote_volume_24h: float | None
    change_24h: float | None
    change_pct_24h: float | None
    ts: int | None
    sparkline: list[float]
    origin: str | None
    quality: str | None


class TradeView(msgspec.Struct, frozen=True):
    """One trade of the tape."""

    id: int
    price: float
    size: float
    side: str
    ts: int


Level = Annotated[tuple[float, ...], Meta(min_length=2, max_length=2)]


class BookView(msgspec.Struct, frozen=True):
    """The best levels, best first, as [price, size]."""

    exchange: str
    symbol: str
    bids: list[Level]
    asks: list[Level]
    ts: int
    sequence: int
    in_sequence: bool
    mode: str


_SIDES = {Side.SELL.value: "sell", Side.BUY.value: "buy", Side.UNKNOWN.value: "unknown"}


class SymbolState:
    """What is known of one followed symbol right now."""

    def __init__(self, instrument: Instrument, ring_size: int) -> None:
        self.instrument = instrument
        self.windows = SymbolWindows(ring_size)
        self.tape: deque[TradeView] = deque(maxlen=TAPE_LENGTH)
        self.book: BookUpdated | None = None
        self.book_ts = 0
        self._quote: QuoteUpdated | None = None
        self._quote_ts = 0
        self._last: float | None = None
        self._last_ts: int | None = None
        self._origin: str | None = None

    def on_trades(self, batch: TradeBatch) -> None:
        """Newest first on the tape; the last price is the newest trade's."""
        columns = batch.columns_v1
        prices = columns.price[-TAPE_LENGTH:] / 10**columns.price_scale
        sizes = columns.size[-TAPE_LENGTH:] / 10**columns.size_scale
        times = columns.ts_event[-TAPE_LENGTH:] // _NS_PER_MS
        rows = zip(
            columns.trade_id[-TAPE_LENGTH:].tolist(),
            prices.tolist(),
            sizes.tolist(),
            columns.side[-TAPE_LENGTH:].tolist(),
            times.tolist(),
            strict=True,
        )
        for trade_id, price, size, side, ts in rows:
            self.tape.appendleft(TradeView(trade_id, price, size, _SIDES[side], ts))
        if self._last_ts is None or int(times[-1]) >= self._last_ts:
            self._last, self._last_ts = float(prices[-1]), int(times[-1])
            self._origin = ORIGIN_NAMES[batch.origin]

    def on_quote(self, quote: QuoteUpdated, ts_ms: int) -> None:
        self._quote, self._quote_ts = quote, ts_ms

    def on_book(self, book: BookUpdated, ts_ms: int) -> None:
        self.book, self.book_ts = book, ts_ms

    def ticker(self) -> TickerView:
        """The 24-hour ticker from the one-minute window and the open minute; None where nothing is known."""
        minutes = self.windows.rings[_MINUTE]
        open_row = self.windows.open_rows(_MINUTE)
        newest = int(open_row["open_time_ms"][-1]) if open_row is not None else minutes.last_open_ms
        rows = minutes.slice(*minutes.between(newest - _DAY_MS + 60_000, newest + 60_000)) if newest >= 0 else None
        last, origin = self._last, self._origin
        ts = max(self._last_ts, self._quote_ts) if self._last_ts is not None else None
        quality = None
        figures: dict[str, float | None] = dict.fromkeys(("open", "high", "low", "volume", "quote"))
        if rows is not None and (len(rows["open"]) or open_row is not None):
            parts = [rows] + ([open_row] if open_row is not None else [])
            joined = {name: np.concatenate([part[name] for part in parts]) for name in rows}
            if last is None:
                last, ts = float(joined["close"][-1]), int(joined["open_time_ms"][-1])
                origin = ORIGIN_NAMES[int(joined["origin"][-1])]
            figures = {
                "open": float(joined["open"][0]),
                "high": float(joined["high"].max()),
                "low": float(joined["low"].min()),
                "volume": fsum(joined["volume"].tolist()),
                "quote": fsum(joined["quote_volume"].tolist()),
            }
            quality = "gapped" if bool(np.any(rows["flags"] & 2)) else "ok"
        start = figures["open"]
        change = last - start if last is not None and start is not None else None
        quote = self._quote
        return TickerView(
            self.instrument.exchange,
            self.instrument.symbol,
            last,
            quote.bid / 10**quote.price_scale if quote else None,
            quote.ask / 10**quote.price_scale if quote else None,
            start,
            figures["high"],
            figures["low"],
            figures["volume"],
            figures["quote"],
            change,
            change / start * 100 if change is not None and start else None,
            ts,
            self._sparkline(),
            origin,
            quality,
        )

    def _sparkline(self) -> list[float]:
        """The last close in each half hour of a day, from the minutes: they are the first that history fetches."""
        minutes = self.windows.rings[_MINUTE].view(SPARKLINE_POINTS * 30)
        times, closes = minutes["open_time_ms"], minutes["close"]
        open_row = self.windows.open_row(_MINUTE)
        if open_row is not None:
            times, closes = np.append(times, open_row["open_time_ms"]), np.append(closes, open_row["close"])
        halves = times // _HALF_HOUR_MS
        points: list[float] = closes[np.append(halves[1:] != halves[:-1], True)[: len(halves)]].tolist()
        return points[-SPARKLINE_POINTS:]

    def book_view(self, mode: str) -> BookView | None:
        """None before the first book."""
        book = self.book
        if book is None:
            return None
        bids = zip(
            (book.bid_price / 10**book.price_scale).tolist(),
            (book.bid_size / 10**book.size_scale).tolist(),
            strict=True,
        )
        asks = zip(
            (book.ask_price / 10**book.price_scale).tolist(),
            (book.ask_size / 10**book.size_scale).tolist(),
            strict=True,
        )
        return BookView(
            book.exchange, book.symbol, list(bids), list(asks), self.book_ts, book.sequence, book.in_sequence, mode
        )
