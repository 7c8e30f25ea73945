"""Connections to one server, in small pools.

httpx looks through all of a pool's connections and waiting requests whenever one begins or ends: measured on two busy
cores, 200 requests at once took 8.4 s through one pool of 64, 0.6 s through one of 8. So a pool stays small, there are
several, and what finds no place waits outside of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

_WIDTH: Final = 8
# Less than the 5 s after which uvicorn closes an idle connection: it would do so just when a request is on the way.
_KEPT_S: Final = 3.0


class _Lane:
    def __init__(self, http: "httpx.AsyncClient") -> None:
        self.http, self.busy = http, 0


class Lanes:
    """At most ``most`` requests at once; the others wait their turn. Nothing is opened before the first."""

    def __init__(self, base_url: str, *, most: int) -> None:
        self._base_url = base_url
        self._free = asyncio.Semaphore(most)
        self._lanes: list[_Lane] = []

    @asynccontextmanager
    async def connection(self, wait_s: float | None = None) -> "AsyncIterator[httpx.AsyncClient]":
        """A client for one request at a time, until the block ends. Raises TimeoutError when none is free in time."""
        async with asyncio.timeout(wait_s):
            await self._free.acquire()
        try:
            lane = next((lane for lane in self._lanes if lane.busy < _WIDTH), None)
            if lane is None:
                lane = _Lane(self._opened())
                self._lanes.append(lane)
            lane.busy += 1
            try:
                yield lane.http
            finally:
                lane.busy -= 1
        finally:
            self._free.release()

    def _opened(self) -> "httpx.AsyncClient":
        import httpx

        limits = httpx.Limits(max_connections=_WIDTH, max_keepalive_connections=_WIDTH, keepalive_expiry=_KEPT_S)
        # Without TLS no certificates are read, which takes longer than many a request. No proxy of the environment
        # stands between services, and no redirect is followed by surprise.
        return httpx.AsyncClient(
            base_url=self._base_url,
            limits=limits,
            verify=self._base_url.startswith("https:"),
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            await lane.http.aclose()
