"""Errors that sockets and event pages speak of."""

from candlewick.kernel.errors import NotFound, Rejected, Retryable


class BadCursor(Rejected):
    """A resume token or cursor that this service did not give out."""

    code = "BAD_CURSOR"


class Hole(Rejected):
    """The token is older than what the log keeps: a snapshot follows instead."""

    code = "HOLE"


class SlowClient(Rejected):
    """The client cannot follow; it is closed with its last token."""

    code = "SLOW"


class EventNotFound(NotFound):
    """No event has this id or cursor, or it has left the log."""

    code = "EVENT_NOT_FOUND"


class BadName(Rejected):
    """An exchange or symbol in a socket's address that is no name."""

    code = "BAD_NAME"


class MarketRefused(Rejected):
    """Market refused the snapshot; the client is told market's own code."""

    code = "MARKET_REFUSED"

    def __init__(self, told: str, detail: str) -> None:
        super().__init__(detail)
        self.told = told


class SnapshotFailed(Retryable):
    """Market did not give the snapshot."""

    code = "SNAPSHOT_FAILED"
