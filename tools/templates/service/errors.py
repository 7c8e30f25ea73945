"""Errors of the $name service."""

from candlewick.kernel.errors import NotFound


class NoCloseYet(NotFound):
    """No final candle of the symbol has been seen by the $name service."""

    code = "${NAME}_NO_CLOSE_YET"
