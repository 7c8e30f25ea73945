"""The SQLite candle store keeps the laws, and each law's test sees its planted fault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.testing.conformance.candles import CandleStoreConformance
from candlewick.testing.conformance.harness import Fault, FolderHarness, laws, must_see
from candlewick.testing.faults.candles import FAULTS


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[FolderHarness[SqliteCandleStore]]:
    harness = FolderHarness(tmp_path, lambda folder: SqliteCandleStore(folder / "candles.db"))
    yield harness
    await harness.close()


class TestSqliteCandleStore(CandleStoreConformance):
    @pytest.fixture
    def harness(self, harness: FolderHarness[SqliteCandleStore]) -> FolderHarness[SqliteCandleStore]:
        return harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, harness: FolderHarness[SqliteCandleStore]) -> None:
    await must_see(CandleStoreConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(CandleStoreConformance)
