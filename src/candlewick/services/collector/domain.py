"""Pure rules of the collector: what is sheddable, what a message weighs in the queue, what a feed is to follow."""

from collections.abc import Mapping

import msgspec

from candlewick.contracts.base import MarketMessage, Message
from candlewick.contracts.collector import (
    BookUpdated,
    ConnectionChanged,
    Progress,
    QuoteUpdated,
    TradeBatch,
)
from candlewick.contracts.market import REMOVED, Instrument
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


class Steps(msgspec.Struct, frozen=True):
    """What a feed is told, in this order; symbols sorted."""

    unfollow: list[str]
    learn: list[Instrument]
    follow: list[str]


def wanted(followed: Mapping[str, Instrument]) -> dict[str, Instrument]:
    """The symbols that a feed is to follow: those that the venue lists."""
    return {symbol: one for symbol, one in followed.items() if one.status != REMOVED}


def steps(following: Mapping[str, Instrument], wanted: Mapping[str, Instrument]) -> Steps:
    """From what a feed follows to what it is to follow. Only a symbol that the venue calls by another name now is
    subscribed anew: scales travel with every batch, so new ones are learned while trades go on."""
    kept = {s for s, one in wanted.items() if s in following and following[s].venue_symbol == one.venue_symbol}
    learned = [one for symbol, one in sorted(wanted.items()) if following.get(symbol) != one]
    return Steps(sorted(following.keys() - kept), learned, sorted(wanted.keys() - kept))
