"""The machine's clock and randomness. Pure code must not import this module (a linter refuses)."""

import asyncio
import secrets
import time
from uuid import UUID

from candlewick.kernel.ids import uuid7


class SystemClock:
    """The clock of this machine."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)


class SystemIds:
    """UUIDv7 from the machine's clock; within one millisecond the random part counts up (RFC 9562, 6.2, method 2)."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._random = 0

    def new(self) -> UUID:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._random = secrets.randbits(73)
        else:
            self._random += 1 + secrets.randbits(32)
        return uuid7(self._last_ms, self._random)
