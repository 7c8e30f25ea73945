"""The error tree: what a caller should do next is the class, what went wrong is the code.

``Retryable`` may pass by itself, ``Rejected`` is the caller's to mend, ``Corrupt`` means stored or received bytes
cannot be trusted, ``Fatal`` stops the unit that raised it. A code is stable: clients, dead letters, metrics and docs
name it. HTTP status codes are an outer face and live with the HTTP layer.
"""

from typing import ClassVar


class CandlewickError(Exception):
    """Base of every error that Candlewick raises on purpose.

    ``hint`` says what to do about it, in one sentence, when there is something to do.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.detail}. {self.hint}" if self.hint else self.detail


class Retryable(CandlewickError):
    """The same call may succeed later; nothing was half done."""

    code = "UNAVAILABLE"


class Rejected(CandlewickError):
    """The input is at fault; the same call will fail again."""

    code = "REJECTED"


class NotFound(Rejected):
    """What was asked for does not exist."""

    code = "NOT_FOUND"


class Conflict(Rejected):
    """What was asked for contradicts what is there."""

    code = "CONFLICT"


class Corrupt(CandlewickError):
    """Bytes that were stored or received cannot be what their writer meant."""

    code = "CORRUPT"


class Fatal(CandlewickError):
    """The unit that raised it must stop; a supervisor may start it again."""

    code = "FATAL"


class Fenced(Fatal):
    """A newer owner has taken over; whatever this one still wants to write is refused."""

    code = "FENCED"


class StorageFull(Retryable):
    """The disk, or the budget set for it, is full; accepted data is safe, new data waits."""

    code = "STORAGE_FULL"
