"""``ports.cache`` in a Redis server: what all processes share."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from candlewick.adapters.cache.redis import scripts
from candlewick.adapters.cache.redis.server import RedisServer, refused
from candlewick.kernel.clock import Clock
from candlewick.kernel.ids import IdSource
from candlewick.ports.cache import BadTtl, CacheUnavailable, NotACounter

T = TypeVar("T")

_FIRST_LOOK_S: Final = 0.004
_LAST_LOOK_S: Final = 0.1
_FAILURE_TOLD_MS: Final = 1_000
# A hundred years keep infinity a number that the server takes.
_LONGEST_S: Final = 3.2e9


class RedisCache:
    """Times to live are the server's; its ``maxmemory`` and ``allkeys-lru`` are the bound of bytes.

    ``single`` computes once among all processes. When the process that computes dies, another one takes over within
    ``lease_s``. A failed computation is raised to those who waited in its process; the other processes that waited
    compute for themselves. Without the server ``single`` computes, once per process; everything else raises
    CacheUnavailable. One server with its replicas, not a Redis Cluster: a script touches two keys. One event loop.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        ids: IdSource,
        *,
        namespace: str = "candlewick",
        timeout_s: float = 1.0,
        lease_s: float = 3.0,
        connections: int = 32,
    ) -> None:
        self._server = RedisServer(url, timeout_s=timeout_s, connections=connections)
        self._clock = clock
        self._ids = ids
        self._namespace = namespace
        self._lease_s = lease_s
        self._lease_ms = int(lease_s * 1000)
        self._flights: dict[str, asyncio.Future[bytes | None]] = {}

    async def get(self, key: str) -> bytes | None:
        """Raises CacheUnavailable."""
        value = await self._ask(lambda client: client.get(self._value(key)))
        return value.encode() if isinstance(value, str) else value

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Raises BadTtl, CacheUnavailable: the value before may be there still."""
        ttl_ms = _ms(ttl_s)
        await self._ask(lambda client: client.set(self._value(key), value, px=ttl_ms))

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Raises BadTtl, CacheUnavailable: it may have been added."""
        ttl_ms = _ms(ttl_s)
        added = await self._ask(
            lambda client: client.set(self._value(key), value, px=ttl_ms, nx=True), may_repeat=False
        )
        return bool(added)

    async def delete(self, key: str) -> bool:
        """Raises CacheUnavailable: it may be there still."""
        return bool(await self._ask(lambda client: client.delete(self._value(key)), may_repeat=False))

    async def increment(self, key: str, by: int, *, ttl_s: float) -> int:
        """Numbers of 64 bits. Raises BadTtl, NotACounter, CacheUnavailable: it may have been counted."""
        arguments: list[str | bytes | int] = [by, _ms(ttl_s)]
        try:
            number = await self._server.run(scripts.COUNT, [self._value(key)], arguments, may_repeat=False)
        except ResponseError as error:
            text = str(error)
            if "not an integer" in text or "overflow" in text or "WRONGTYPE" in text:
                raise NotACounter(f"the key must hold a counter of 64 bits, was {key!r}") from None
            raise refused(error) from error
        except RedisError as error:
            raise refused(error) from error
        return int(number)

    async def single(self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl_s: float) -> bytes:
        """When the caller that computes is cancelled, one of those who wait computes instead. Raises BadTtl."""
        ttl_ms = _ms(ttl_s)
        while True:
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(key, compute, ttl_ms)
            landed = await asyncio.shield(flight)
            if landed is not None:
                return landed

    async def close(self) -> None:
        """What is kept stays in the server."""
        await self._server.close()

    async def _lead(self, key: str, compute: Callable[[], Awaitable[bytes]], ttl_ms: int) -> bytes:
        flight: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            value = await self._board(key, compute, ttl_ms)
        except Exception as error:
            flight.set_exception(error)
            # Nobody may be waiting; asyncio would otherwise report an error that was raised to the leader anyway.
            flight.exception()
            raise
        except BaseException:
            flight.set_result(None)
            raise
        else:
            flight.set_result(value)
            return value
        finally:
            del self._flights[key]

    async def _board(self, key: str, compute: Callable[[], Awaitable[bytes]], ttl_ms: int) -> bytes:
        """Find the value, or wait for the process that computes it, or be that process."""
        token = self._ids.new().hex
        waited_for, look_s = "", _FIRST_LOOK_S
        while True:
            try:
                value, holder = await self._run(scripts.BOARD, key, [token, self._lease_ms, waited_for])
            except CacheUnavailable:
                return await compute()
            if value is not None:
                found: bytes = value
                return found
            held_by = holder.decode()
            if held_by == token:
                return await self._compute(key, token, compute, ttl_ms)
            if held_by == f"!{waited_for}":
                return await compute()
            waited_for = held_by
            await self._clock.sleep(look_s)
            look_s = min(look_s * 1.5, _LAST_LOOK_S)

    async def _compute(self, key: str, token: str, compute: Callable[[], Awaitable[bytes]], ttl_ms: int) -> bytes:
        renewing = asyncio.create_task(self._renew(key, token))
        try:
            value = await compute()
        except BaseException as error:
            told_ms = _FAILURE_TOLD_MS if isinstance(error, Exception) else 0
            with suppress(CacheUnavailable):
                await self._run(scripts.LEAVE, key, [token, told_ms])
            raise
        finally:
            renewing.cancel()
        with suppress(CacheUnavailable):
            await self._run(scripts.LAND, key, [token, value, ttl_ms])
        return value

    async def _renew(self, key: str, token: str) -> None:
        while True:
            await self._clock.sleep(self._lease_s / 3)
            with suppress(CacheUnavailable):
                await self._run(scripts.RENEW, key, [token, self._lease_ms])

    def _value(self, key: str) -> str:
        return f"{self._namespace}:value:{key}"

    async def _ask(self, question: Callable[[Redis], Awaitable[T]], *, may_repeat: bool = True) -> T:
        try:
            return await self._server.ask(question, may_repeat=may_repeat)
        except RedisError as error:
            raise refused(error) from error

    async def _run(self, script: str, key: str, arguments: list[str | bytes | int]) -> Any:
        keys = [self._value(key), f"{self._namespace}:lock:{key}"]
        try:
            return await self._server.run(script, keys, arguments, may_repeat=True)
        except RedisError as error:
            raise refused(error) from error


def _ms(ttl_s: float) -> int:
    """A time to live that the server never passes: it still serves a value in the millisecond in which it ends."""
    if not ttl_s > 0:
        raise BadTtl(f"a time to live must be positive seconds, was {ttl_s!r}")
    return max(1, int(min(ttl_s, _LONGEST_S) * 1000) - 1)
