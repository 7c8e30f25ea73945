"""The job pool keeps the laws, and each law's test sees its planted fault."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.jobs.pool import PoolJobs
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.testing.conformance.harness import Fault, FolderHarness, laws, must_see
from candlewick.testing.conformance.jobs import JobsConformance
from candlewick.testing.faults.jobs import FAULTS


class JobsHarness(FolderHarness[PoolJobs]):
    lease_s = 0.6

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[JobsHarness]:
    harness = JobsHarness(
        tmp_path,
        lambda folder: PoolJobs(
            folder / "jobs.db",
            SystemClock(),
            SystemIds(),
            lease_s=JobsHarness.lease_s,
            retry_s=0.02,
            poll_s=0.02,
        ),
    )
    yield harness
    await harness.close()


class TestPoolJobs(JobsConformance):
    @pytest.fixture
    def harness(self, harness: JobsHarness) -> JobsHarness:
        return harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, harness: JobsHarness) -> None:
    await must_see(JobsConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(JobsConformance)
