"""The laws of ``ports.cache``, for every adapter.

 1 A value lives until its time to live has passed and is never served a moment later.
 2 ``set`` replaces the value and its time to live.
 3 ``add`` sets only what is absent: of many callers at once exactly one gets True; a value that has passed is absent.
 4 ``delete`` says whether there was something to delete.
 5 ``increment`` is atomic; the time to live starts at the first increment and is not prolonged by later ones.
 6 ``single`` computes once for all callers of a key at once, and not at all while the value lives.
 7 A failed computation is raised to all who waited and is not kept.
 8 When the caller that computes is cancelled, one of those who wait computes instead.
 9 A caller that is cancelled while it waits disturbs nobody.
10 Memory is bounded in bytes; what was used longest ago leaves first.
11 A time to live that is not positive is refused with code BAD_TTL.
12 ``increment`` of something that is no counter is refused with code NOT_A_COUNTER and leaves it alone.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import pytest

from candlewick.ports.cache import BadTtl, Cache, NotACounter
from candlewick.testing.conformance.harness import Harness

T = TypeVar("T")

_PATIENCE_S = 5.0


class CacheHarness(Harness[Cache], Protocol):
    """Also moves time, and says how much the cache holds; 0 where its server has no bound of its own."""

    @property
    def max_bytes(self) -> int: ...

    async def pass_time(self, seconds: float) -> None:
        """Let the cache's clock move on by this much."""
        ...


class Computation:
    """A computation that counts how often it was begun, and ends when told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.started = asyncio.Event()
        self._error = error

    async def __call__(self) -> bytes:
        self.begun += 1
        self.started.set()
        await self.go.wait()
        if self._error is not None:
            raise self._error
        return b"computed %d" % self.begun


async def _within(work: Coroutine[object, object, T]) -> T:
    try:
        return await asyncio.wait_for(work, _PATIENCE_S)
    except TimeoutError:
        raise AssertionError("it never ended") from None


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)


class CacheConformance:
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> CacheHarness:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_a_value_lives_for_its_time(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        assert await cache.get("k") is None
        await cache.set("k", b"v\x00\xff", ttl_s=1.0)
        await harness.pass_time(0.5)
        assert await cache.get("k") == b"v\x00\xff"
        await harness.pass_time(0.5)
        assert await cache.get("k") is None
        await cache.set("empty", b"", ttl_s=1.0)
        assert await cache.get("empty") == b""

    async def test_02_setting_replaces(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        await cache.set("k", b"old", ttl_s=1.0)
        await cache.set("k", b"new", ttl_s=3.0)
        await harness.pass_time(1.5)
        assert await cache.get("k") == b"new"
        await cache.set("k", b"short", ttl_s=0.5)
        await harness.pass_time(0.6)
        assert await cache.get("k") is None

    async def test_03_exactly_one_adds(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        won = await asyncio.gather(*(cache.add("k", b"%d" % i, ttl_s=1.0) for i in range(50)))
        assert won.count(True) == 1
        assert await cache.get("k") == b"%d" % won.index(True)
        await harness.pass_time(1.1)
        assert await cache.add("k", b"again", ttl_s=1.0)
        assert not await cache.add("k", b"no", ttl_s=1.0)
        assert await cache.get("k") == b"again"

    async def test_04_deleting(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        await cache.set("k", b"v", ttl_s=1.0)
        assert await cache.delete("k") is True
        assert await cache.get("k") is None
        assert await cache.delete("k") is False
        await cache.set("k", b"v", ttl_s=0.5)
        await harness.pass_time(0.6)
        assert await cache.delete("k") is False

    async def test_05_counting(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        counts = await asyncio.gather(*(cache.increment("n", 2, ttl_s=1.0) for _ in range(50)))
        assert sorted(counts) == list(range(2, 102, 2))
        await harness.pass_time(0.6)
        assert await cache.increment("n", -1, ttl_s=1.0) == 99
        await harness.pass_time(0.6)
        assert await cache.get("n") is None, "a later increment prolonged the life"
        assert await cache.increment("n", 5, ttl_s=1.0) == 5

    async def test_06_one_computes_for_all(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        work = Computation()
        callers = [asyncio.create_task(cache.single("k", work, ttl_s=1.0)) for _ in range(20)]
        await _settle()
        work.go.set()
        assert await _within(_all(callers)) == [b"computed 1"] * 20
        assert await cache.single("k", work, ttl_s=1.0) == b"computed 1"
        assert work.begun == 1
        await harness.pass_time(1.1)
        assert await cache.single("k", work, ttl_s=1.0) == b"computed 2"

    async def test_07_a_failure_is_raised_to_all_and_not_kept(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        work = Computation(ValueError("on purpose"))
        callers = [asyncio.create_task(cache.single("k", work, ttl_s=1.0)) for _ in range(5)]
        await _settle()
        work.go.set()
        results = await _within(_outcomes(callers))
        assert all(isinstance(result, ValueError) for result in results)
        assert work.begun == 1
        sound = Computation()
        sound.go.set()
        again = await _within(_outcomes([asyncio.create_task(cache.single("k", sound, ttl_s=1.0))]))
        assert again == [b"computed 1"], "a failure was kept"

    async def test_08_who_waits_takes_over(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        work = Computation()
        leader = asyncio.create_task(cache.single("k", work, ttl_s=1.0))
        await work.started.wait()
        waiting = [asyncio.create_task(cache.single("k", work, ttl_s=1.0)) for _ in range(5)]
        await _settle()
        leader.cancel()
        with suppress(asyncio.CancelledError):
            await leader
        await _settle()
        work.go.set()
        results = await _within(_outcomes(waiting))
        assert results == [b"computed 2"] * 5
        assert work.begun == 2

    async def test_09_who_waits_may_leave(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        work = Computation()
        callers = [asyncio.create_task(cache.single("k", work, ttl_s=1.0)) for _ in range(3)]
        await work.started.wait()
        await _settle()
        callers[1].cancel()
        await _settle()
        work.go.set()
        results = await _within(_outcomes(callers))
        assert [results[0], results[2]] == [b"computed 1"] * 2
        assert isinstance(results[1], asyncio.CancelledError)
        assert work.begun == 1

    async def test_10_memory_is_bounded(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        if not harness.max_bytes:
            pytest.xfail("this cache's bound is its server's")
        size = harness.max_bytes // 20
        await cache.set("often", b"o" * size, ttl_s=60.0)
        for i in range(60):
            await cache.set(f"k{i}", bytes(size), ttl_s=60.0)
            assert await cache.get("often") is not None, "what was used last left first"
        kept = [i for i in range(60) if await cache.get(f"k{i}") is not None]
        assert kept == list(range(60 - len(kept), 60)), "what was used longest ago stayed"
        assert 10 * size <= (len(kept) + 1) * size <= harness.max_bytes

    async def test_11_a_time_to_live_is_positive(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        work = Computation()
        work.go.set()
        for ttl_s in (0.0, -1.0, float("nan")):
            for call in (
                partial(cache.set, "k", b"v"),
                partial(cache.add, "k", b"v"),
                partial(cache.increment, "k", 1),
                partial(cache.single, "k", work),
            ):
                with pytest.raises(BadTtl) as refused:
                    await call(ttl_s=ttl_s)
                assert refused.value.code == "BAD_TTL"
        assert await cache.get("k") is None

    async def test_12_only_counters_count(self, harness: CacheHarness) -> None:
        cache = await harness.handle()
        await cache.set("k", b"words", ttl_s=1.0)
        with pytest.raises(NotACounter):
            await cache.increment("k", 1, ttl_s=1.0)
        assert await cache.get("k") == b"words"


async def _all(tasks: list[asyncio.Task[bytes]]) -> list[bytes]:
    return await asyncio.gather(*tasks)


async def _outcomes(tasks: list[asyncio.Task[bytes]]) -> list[bytes | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)
