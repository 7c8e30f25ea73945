"""The headers that requests between services carry, and what they mean."""

from collections.abc import Iterable
from typing import Final

from candlewick.app.tracing import PARENT, STATE, Carrier, Tracer, carrier_of
from candlewick.kernel.clock import Clock
from candlewick.kernel.logging import correlation_id
from candlewick.kernel.net.deadline import Deadline

CORRELATION: Final = b"x-correlation-id"
# Milliseconds that are left for the answer, counted from the sending: clocks of two machines need not agree.
DEADLINE: Final = b"x-candlewick-deadline-ms"
# Names, divided by commas, of the services that the answering one misses.
DEGRADED: Final = b"x-candlewick-degraded"
MODE: Final = b"x-candlewick-mode"
# A second request of the same key is the first one put again (draft-ietf-httpapi-idempotency-key-header).
IDEMPOTENCY_KEY: Final = b"idempotency-key"
_PARENT, _STATE = PARENT.encode(), STATE.encode()
_LONGEST_MS: Final = 3_600_000


class Asked:
    """What a request's headers say of where it comes from. ``correlation`` is empty when none came, or not a sound
    one; ``limit_ms`` is None likewise."""

    __slots__ = ("correlation", "limit_ms", "trace")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        correlation = limit = parent = state = b""
        for name, value in headers:
            if name == CORRELATION:
                correlation = correlation or value
            elif name == DEADLINE:
                limit = limit or value
            elif name == _PARENT:
                parent = parent or value
            elif name == _STATE:
                state = state or value
        sound = 0 < len(correlation) <= 64 and correlation.isascii() and correlation.decode().isprintable()
        self.correlation = correlation if sound else b""
        self.limit_ms = min(int(limit), _LONGEST_MS) if limit.isdigit() and len(limit) <= 12 else None
        self.trace: Carrier = carrier_of(parent, state) if parent else {}

    def deadline(self, clock: Clock) -> Deadline | None:
        """By when the asker wants the answer."""
        return None if self.limit_ms is None else Deadline(clock, self.limit_ms / 1000)


def onward(tracer: Tracer, deadline: Deadline) -> dict[str, str]:
    """The headers of a request that this one leads to."""
    # Rounded down: who is asked gives up before the asker does, so that the reason arrives. 0 is never sent.
    headers = {DEADLINE.decode(): str(max(1, int(deadline.remaining_s() * 1000))), **tracer.carrier()}
    if (correlation := correlation_id()) is not None:
        headers[CORRELATION.decode()] = correlation
    return headers
