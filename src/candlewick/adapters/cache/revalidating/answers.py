"""Stale while revalidate, on any cache."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.net import deadline
from candlewick.ports.cache import BadTtl, Cache, CacheUnavailable

# When the answer stops being fresh, ns since the epoch; the answer follows.
_FRESH_UNTIL: Final = struct.Struct(">q")


class RevalidatingAnswers:
    """A fresh answer is served as it is. A stale one is served too, while one caller among all processes that share
    the cache computes a new one in the background. Without an answer one caller computes and the others wait.

    A computation that fails in the background is logged and tried again, at the earliest after ``retry_s``, at the next
    question; the stale answer is served until its time is over. Processes must agree on the time of day to within what
    freshness may be off by. One event loop.
    """

    def __init__(self, cache: Cache, clock: Clock, logger: Any, *, retry_s: float = 1.0, turn_s: float = 30.0) -> None:
        """The cache stays the caller's to close. Another process computes when one has not within ``turn_s``."""
        self._cache = cache
        self._clock = clock
        self._logger = logger
        self._retry_s = retry_s
        self._turn_s = turn_s
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    async def answer(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, fresh_s: float, stale_s: float
    ) -> bytes:
        """Fresh for ``fresh_s``, served for ``stale_s`` beyond. Raises BadTtl and, without an answer to serve, what
        ``compute`` raises."""
        if not fresh_s > 0 or not stale_s >= 0:
            raise BadTtl(f"fresh_s must be positive and stale_s not negative, was {(fresh_s, stale_s)!r}")

        async def stamped() -> bytes:
            value = await compute()
            return _FRESH_UNTIL.pack(self._clock.now_ns() + int(fresh_s * NS_PER_SECOND)) + value

        kept = None
        with suppress(CacheUnavailable):
            kept = await self._cache.get(key)
        if kept is None:
            kept = await self._cache.single(key, stamped, ttl_s=fresh_s + stale_s)
        elif self._clock.now_ns() >= _FRESH_UNTIL.unpack_from(kept)[0] and key not in self._refreshing:
            with deadline.without():  # for all who will ask, not for this one
                task = asyncio.create_task(self._refresh(key, stamped, fresh_s + stale_s))
            self._refreshing[key] = task
            task.add_done_callback(lambda _: self._refreshing.pop(key, None))
        return kept[_FRESH_UNTIL.size :]

    async def close(self) -> None:
        """Give up what is computed in the background."""
        tasks = list(self._refreshing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self, key: str, stamped: Callable[[], Awaitable[bytes]], ttl_s: float) -> None:
        turn = f"{key}:refreshing"
        with suppress(CacheUnavailable):
            if not await self._cache.add(turn, b"", ttl_s=self._turn_s):
                return
            try:
                kept = await stamped()
            except Exception as error:
                self._logger.warning(
                    "an answer could not be renewed; the old one is served", key=key, detail=str(error)
                )
                await self._cache.set(turn, b"", ttl_s=self._retry_s)
                return
            await self._cache.set(key, kept, ttl_s=ttl_s)
            await self._cache.delete(turn)
