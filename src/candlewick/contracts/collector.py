"""What the collector says: trades, quotes, books, how far it is complete, and where it suspects a hole."""

from enum import IntEnum

import msgspec

from candlewick.contracts.base import Int64, MarketMessage, Message, Origin, PriceMantissa, SizeMantissa, UInt8


class TradeIds(IntEnum):
    """What a venue's trade ids promise."""

    DENSE = 1
    MONOTONIC = 2
    OPAQUE = 3


class Side(IntEnum):
    """Who took liquidity."""

    SELL = 0
    BUY = 1
    UNKNOWN = 2


class TradeColumns(msgspec.Struct, frozen=True):
    """n trades of one symbol; every array has shape (n,). price = mantissa / 10**price_scale."""

    trade_id: Int64
    price: PriceMantissa
    size: SizeMantissa
    ts_event: Int64
    ts_recv: Int64
    side: UInt8
    price_scale: int
    size_scale: int


class TradeBatch(MarketMessage, frozen=True):
    """Trades of one symbol in the order the venue sent them."""

    ids: TradeIds
    aggregated: bool
    origin: Origin
    times_received: bool
    columns_v1: TradeColumns


class Progress(MarketMessage, frozen=True):
    """Every trade before ``complete_through`` (ns, venue time) has been written; alone beside trades it moves time."""

    complete_through: int
    last_id: int
    feed_alive: bool


class BookUpdated(MarketMessage, frozen=True):
    """The best levels of the book, best first; conflated."""

    sequence: int
    in_sequence: bool
    origin: Origin
    bid_price: PriceMantissa
    bid_size: SizeMantissa
    ask_price: PriceMantissa
    ask_size: SizeMantissa
    price_scale: int
    size_scale: int


class QuoteUpdated(MarketMessage, frozen=True):
    """Best bid and ask as mantissas; conflated."""

    price_scale: int
    size_scale: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    origin: Origin


class GapSuspected(MarketMessage, frozen=True):
    """Trades are missing between ``start_ns`` and ``end_ns``; ids are -1 when the hole is not known by id."""

    start_ns: int
    end_ns: int
    reason: str
    first_missing_id: int
    last_missing_id: int
    detail: str


class ConnectionChanged(Message, frozen=True):
    """A connection to a venue came, went or fell silent."""

    exchange: str
    connection: str
    state: str
    detail: str
    symbols: int

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.connection}"
