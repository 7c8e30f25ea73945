"""Talking to the server: a bounded pool, short time-outs, its errors as the port's."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from candlewick.ports.cache import CacheUnavailable

T = TypeVar("T")

_TRIES: Final = 2


class RedisServer:
    """Connections are made on demand and made anew when the server was away. A cache that keeps its callers waiting
    costs more than it saves, hence ``timeout_s`` for each step: a free connection, connecting, an answer."""

    def __init__(self, url: str, *, timeout_s: float, connections: int) -> None:
        self._pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # The client would send a command again whose answer got lost, also one that counts.
            retry=Retry(NoBackoff(), 0),
            client_name="candlewick",
            # With them the pool no longer looks whether a connection was closed while it lay idle.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._client: Redis = Redis(connection_pool=self._pool)
        self._is_closed = False
        self._scripts: dict[str, Callable[..., Awaitable[Any]]] = {}

    async def ask(self, question: Callable[[Redis], Awaitable[T]], *, may_repeat: bool) -> T:
        """``may_repeat``: to ask twice does what asking once does. Raises CacheUnavailable, ResponseError."""
        tries = _TRIES if may_repeat else 1
        while True:
            if self._is_closed:
                raise CacheUnavailable("the cache is closed")
            tries -= 1
            try:
                return await question(self._client)
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                if not tries:
                    raise CacheUnavailable(f"the cache's server cannot be reached: {error}") from error

    async def run(self, script: str, keys: list[str], arguments: list[str | bytes | int], *, may_repeat: bool) -> Any:
        """Run a script; the server keeps it by its hash. Raises CacheUnavailable, ResponseError."""
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(script)
        return await self.ask(lambda _: known(keys=keys, args=arguments), may_repeat=may_repeat)

    async def close(self) -> None:
        """What is under way ends as CacheUnavailable."""
        self._is_closed = True
        await self._client.aclose()
        await self._pool.disconnect()


def refused(error: RedisError) -> CacheUnavailable:
    """The server answers, but does not do it: no memory, read-only, no rights."""
    return CacheUnavailable(f"the cache's server refuses: {error}", hint="Look at its memory, role and rights")
