"""Pure rules of the collector: what is sheddable, and what a message weighs in the queue."""

from candlewick.contracts.base import MarketMessage, Message
from candlewick.contracts.collector import (
    BookUpdated,
    ConnectionChanged,
    Progress,
    QuoteUpdated,
    TradeBatch,
)
from candlewick.contracts.topics import (
    COLLECTOR_CONNECTIONS,
    RAW_BOOK,
    RAW_MARKET_DATA,
    RAW_TICKER,
)

TOPICS: dict[type[Message], str] = {
    TradeBatch: RAW_MARKET_DATA.name,
    Progress: RAW_MARKET_DATA.name,
    BookUpdated: RAW_BOOK.name,
    QuoteUpdated: RAW_TICKER.name,
    ConnectionChanged: COLLECTOR_CONNECTIONS.name,
}
_FIXED_BYTES = 200
_TRADE_BYTES = 41
_LEVEL_BYTES = 16


def weight(message: Message) -> int:
    """About how many bytes a message takes while it waits."""
    if isinstance(message, TradeBatch):
        return _FIXED_BYTES + _TRADE_BYTES * len(message.columns_v1.trade_id)
    if isinstance(message, BookUpdated):
        return _FIXED_BYTES + _LEVEL_BYTES * (len(message.bid_price) + len(message.ask_price))
    return _FIXED_BYTES


def event_time(message: Message, ts_recv: int) -> int:
    """When the venue says it happened, ns; the receive time where it says nothing."""
    if isinstance(message, TradeBatch):
        return int(message.columns_v1.ts_event[-1])
    if isinstance(message, Progress):
        return message.complete_through
    return ts_recv


def conflation_key(message: Message) -> tuple[str, str] | None:
    """Messages of one such key replace each other while they wait; None for what must not be lost [13]."""
    if isinstance(message, (QuoteUpdated, BookUpdated)) and isinstance(message, MarketMessage):
        return type(message).__name__, message.key
    return None
