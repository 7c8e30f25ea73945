"""The machine's own queue keeps the laws, and each law's test sees its planted fault."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.queue.memory import MemoryQueue
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.testing.conformance.harness import Fault, FolderHarness, laws, must_see
from candlewick.testing.conformance.queue import CommandQueueConformance
from candlewick.testing.faults.queue import FAULTS


class QueueHarness(FolderHarness[MemoryQueue]):
    ack_timeout_s = 1.0
    max_deliveries = 4

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[QueueHarness]:
    harness = QueueHarness(
        tmp_path,
        lambda folder: MemoryQueue(
            folder / "commands.db",
            SystemClock(),
            SystemIds(),
            ack_timeout_s=QueueHarness.ack_timeout_s,
            max_deliveries=QueueHarness.max_deliveries,
            poll_s=0.02,
        ),
    )
    yield harness
    await harness.close()


class TestMemoryQueue(CommandQueueConformance):
    @pytest.fixture
    def harness(self, harness: QueueHarness) -> QueueHarness:
        return harness


# These show as a command that never comes: each costs the whole patience.
WAITED_FOR = {"lost command", "dropped on leaving", "late acknowledgement takes", "sleeps on"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=str(fault), marks=[pytest.mark.slow] if fault.name in WAITED_FOR else [])
        for fault in FAULTS
    ],
)
async def test_the_law_sees_its_fault(fault: Fault, harness: QueueHarness) -> None:
    await must_see(CommandQueueConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(CommandQueueConformance)
