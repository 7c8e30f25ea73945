"""What can be wrong with a question about indicators; every code is stable."""

from candlewick.kernel.errors import NotFound, Rejected


class UnknownIndicator(NotFound):
    """No indicator has this name."""

    code = "INDICATOR_UNKNOWN"


class BadIndicator(Rejected):
    """The text that names an indicator cannot be read."""

    code = "INDICATOR_SYNTAX"


class BadParameter(Rejected):
    """A parameter is unknown, out of range, of the wrong kind, or contradicts another."""

    code = "INDICATOR_PARAMETER"


class BadInput(Rejected):
    """The candles handed in are not equally long one-dimensional arrays, or a snapshot is not this indicator's."""

    code = "INDICATOR_INPUT"
