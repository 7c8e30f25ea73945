"""The local folder keeps the laws, and each law's test sees its planted fault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.objects.local import LocalObjects
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.testing.conformance.harness import Fault, FolderHarness, laws, must_see
from candlewick.testing.conformance.objects import ObjectsConformance
from candlewick.testing.faults.objects import FAULTS


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[FolderHarness[LocalObjects]]:
    harness = FolderHarness(tmp_path, lambda folder: LocalObjects(folder, SystemClock(), SystemIds()))
    yield harness
    await harness.close()


class TestLocalObjects(ObjectsConformance):
    @pytest.fixture
    def harness(self, harness: FolderHarness[LocalObjects]) -> FolderHarness[LocalObjects]:
        return harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, harness: FolderHarness[LocalObjects]) -> None:
    await must_see(ObjectsConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(ObjectsConformance)
