"""A point in time by which something must be done."""

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
