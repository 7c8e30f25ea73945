"""The PostgreSQL database keeps the laws, and each law's test sees its planted fault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.testing.conformance.database import DatabaseConformance
from candlewick.testing.conformance.harness import Fault, must_see
from candlewick.testing.faults.database import FAULTS
from tests.postgres import PostgresHarness, needs_postgres, new_database

pytestmark = needs_postgres


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[PostgresHarness[PostgresDatabase]]:
    harness = PostgresHarness(tmp_path, await new_database(), PostgresDatabase)
    yield harness
    await harness.close()


class TestPostgresDatabase(DatabaseConformance):
    @pytest.fixture
    def harness(self, harness: PostgresHarness[PostgresDatabase]) -> PostgresHarness[PostgresDatabase]:
        return harness


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, id=str(f), marks=[pytest.mark.slow] if f.name == "readers wait" else []) for f in FAULTS],
)
async def test_the_law_sees_its_fault(fault: Fault, harness: PostgresHarness[PostgresDatabase]) -> None:
    await must_see(DatabaseConformance, fault, harness)
