"""Prices, tickers, books and tapes of the followed symbols, as values. No I/O, no clock."""

from collections import deque
from math import fsum
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from candlewick.contracts.base import ORIGIN_NAMES
from candlewick.contracts.collector import BookUpdated, QuoteUpdated, Side, TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.contracts.timeframes import SECONDS
from candlewick.quant.windows.symbol import SymbolWindows

_DAY_MS = 86_400_000
_MINUTE, _HALF_HOUR = SECONDS["1m"], SECONDS["30m"]
SPARKLINE_POINTS = 48
TAPE_LENGTH = 200
_NS_PER_MS = 1_000_000


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
        closes: NDArray[Any] = self.windows.rings[_HALF_HOUR].column("close", SPARKLINE_POINTS)
        points: list[float] = closes.tolist()
        open_row = self.windows.open_row(_HALF_HOUR)
        if open_row is not None:
            points = [*points, float(open_row["close"][0])][-SPARKLINE_POINTS:]
        return points

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
