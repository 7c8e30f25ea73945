"""The control plane's vocabulary: which facts reach every service, under which name, and what makes one valid.

Each is the newest word on its key in a compacted topic of the log; what is here is how it is told on.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from candlewick.contracts.base import Message
from candlewick.contracts.market import (
    HALTED,
    MOST_NAMED,
    OPEN,
    Instrument,
    MarketUpdated,
    SymbolAdded,
    SymbolDeleted,
    SymbolUpdated,
)
from candlewick.contracts.topics import MARKET_MARKETS, MARKET_SYMBOLS, Topic
from candlewick.kernel.decimals import MAX_SCALE
from candlewick.kernel.errors import Corrupt

#: The name of every fact of the control plane.
NAMES: Final[Mapping[type[Message], str]] = {
    SymbolAdded: "symbol.added",
    SymbolUpdated: "symbol.updated",
    SymbolDeleted: "symbol.deleted",
    MarketUpdated: "market.updated",
}
#: The compacted topics that are told on.
TOPICS: Final[tuple[Topic, ...]] = (MARKET_SYMBOLS, MARKET_MARKETS)

_EXCHANGE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9.]*-[A-Z0-9][A-Z0-9.]*")


class BadControlMessage(Corrupt):
    """A message of the control plane that reads, but says what cannot be."""

    code = "BAD_CONTROL_MESSAGE"


def name_of(message: Message) -> str:
    """Raises BadControlMessage for a message that is none of the control plane's."""
    name = NAMES.get(type(message))
    if name is None:
        raise BadControlMessage(f"a control message must be one of {', '.join(NAMES.values())}, was {message!r:.80}")
    return name


def validate(message: Message) -> None:
    """Raises BadControlMessage with the field at fault."""
    name_of(message)
    if isinstance(message, SymbolAdded):
        one = message.instrument
        _place(one.exchange, one.symbol)
        if one.symbol != f"{one.base}-{one.quote}":
            raise BadControlMessage(f"symbol must be {one.base}-{one.quote}, was {one.symbol!r}")
        for field, is_right, wanted in _CHECKS:
            if not is_right(getattr(one, field)):
                raise BadControlMessage(f"{field} of {one.symbol} must be {wanted}, was {getattr(one, field)!r}")
    elif isinstance(message, SymbolDeleted):
        _place(message.exchange, message.symbol)
    elif isinstance(message, MarketUpdated):
        _market(message)


def _market(message: MarketUpdated) -> None:
    _exchange(message.exchange)
    if not 0 <= message.trading <= message.listed:
        raise BadControlMessage(f"trading must be from 0 to {message.listed}, was {message.trading!r}")
    if message.status != (status := OPEN if message.trading else HALTED):
        raise BadControlMessage(f"status must be {status} with {message.trading} trading, was {message.status!r}")
    for field, names in (("added", message.added), ("removed", message.removed)):
        # Venues list names that are no symbols of ours; they can be told, not followed.
        if len(names) > MOST_NAMED or not all(name.strip() for name in names):
            raise BadControlMessage(f"{field} must be at most {MOST_NAMED} symbols, was {names!r:.80}")
    if both := set(message.added) & set(message.removed):
        raise BadControlMessage(f"a symbol must be added or removed, was both: {min(both)!r}")


def _exchange(exchange: str) -> None:
    if not _EXCHANGE.fullmatch(exchange):
        raise BadControlMessage(f"exchange must be a lower-case name, was {exchange!r}")


def _place(exchange: str, symbol: str) -> None:
    _exchange(exchange)
    if not _SYMBOL.fullmatch(symbol):
        raise BadControlMessage(f"symbol must be BASE-QUOTE, was {symbol!r}")


def _is_step(text: str) -> bool:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return number.is_finite() and number > 0


def _is_scale(number: int) -> bool:
    return 0 <= number <= MAX_SCALE


_CHECKS: Final[tuple[tuple[str, Callable[[Any], object], str], ...]] = (
    ("venue_symbol", bool, "the venue's name of it"),
    ("price_tick", _is_step, "a positive decimal"),
    ("size_step", _is_step, "a positive decimal"),
    ("price_scale", _is_scale, f"from 0 to {MAX_SCALE}"),
    ("size_scale", _is_scale, f"from 0 to {MAX_SCALE}"),
    # Venues have words of their own beside trading, halted and removed.
    ("status", re.compile(r"[a-z_]+").fullmatch, "a lower-case word"),
)
assert all(field in Instrument.__struct_fields__ for field, *_ in _CHECKS)
