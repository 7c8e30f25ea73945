"""A point in time by which something must be done, and the one that holds for what is being worked on."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Retryable


class DeadlineExceeded(Retryable):
    """It was not done in time."""

    code = "DEADLINE_EXCEEDED"


class Deadline:
    """``seconds`` from now, measured on the monotonic clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self._at = clock.monotonic_ns() + int(seconds * NS_PER_SECOND)

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, (self._at - self._clock.monotonic_ns()) / NS_PER_SECOND)

    def is_over(self) -> bool:
        return self.remaining_s() <= 0

    def check(self, what: str) -> None:
        """Raises DeadlineExceeded when the time is over."""
        if self.is_over():
            raise DeadlineExceeded(f"{what} took longer than {self.seconds} s")


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """The deadline of what is being worked on in this context; None when it has none."""
    return _current.get()


def sooner(deadline: Deadline) -> Deadline:
    """``deadline``, or the context's where that ends first."""
    outer = _current.get()
    return outer if outer is not None and outer.remaining_s() < deadline.remaining_s() else deadline


@contextmanager
def within(deadline: Deadline) -> Iterator[Deadline]:
    """What is done inside has no longer than this, nor than what was left before."""
    held = sooner(deadline)
    token = _current.set(held)
    try:
        yield held
    finally:
        _current.reset(token)


@contextmanager
def without() -> Iterator[None]:
    """What is begun inside lives on after the request that began it, so the request's deadline is not its own."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
