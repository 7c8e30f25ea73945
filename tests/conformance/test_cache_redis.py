"""A Redis server keeps the laws of caches, among processes and while it is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.cache.redis import RedisCache
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.cache import CacheUnavailable
from candlewick.testing import servers
from candlewick.testing.conformance.cache import CacheConformance, Computation
from candlewick.testing.link import Link

LEASE_S = 0.6


class RedisHarness:
    """Keys of its own in one database. A kill cuts every connection there is."""

    max_bytes = 0

    def __init__(self, url: str, scratch: Path) -> None:
        self._url = url
        self.link = Link(url)
        self._namespace = SystemIds().new().hex
        self._handles: list[RedisCache] = []
        self.scratch = scratch

    async def handle(self) -> RedisCache:
        cache = RedisCache(
            self.link.url, SystemClock(), SystemIds(), namespace=self._namespace, lease_s=LEASE_S, timeout_s=1.0
        )
        self._handles.append(cache)
        return cache

    async def kill(self) -> None:
        await self.link.cut()
        await self.close()
        self.link = Link(self._url)
        await self.link.open()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        while self._handles:
            await self._handles.pop().close()
        await self.link.cut()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RedisHarness]:
    if (url := servers.address("redis")) is None:
        pytest.skip(servers.why_not("redis"))
    harness = RedisHarness(url, tmp_path)
    await harness.link.open()
    yield harness
    await harness.close()


class TestRedisCache(CacheConformance):
    @pytest.fixture
    def harness(self, harness: RedisHarness) -> RedisHarness:
        return harness


async def _until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def test_processes_compute_once(harness: RedisHarness) -> None:
    caches = [await harness.handle() for _ in range(3)]
    work = Computation()
    callers = [asyncio.create_task(cache.single("k", work, ttl_s=5.0)) for cache in caches for _ in range(5)]
    await asyncio.sleep(LEASE_S * 1.5)
    assert work.begun == 1, "a lease that was not renewed"
    work.go.set()
    assert await asyncio.gather(*callers) == [b"computed 1"] * 15
    assert await caches[2].get("k") == b"computed 1"


async def test_another_process_takes_over_from_a_killed_one(harness: RedisHarness) -> None:
    first = await harness.handle()
    work = Computation()
    dying = asyncio.create_task(first.single("k", work, ttl_s=5.0))
    await work.started.wait()
    await harness.kill()
    other = await harness.handle()
    waiting = asyncio.create_task(other.single("k", work, ttl_s=5.0))
    await asyncio.sleep(LEASE_S / 4)
    assert work.begun == 1, "the lock of one who may be alive was taken"
    await _until(lambda: work.begun == 2)
    work.go.set()
    assert await waiting == b"computed 2"
    await dying
    assert await other.get("k") == b"computed 2", "who lost the lock replaced a newer value"


async def test_another_process_takes_over_from_a_cancelled_caller_at_once(harness: RedisHarness) -> None:
    first, other = await harness.handle(), await harness.handle()
    work = Computation()
    leader = asyncio.create_task(first.single("k", work, ttl_s=5.0))
    await work.started.wait()
    waiting = asyncio.create_task(other.single("k", work, ttl_s=5.0))
    await asyncio.sleep(0.05)
    leader.cancel()
    await asyncio.wait([leader])
    async with asyncio.timeout(LEASE_S / 2):
        while work.begun < 2:
            await asyncio.sleep(0.005)
    work.go.set()
    assert await waiting == b"computed 2"


async def test_who_waited_for_a_failure_elsewhere_tries_at_once(harness: RedisHarness) -> None:
    caches = [await harness.handle() for _ in range(3)]
    work = Computation(ValueError("on purpose"))
    callers = [asyncio.create_task(cache.single("k", work, ttl_s=5.0)) for cache in caches]
    await work.started.wait()
    await asyncio.sleep(0.05)
    work.go.set()
    async with asyncio.timeout(LEASE_S / 2):
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    assert work.begun == 3
    sound = Computation()
    sound.go.set()
    assert await caches[0].single("k", sound, ttl_s=5.0) == b"computed 1"


async def test_without_its_server_a_cache_costs_only_time(harness: RedisHarness) -> None:
    cache = await harness.handle()
    await cache.set("k", b"kept", ttl_s=60.0)
    work = Computation()
    await harness.link.cut()
    for call in (
        cache.get("k"),
        cache.set("k", b"v", ttl_s=1.0),
        cache.add("n", b"v", ttl_s=1.0),
        cache.delete("k"),
        cache.increment("c", 1, ttl_s=1.0),
    ):
        with pytest.raises(CacheUnavailable) as away:
            await call
        assert away.value.code == "CACHE_UNAVAILABLE"
    callers = [asyncio.create_task(cache.single("s", work, ttl_s=1.0)) for _ in range(5)]
    await work.started.wait()
    work.go.set()
    assert await asyncio.gather(*callers) == [b"computed 1"] * 5
    await harness.link.open()
    assert await cache.get("k") == b"kept"
    assert await cache.increment("c", 1, ttl_s=1.0) == 1


async def test_a_restarted_server_is_found_again_by_every_connection(harness: RedisHarness) -> None:
    cache = await harness.handle()
    await asyncio.gather(*(cache.increment("c", 1, ttl_s=60.0) for _ in range(20)))
    await harness.link.cut()
    await harness.link.open()
    await asyncio.sleep(0.05)
    assert sorted(await asyncio.gather(*(cache.increment("c", 1, ttl_s=60.0) for _ in range(20)))) == [*range(21, 41)]


async def test_a_closed_cache_says_so(harness: RedisHarness) -> None:
    cache = await harness.handle()
    await cache.close()
    with pytest.raises(CacheUnavailable, match="closed"):
        await cache.get("k")
