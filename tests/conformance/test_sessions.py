"""Memory and a Redis server keep the laws of sessions, and each law's test sees its planted fault."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.cache.memory import MemorySessions
from candlewick.adapters.cache.redis import RedisSessions
from candlewick.kernel.system import SystemIds
from candlewick.ports.cache import CacheUnavailable
from candlewick.testing import servers
from candlewick.testing.conformance.harness import Fault, laws, must_see
from candlewick.testing.conformance.sessions import SessionsConformance
from candlewick.testing.faults.sessions import FAULTS
from candlewick.testing.link import Link


class Timer:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.ns = 1_000

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        self.ns += int(max(seconds, 0) * 1e9)


class MemoryHarness:
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._clock = Timer()
        self._sessions = MemorySessions(self._clock)

    async def handle(self) -> MemorySessions:
        return self._sessions

    async def kill(self) -> None:
        self._sessions = MemorySessions(self._clock)

    async def pass_time(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class RedisHarness:
    """Keys of its own in one database."""

    def __init__(self, url: str, scratch: Path) -> None:
        self.link = Link(url)
        self._namespace = f"test-{SystemIds().new().hex}"
        self._handles: list[RedisSessions] = []
        self.scratch = scratch

    async def handle(self) -> RedisSessions:
        self._handles.append(RedisSessions(self.link.url, SystemIds(), namespace=self._namespace))
        return self._handles[-1]

    async def kill(self) -> None:
        await self.link.cut()
        await self.link.open()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        while self._handles:
            await self._handles.pop().close()
        await self.link.cut()


@pytest.fixture
async def redis_harness(tmp_path: Path) -> AsyncIterator[RedisHarness]:
    if (url := servers.address("redis")) is None:
        pytest.skip(servers.why_not("redis"))
    harness = RedisHarness(url, tmp_path)
    await harness.link.open()
    yield harness
    await harness.close()


class TestMemorySessions(SessionsConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> MemoryHarness:
        return MemoryHarness(tmp_path)


class TestRedisSessions(SessionsConformance):
    @pytest.fixture
    def harness(self, redis_harness: RedisHarness) -> RedisHarness:
        return redis_harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, tmp_path: Path) -> None:
    await must_see(SessionsConformance, fault, MemoryHarness(tmp_path))


def test_every_law_has_a_planted_fault() -> None:
    assert laws(SessionsConformance) == {fault.law for fault in FAULTS}


async def test_without_its_server_sessions_cannot_go_on(redis_harness: RedisHarness) -> None:
    sessions = await redis_harness.handle()
    await sessions.save("s", b"a", version=0, ttl_s=60.0)
    await redis_harness.link.cut()
    for call in (sessions.load("s"), sessions.save("s", b"b", version=1, ttl_s=60.0), sessions.end("s")):
        with pytest.raises(CacheUnavailable):
            await call
    await redis_harness.link.open()
    assert await sessions.save("s", b"b", version=1, ttl_s=60.0) == 2
