"""The memory cache keeps the laws, and each law's test sees its planted fault."""

from pathlib import Path

import pytest

from candlewick.adapters.cache.memory import MemoryCache
from candlewick.testing.conformance.cache import CacheConformance
from candlewick.testing.conformance.harness import Fault, laws, must_see
from candlewick.testing.faults.cache import FAULTS


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
    max_bytes = 40_000

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._clock = Timer()

    async def handle(self) -> MemoryCache:
        return MemoryCache(self._clock, max_bytes=self.max_bytes)

    async def kill(self) -> None:
        """What was in memory is gone with it."""

    async def pass_time(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


@pytest.fixture
def harness(tmp_path: Path) -> MemoryHarness:
    return MemoryHarness(tmp_path)


class TestMemoryCache(CacheConformance):
    @pytest.fixture
    def harness(self, harness: MemoryHarness) -> MemoryHarness:
        return harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, harness: MemoryHarness) -> None:
    await must_see(CacheConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(CacheConformance)
