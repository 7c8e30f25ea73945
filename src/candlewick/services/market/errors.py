"""Errors of the market service."""

from candlewick.kernel.errors import Conflict, NotFound, Rejected, Retryable


class SymbolNotFollowed(NotFound):
    """Nothing is known of the symbol because nobody follows it."""

    code = "SYMBOL_NOT_FOLLOWED"


class ExchangeNotFollowed(Rejected):
    """The exchange is known, but this session follows another one: a symbol there would never get a price."""

    code = "EXCHANGE_NOT_FOLLOWED"


class SymbolNotListed(Rejected):
    """The exchange does not list the symbol."""

    code = "SYMBOL_NOT_LISTED"


class ListingUnknown(Retryable):
    """The exchange has not said yet what it lists. A replay never asks it."""

    code = "LISTING_UNKNOWN"


class SymbolTaken(Conflict):
    """The symbol is followed already."""

    code = "SYMBOL_TAKEN"


class NoPriceYet(Retryable):
    """The symbol is followed, but no price has arrived yet."""

    code = "NO_PRICE_YET"


class BadQuery(Rejected):
    """A query parameter is not what the documentation says."""

    code = "BAD_QUERY"


class HistoryFailed(Retryable):
    """History did not give what was asked of it."""

    code = "HISTORY_FAILED"
