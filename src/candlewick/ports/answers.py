"""Answers that may be a little old: computed by one caller for all, among all processes that share the cache.

A fresh answer is served as it is. A stale one is served too, while one caller computes it anew in the background; an
error there is logged, and the stale answer served until its time is over. Without an answer one caller computes and the
others wait for it; an error is raised to all who wait, and not kept.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Answers(Protocol):
    async def answer(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, fresh_s: float, stale_s: float
    ) -> bytes:
        """Fresh for ``fresh_s``, served for ``stale_s`` beyond. Raises BadTtl; CacheUnavailable where the cache is
        away and cannot be done without; and what ``compute`` raises where there is nothing to serve."""
        ...

    async def close(self) -> None:
        """Give up what is computed in the background."""
        ...
