"""The log's suite sees every planted fault, and every law of it has one."""

from pathlib import Path

import pytest

from candlewick.testing.conformance.log import LogConformance, laws
from candlewick.testing.faults.log import FAULTS
from candlewick.testing.faults.log_proxy import Fault, FaultyHarness
from tests.conformance.test_log_sqlite import SqliteHarness

CASES = [(test, fault) for test, faults in FAULTS.items() for fault in faults]
# These show as something that never comes: each costs the whole patience. A kill between all steps is many lives.
WAITED_FOR = {
    "BroadcastIsShared", "DeafToOthers", "EachItsOwn", "ForgetfulCancel", "LostIsRevoked", "LostWrite",
    "NewNameEachTime", "OneGroup", "Oversleeping", "StaysSeated", "TimeOffByOne", "ZombieCommits",
}  # fmt: skip


def test_every_law_of_the_suite_has_a_fault() -> None:
    assert set(laws()) == set(FAULTS)
    assert all(promise.endswith(".") for _, promise in laws().values())


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        pytest.param(
            test,
            fault,
            id=f"{fault.__name__}-{test}",
            marks=[pytest.mark.slow] if fault.__name__ in WAITED_FOR or "_kill_between_" in test else [],
        )
        for test, fault in CASES
    ],
)
async def test_a_planted_fault_is_seen(test: str, fault: type[Fault], tmp_path: Path, monkeypatch) -> None:
    # A fault that shows as something that never comes is seen as soon as patience ends.
    monkeypatch.setattr("candlewick.testing.conformance.log_harness.PATIENCE_S", 4.0)
    harness = FaultyHarness(SqliteHarness(tmp_path), fault())
    try:
        with pytest.raises(AssertionError) as seen:
            await getattr(LogConformance(), test)(harness)
    finally:
        await harness.release()
    print(f"{fault.__name__}: {str(seen.value)[:120]}")


async def test_the_proxy_itself_breaks_nothing(tmp_path: Path) -> None:
    for number, test in enumerate(["test_a_transaction_is_all_there", "test_members_divide_the_partitions"]):
        await getattr(LogConformance(), test)(FaultyHarness(SqliteHarness(tmp_path / str(number)), Fault()))
