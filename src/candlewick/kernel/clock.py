"""Time as an argument. Instants are integer nanoseconds since 1970-01-01 UTC unless a name says ``_ms``."""

from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """Where a unit learns the time. Operators never hold one: their time comes from messages."""

    def now_ns(self) -> int:
        """Wall-clock time, ns since the epoch, UTC. May step."""
        ...

    def monotonic_ns(self) -> int:
        """A time that never goes backwards, for durations only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once when ``seconds`` is not positive."""
        ...
