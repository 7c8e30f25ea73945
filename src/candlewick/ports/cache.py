"""Short-lived values that may vanish at any time and cost only time when they do.

A value lives until its time to live has passed, measured by the clock the cache was built with; it is never served a
moment later. ``single`` lets one caller compute while the others of the same key wait for it; a failed computation is
not kept and is raised to all who waited. Memory is bounded in bytes; what was used longest ago leaves first.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from candlewick.kernel.errors import Conflict, Rejected, Retryable


class BadTtl(Rejected):
    """A time to live must be positive."""

    code = "BAD_TTL"


class NotACounter(Conflict):
    """The key holds something that ``increment`` did not make."""

    code = "NOT_A_COUNTER"


class CacheUnavailable(Retryable):
    """The cache's server cannot be reached or refuses to work now."""

    code = "CACHE_UNAVAILABLE"


class Cache(Protocol):
    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """``ttl_s`` must be positive."""
        ...

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Set only if absent; of many callers at once exactly one gets True."""
        ...

    async def delete(self, key: str) -> bool:
        """True if there was something to delete."""
        ...

    async def increment(self, key: str, by: int, *, ttl_s: float) -> int:
        """Atomic counter; the time to live starts at its first increment."""
        ...

    async def single(self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl_s: float) -> bytes: ...

    async def close(self) -> None: ...
