"""Looks after the services of other processes that those of this one depend on.

Each is asked for its health once a second, so that who depends on it says so before it is needed, and is itself again
without anyone's doing once the other is back. A refused connection, or a service that says it does not serve, counts at
once; one that is merely slow to answer only when it stays so. One that takes connections and has not answered yet since
this process began is starting beside it: that is no fault for as long as a start may take.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from candlewick.app.http.health import HealthDetail, Neighbour
from candlewick.app.http.upstream import Upstream
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND, Clock

LOOK_EVERY_S: Final = 1.0
_LOOK_WITHIN_S: Final = 2.0
_SLOW_LOOKS: Final = 2
_STARTS_WITHIN_S: Final = 60.0
_decode = msgspec.json.Decoder(HealthDetail).decode


class _Slow(Exception):
    """No answer in time."""


class Neighbours:
    """What this process last found of them."""

    def __init__(self, upstreams: Sequence[Upstream], clock: Clock, logger: Any, on_change: Callable[[], None]) -> None:
        self._upstreams = {upstream.service: upstream for upstream in upstreams}
        self._clock, self._logger, self._on_change = clock, logger, on_change
        unknown = Neighbour("unknown", clock.now_ns() // NS_PER_MS, "not looked at yet")
        self._found = dict.fromkeys(self._upstreams, unknown)
        self._began_ns = clock.monotonic_ns()
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, service: str) -> Neighbour:
        """As it was found last."""
        return self._found[service]

    def start(self) -> None:
        """Begin to look."""
        self._tasks = [asyncio.ensure_future(self._watch(upstream)) for upstream in self._upstreams.values()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, upstream: Upstream) -> None:
        await asyncio.to_thread(_load_http)  # some 100 ms of imports, which the loop need not wait for
        slow = 0
        while True:
            try:
                self._learn(upstream, await self._look(upstream))
                slow = 0
            except _Slow:
                slow += 1
                if slow >= _SLOW_LOOKS and not self._may_be_starting(upstream):
                    detail = f"did not say within {_LOOK_WITHIN_S:g} s how it is"
                    self._learn(upstream, Neighbour("unreachable", 0, detail))
            await self._clock.sleep(LOOK_EVERY_S)

    def _may_be_starting(self, upstream: Upstream) -> bool:
        """Nothing has been learned of it yet, and that is no wonder."""
        age_ns = self._clock.monotonic_ns() - self._began_ns
        return self._found[upstream.service].status == "unknown" and age_ns < _STARTS_WITHIN_S * NS_PER_SECOND

    async def _look(self, upstream: Upstream) -> Neighbour:
        """How the service is, its ``since`` not set. Raises _Slow."""
        import httpx

        try:
            async with asyncio.timeout(_LOOK_WITHIN_S), upstream.questions.connection() as http:
                reply = await http.get("/health/detailed", timeout=_LOOK_WITHIN_S)
            told = _decode(reply.content)
        except (TimeoutError, httpx.TimeoutException):
            raise _Slow from None
        except httpx.RequestError as error:
            return Neighbour("unreachable", 0, str(error) or type(error).__name__)
        except msgspec.MsgspecError:
            return Neighbour("unreachable", 0, f"it answered {reply.status_code}, but not how it is")
        if told.service != upstream.service:
            return Neighbour("unreachable", 0, f"at {upstream.base_url} answers service {told.service}")
        return Neighbour(told.status, 0, told.detail, told.missing)

    def _learn(self, upstream: Upstream, found: Neighbour) -> None:
        before = self._found[upstream.service]
        since = before.since if found.status == before.status else self._clock.now_ns() // NS_PER_MS
        now = self._found[upstream.service] = msgspec.structs.replace(found, since=since)
        if found.status != "unreachable":
            upstream.alive()
        if now != before:
            self._on_change()
        if not now.serves and before.serves:
            self._logger.warning("a service is missing", missing=upstream.service, state=now.status, detail=now.detail)
        elif now.serves and not before.serves:
            self._logger.info("a service is back", was_missing=upstream.service, state=now.status)


def _load_http() -> None:
    import httpx  # noqa: F401
