"""The stream runtime's suite sees every planted fault, and every law of it has one."""

from pathlib import Path

import pytest

from candlewick.testing.conformance.stream import StreamConformance, laws
from candlewick.testing.faults.stream import FAULTS, Fault, FaultyHarness
from tests.conformance.test_stream_sqlite import SqliteHarness

CASES = [(test, fault) for test, faults in FAULTS.items() for fault in faults]


def test_every_law_of_the_suite_has_a_fault() -> None:
    assert set(laws()) == set(FAULTS)
    assert all(promise.endswith(".") for _, promise in laws().values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "fault"), [pytest.param(test, fault, id=f"{fault.__name__}-{test}") for test, fault in CASES]
)
async def test_a_planted_fault_is_seen(
    test: str, fault: type[Fault], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fault that shows as something that never comes is seen as soon as patience ends.
    monkeypatch.setattr("candlewick.testing.conformance.stream_harness.PATIENCE_S", 8.0)
    harness = SqliteHarness(tmp_path)
    try:
        with pytest.raises(AssertionError) as seen:
            await getattr(StreamConformance(), test)(FaultyHarness(harness, fault()))
    finally:
        await harness.end()
    print(f"{fault.__name__}: {str(seen.value)[:120]}")


async def test_the_wrapper_itself_breaks_nothing(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path)
    await StreamConformance().test_state_goes_on_after_a_restart(FaultyHarness(harness, Fault()))
    await harness.end()
