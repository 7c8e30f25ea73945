"""Other processes' services as this process sees them: breaker, retry budget and connections, one set a service.

Whoever asks a service from this process shares them, so that what one asker learns of it spares the others.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from candlewick.app.http.addresses import Addresses
from candlewick.app.http.lanes import Lanes
from candlewick.app.tracing import Tracer
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Retryable
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.net.breaker import BreakerState, CircuitBreaker, CircuitOpen
from candlewick.kernel.net.retries import RetryBudget

CONNECT_S: Final = 1.0
# An attempt that was given less says nothing of the service when it is not answered in time.
TELLING_S: Final = 0.5
_FAILURES, _OPEN_S, _OPEN_CAP_S = 5, 1.0, 10.0
_QUESTIONS, _BODIES = 32, 256


class ServiceUnreachable(Retryable):
    """Another service did not answer; ``retry_after_s`` is how long it is not asked again, 0 when that is not known."""

    code = "SERVICE_UNREACHABLE"

    def __init__(self, detail: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Upstream:
    """One service of another process."""

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        clock: Clock,
        metrics: Metrics,
        tracer: Tracer,
        timeout_s: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``timeout_s`` holds where the asker has no deadline of its own."""
        self.service, self.base_url = service, base_url
        self.clock, self.metrics, self.tracer, self.timeout_s, self.chance = clock, metrics, tracer, timeout_s, chance
        self.breaker = CircuitBreaker(clock, failures=_FAILURES, open_s=_OPEN_S, open_cap_s=_OPEN_CAP_S)
        self.budget = RetryBudget()
        # For calls whose answers are small; and for what is only passed on, where a slow client holds one for long.
        self.questions = Lanes(base_url, most=_QUESTIONS)
        self.bodies = Lanes(base_url, most=_BODIES)

    async def close(self) -> None:
        await self.questions.close()
        await self.bodies.close()

    @contextmanager
    def attempt(self) -> Iterator["Attempt"]:
        """One attempt, told to the breaker. Raises ServiceUnreachable without trying while the breaker is open."""
        try:
            self.breaker.check()
        except CircuitOpen as error:
            self._tell()
            detail = f"service {self.service} is not asked now: {error.detail}"
            raise ServiceUnreachable(detail, retry_after_s=error.retry_after_s) from None
        attempt = Attempt()
        try:
            yield attempt
        finally:
            if attempt.answered is None:
                self.breaker.abandoned()
            elif attempt.answered:
                self.breaker.succeeded()
            else:
                self.breaker.failed()
            self._tell()

    def alive(self) -> None:
        """It was heard of by another way: the next attempt need not wait."""
        self.breaker.look_again()
        self._tell()

    def _tell(self) -> None:
        is_open = self.breaker.state is not BreakerState.CLOSED
        self.metrics.gauge("service_breaker_open", float(is_open), self.service)


class Attempt:
    """``answered`` is None as long as the attempt says nothing of the service."""

    __slots__ = ("answered",)

    def __init__(self) -> None:
        self.answered: bool | None = None


class Upstreams:
    """All of one process, made when first asked for."""

    def __init__(
        self, addresses: Addresses, *, clock: Clock, metrics: Metrics, tracer: Tracer, timeout_s: float
    ) -> None:
        self._addresses, self._clock, self._metrics = addresses, clock, metrics
        self._tracer, self._timeout_s = tracer, timeout_s
        self._found: dict[str, Upstream] = {}

    def of(self, service: str) -> Upstream:
        """Raises UnknownService."""
        if service not in self._found:
            self._found[service] = Upstream(
                service,
                self._addresses.of(service),
                clock=self._clock,
                metrics=self._metrics,
                tracer=self._tracer,
                timeout_s=self._timeout_s,
            )
        return self._found[service]

    async def close(self) -> None:
        for upstream in self._found.values():
            await upstream.close()
