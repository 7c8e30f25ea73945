"""The rings of this process keep the laws of windows, and each law's test sees its planted fault."""

from pathlib import Path

import pytest

from candlewick.adapters.cache.memory import MemoryWindows
from candlewick.testing.conformance.harness import Fault, laws, must_see
from candlewick.testing.conformance.windows import WindowsConformance
from candlewick.testing.faults.windows import FAULTS


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
    capacity = 20
    ttl_s = 10.0

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._clock = Timer()
        self._windows = MemoryWindows(self._clock, capacity=self.capacity, ttl_s=self.ttl_s)

    async def handle(self) -> MemoryWindows:
        return self._windows

    async def kill(self) -> None:
        """What was in memory is gone with it."""
        self._windows = MemoryWindows(self._clock, capacity=self.capacity, ttl_s=self.ttl_s)

    async def pass_time(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


@pytest.fixture
def harness(tmp_path: Path) -> MemoryHarness:
    return MemoryHarness(tmp_path)


class TestMemoryWindows(WindowsConformance):
    @pytest.fixture
    def harness(self, harness: MemoryHarness) -> MemoryHarness:
        return harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, harness: MemoryHarness) -> None:
    await must_see(WindowsConformance, fault, harness)


def test_every_law_has_a_planted_fault() -> None:
    assert laws(WindowsConformance) == {fault.law for fault in FAULTS}
