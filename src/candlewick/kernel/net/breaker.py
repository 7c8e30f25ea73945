"""A circuit breaker: stop asking a server that does not answer, and find out gently when it does again."""

from enum import Enum

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Retryable


class CircuitOpen(Retryable):
    """Not tried: the last attempts failed and the pause is not over; ``retry_after_s`` says how long it still lasts."""

    code = "CIRCUIT_OPEN"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class BreakerState(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after ``failures`` in a row, stays open for ``open_s`` (doubling up to ``open_cap_s`` while trials fail),
    then lets one trial through: its success closes, its failure opens again. Every ``check`` that passed is followed
    by one of ``succeeded``, ``failed`` and ``abandoned``.
    """

    def __init__(self, clock: Clock, *, failures: int = 5, open_s: float = 10.0, open_cap_s: float = 300.0) -> None:
        self._clock = clock
        self._limit = failures
        self._open_s = open_s
        self._cap_s = open_cap_s
        self._failed = 0
        self._openings = 0
        self._opened_at = 0
        self._trial_out = False
        self._state = BreakerState.CLOSED

    @property
    def state(self) -> BreakerState:
        if self._state is BreakerState.OPEN and self.wait_s() <= 0:
            return BreakerState.HALF_OPEN
        return self._state

    def wait_s(self) -> float:
        """Seconds until a trial may go out; 0 when nothing has to wait."""
        if self._state is BreakerState.CLOSED:
            return 0.0
        pause_s = min(self._cap_s, self._open_s * 2.0 ** min(self._openings - 1, 60))
        return max(0.0, pause_s - (self._clock.monotonic_ns() - self._opened_at) / NS_PER_SECOND)

    def check(self) -> None:
        """Call before an attempt. Raises CircuitOpen while none may go out."""
        if self._state is BreakerState.CLOSED:
            return
        wait_s = self.wait_s()
        if wait_s > 0 or self._trial_out:
            raise CircuitOpen(f"paused after {self._failed} failures in a row", retry_after_s=max(wait_s, 0.1))
        self._trial_out = True

    def succeeded(self) -> None:
        self._state = BreakerState.CLOSED
        self._failed = self._openings = 0
        self._trial_out = False

    def failed(self) -> None:
        self._failed += 1
        if self._state is BreakerState.CLOSED and self._failed < self._limit:
            return
        # What was under way when it opened fails late: that says nothing new, and must not prolong the pause.
        if self._state is BreakerState.OPEN and not self._trial_out:
            return
        self._state = BreakerState.OPEN
        self._openings += 1
        self._opened_at = self._clock.monotonic_ns()
        self._trial_out = False

    def abandoned(self) -> None:
        """The attempt ended without telling anything of the server: it was cancelled, or was given no time."""
        self._trial_out = False

    def look_again(self) -> None:
        """There is a sign of life: the trial need not wait for the pause to end."""
        if self._state is BreakerState.OPEN:
            self._opened_at = self._clock.monotonic_ns() - int(self._cap_s * NS_PER_SECOND)
