"""Errors of the history service."""

from candlewick.kernel.errors import NotFound, Rejected, Retryable


class BadHistoryQuery(Rejected):
    """A parameter of a question to history is not what the documentation says."""

    code = "BAD_HISTORY_QUERY"


class UnknownSeries(NotFound):
    """Nothing is stored of the symbol."""

    code = "UNKNOWN_SERIES"


class NotStoredYet(Retryable):
    """Candles were published and did not appear in the store in time; they are asked for again later."""

    code = "NOT_STORED_YET"


class VenueHasNoCandles(Retryable):
    """The venue answered without the candles, and nothing proves yet that there are none."""

    code = "VENUE_HAS_NO_CANDLES"
