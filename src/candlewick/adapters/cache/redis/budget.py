"""A rate budget that all processes behind one address share."""

import asyncio
from contextlib import suppress
from typing import Final

from redis.exceptions import RedisError

from candlewick.adapters.cache.redis.server import RedisServer, refused
from candlewick.kernel.clock import Clock
from candlewick.kernel.net.budget import RateBudget
from candlewick.ports.cache import CacheUnavailable

# KEYS: the budget. ARGV: weight, limit, window in ms, what the exchange counts, silence in ms that it asks for.
# The server's clock decides for all. Returns ms to wait (0: the weight is spent), weight used, ms of silence left.
_SPEND: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = tonumber(ARGV[3])
local window = math.floor(now / length)
local kept = redis.call('HMGET', KEYS[1], 'window', 'used', 'silent')
local used = 0
if tonumber(kept[1] or -1) == window then used = tonumber(kept[2]) end
used = math.max(used, tonumber(ARGV[4]))
local silent = math.max(tonumber(kept[3] or 0), now + tonumber(ARGV[5]))
local weight, wait = tonumber(ARGV[1]), silent - now
if used > 0 and used + weight > tonumber(ARGV[2]) then wait = math.max(wait, (window + 1) * length - now) end
if wait <= 0 then used = used + weight end
redis.call('HSET', KEYS[1], 'window', window, 'used', used, 'silent', silent)
redis.call('PEXPIRE', KEYS[1], 2 * length + silent - now)
return {math.max(wait, 0), used, silent - now}
"""


class SharedRateBudget(RateBudget):
    """A ``RateBudget`` whose weight, counts and silences are one for every process that names it ``name``.

    Spending is one step on the server, so that all together never pass ``limit`` in a window, aligned to the epoch.
    While the server is away each process keeps to ``share_alone`` of the limit by itself: give it one part in as many
    processes as there may be. ``used`` and ``silent_s`` tell what the last answer said. A spending whose answer got
    lost counts twice.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        name: str,
        *,
        limit: int,
        window_s: float = 60.0,
        share_alone: float = 0.25,
        namespace: str = "candlewick",
        timeout_s: float = 1.0,
    ) -> None:
        super().__init__(clock, limit=limit, window_s=window_s)
        self._server = RedisServer(url, timeout_s=timeout_s, connections=4)
        self._alone = RateBudget(clock, limit=max(1, int(limit * share_alone)), window_s=window_s)
        self._sleep = clock.sleep
        self._key = f"{namespace}:budget:{name}"
        self._window_ms = int(window_s * 1000)
        self._queue = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()

    async def spend(self, weight: int) -> None:
        """Wait until there is room among all processes, then take it; those of one process in the order they came."""
        async with self._queue:
            while True:
                try:
                    wait_ms = await self._ask(weight, 0, 0)
                except CacheUnavailable:
                    await self._alone.spend(weight)
                    return
                if not wait_ms:
                    return
                await self._sleep(wait_ms / 1000)

    def observe(self, used: int) -> None:
        """The exchange says that so much is used in the present window; every process hears it."""
        super().observe(used)
        self._alone.observe(used)
        self._tell(used, 0)

    def silence(self, seconds: float) -> None:
        """The exchange asks for silence; every process keeps it."""
        super().silence(seconds)
        self._alone.silence(seconds)
        self._tell(0, int(seconds * 1000) + 1)

    async def close(self) -> None:
        """What was observed is told first."""
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self._server.close()

    def _tell(self, used: int, silence_ms: int) -> None:
        async def tell() -> None:
            with suppress(CacheUnavailable):
                await self._ask(0, used, silence_ms)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _ask(self, weight: int, used: int, silence_ms: int) -> int:
        arguments: list[str | bytes | int] = [weight, self.limit, self._window_ms, used, silence_ms]
        try:
            answer = await self._server.run(_SPEND, [self._key], arguments, may_repeat=False)
        except RedisError as error:
            raise refused(error) from error
        wait_ms, in_use, silent_ms = (int(number) for number in answer)
        super().observe(in_use)
        super().silence(silent_ms / 1000)
        # To tell is not to spend.
        return wait_ms if weight else 0
