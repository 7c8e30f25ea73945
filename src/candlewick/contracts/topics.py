"""Every topic there is, declared once. A fact topic has one producer; a command topic one consumer."""

from dataclasses import dataclass
from typing import Literal

from candlewick.contracts import collector, history, market, stream
from candlewick.contracts.base import Message
from candlewick.kernel.errors import Rejected

Cleanup = Literal["delete", "compact"]
_DAY_S = 86_400


class UnknownTopic(Rejected):
    """A topic that is not in the catalogue."""

    code = "UNKNOWN_TOPIC"


@dataclass(frozen=True, slots=True)
class Topic:
    """``retention_s`` is the cluster's; the embedded log keeps 24 h and 2 GiB in all, whichever is less."""

    name: str
    producer: str
    messages: tuple[type[Message], ...]
    partitions: int
    retention_s: int
    meaning: str
    cleanup: Cleanup = "delete"
    key: str = "exchange:symbol"


RAW_MARKET_DATA = Topic(
    "raw.market-data",
    "collector",
    (collector.TradeBatch, collector.Progress),
    30,
    7 * _DAY_S,
    "Trades in columnar batches, and how far they are complete.",
)
RAW_BOOK = Topic(
    "raw.book",
    "collector",
    (collector.BookUpdated,),
    30,
    _DAY_S,
    "Best levels of every followed book, conflated.",
)
RAW_TICKER = Topic(
    "raw.ticker",
    "collector",
    (collector.QuoteUpdated,),
    30,
    _DAY_S,
    "Best bid and ask, conflated.",
)
COLLECTOR_GAPS = Topic(
    "collector.gaps",
    "collector",
    (collector.GapSuspected,),
    6,
    30 * _DAY_S,
    "Holes the collector suspects.",
)
COLLECTOR_CONNECTIONS = Topic(
    "collector.connections",
    "collector",
    (collector.ConnectionChanged,),
    6,
    30 * _DAY_S,
    "Connections to venues and what became of them.",
    key="exchange:connection",
)
NORMALIZED_OHLCV = Topic(
    "normalized.ohlcv",
    "stream",
    (stream.CandleBatch,),
    60,
    30 * _DAY_S,
    "Final candles of every timeframe and their revisions.",
)
OPEN_OHLCV = Topic(
    "normalized.ohlcv-open",
    "stream",
    (stream.CandleBatch,),
    60,
    600,
    "Candles that are still open, conflated; kept apart so that the final ones' retention does not pay for them.",
)
HISTORY_CANDLES = Topic(
    "history.candles",
    "history",
    (history.CandlesFetched, history.CandlesRepaired),
    60,
    30 * _DAY_S,
    "Candles asked from a venue or imported.",
)
HISTORY_GAPS = Topic(
    "history.gaps",
    "history",
    (history.GapOpened, history.GapClosed),
    6,
    365 * _DAY_S,
    "The gap ledger's entries.",
)
MARKET_SYMBOLS = Topic(
    "market.symbols",
    "market",
    (market.SymbolAdded, market.SymbolUpdated, market.SymbolDeleted),
    6,
    0,
    "The followed symbols; the newest word on each is kept.",
    cleanup="compact",
)
MARKET_MARKETS = Topic(
    "market.markets",
    "market",
    (market.MarketUpdated,),
    1,
    0,
    "What is listed and trades on a whole exchange; the newest word on each is kept.",
    cleanup="compact",
    key="exchange",
)

CATALOGUE: tuple[Topic, ...] = (
    RAW_MARKET_DATA,
    RAW_BOOK,
    RAW_TICKER,
    COLLECTOR_GAPS,
    COLLECTOR_CONNECTIONS,
    NORMALIZED_OHLCV,
    OPEN_OHLCV,
    HISTORY_CANDLES,
    HISTORY_GAPS,
    MARKET_SYMBOLS,
    MARKET_MARKETS,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in CATALOGUE}
TOPIC_OF: dict[type[Message], Topic] = {
    message: topic for topic in CATALOGUE for message in topic.messages if message is not stream.CandleBatch
}


def topic(name: str) -> Topic:
    """A topic by its name. Raises UnknownTopic."""
    try:
        return BY_NAME[name]
    except KeyError:
        raise UnknownTopic(f"topic must be in the catalogue, was {name!r}") from None


def dead_letters(name: str) -> str:
    """Where messages of a topic go that a consumer could not take."""
    return f"{name}.dead-letters"
