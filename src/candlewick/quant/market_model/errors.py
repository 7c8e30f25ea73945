"""What can be wrong with a question to the demo market; every code is stable."""

from candlewick.kernel.errors import NotFound, Rejected


class UnknownModelSymbol(NotFound):
    """The demo market does not trade this symbol."""

    code = "DEMO_SYMBOL_UNKNOWN"


class OutOfTime(Rejected):
    """The time asked for lies outside 1970 to 2200, or runs backwards."""

    code = "DEMO_TIME_RANGE"


class BadDepth(Rejected):
    """A book of less than one level was asked for."""

    code = "DEMO_BOOK_DEPTH"
