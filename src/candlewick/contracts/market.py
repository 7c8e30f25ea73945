"""What market says: which symbols are followed, and what they are."""

import msgspec

from candlewick.contracts.base import MarketMessage, Message

TRADING, REMOVED = "trading", "removed"
"""Status of a symbol that can be traded, and of one that the exchange no longer lists; others are the exchange's."""


class Instrument(msgspec.Struct, frozen=True):
    """One tradable symbol of one exchange. ``symbol`` is BASE-QUOTE; ticks and steps are decimal strings."""

    exchange: str
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    price_tick: str
    size_step: str
    price_scale: int
    size_scale: int
    status: str = TRADING


class SymbolAdded(Message, frozen=True):
    """A symbol is followed from now on."""

    instrument: Instrument

    @property
    def key(self) -> str:
        return f"{self.instrument.exchange}:{self.instrument.symbol}"


class SymbolUpdated(SymbolAdded, frozen=True):
    """What is known of a followed symbol has changed."""


class SymbolDeleted(MarketMessage, frozen=True):
    """A symbol is no longer followed."""


OPEN, HALTED = "open", "halted"
MOST_NAMED = 100


class MarketUpdated(Message, frozen=True):
    """What is newly known of a whole exchange: open, or halted while none of its listed symbols trades; how many are
    listed and how many of these trade; which it began and stopped to list since the last word, 100 named at most."""

    exchange: str
    status: str
    listed: int
    trading: int
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.exchange
