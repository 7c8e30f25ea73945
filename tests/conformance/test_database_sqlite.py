"""The SQLite database keeps the laws, and each law's test sees its planted fault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.testing.conformance.database import DatabaseConformance
from candlewick.testing.conformance.harness import Fault, FolderHarness, laws, must_see
from candlewick.testing.faults.database import FAULTS


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[FolderHarness[SqliteDatabase]]:
    harness = FolderHarness(tmp_path, lambda folder: SqliteDatabase(folder / "service.db"))
    yield harness
    await harness.close()


class TestSqliteDatabase(DatabaseConformance):
    @pytest.fixture
    def harness(self, harness: FolderHarness[SqliteDatabase]) -> FolderHarness[SqliteDatabase]:
        return harness


@pytest.mark.parametrize(
    "fault",
    # a reader that waits is seen when the writer's patience ends
    [pytest.param(f, id=str(f), marks=[pytest.mark.slow] if f.name == "readers wait" else []) for f in FAULTS],
)
async def test_the_law_sees_its_fault(fault: Fault, harness: FolderHarness[SqliteDatabase]) -> None:
    await must_see(DatabaseConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(DatabaseConformance)
