"""What ``./dev up --reload`` sees of a change, and whom it concerns."""

import threading
from pathlib import Path

import pytest

from candlewick.app.registry import SERVICES
from tools import reload

SOURCE = Path("src")


def concerned(*names):
    return reload.concerned(SOURCE, [SOURCE / "candlewick" / name for name in names])


@pytest.mark.parametrize(
    ("names", "services"),
    [
        (["services/market/api/routes.py"], ("market",)),
        (["services/realtime/domain.py", "services/history/service.py"], ("history", "realtime")),
        (["services/market/service.py", "kernel/clock.py"], SERVICES),
        (["services/__init__.py"], SERVICES),
        (["quant/candles/rows.py"], SERVICES),
        (["app/runtime/host.py"], SERVICES),
        (["app/cluster/child.py"], None),
        (["app/cli/up.py", "services/market/service.py"], None),
    ],
)
def test_whom_a_change_concerns(names, services):
    assert concerned(*names) == services


def test_a_change_is_told_once_the_files_are_at_rest(tmp_path):
    kept, gone = tmp_path / "kept.py", tmp_path / "deep" / "gone.py"
    gone.parent.mkdir()
    for file in (kept, gone):
        file.write_text("a = 1\n")
    stop = threading.Event()
    seen = reload.changes(tmp_path, stop)
    made = tmp_path / "made.py"
    made.write_text("b = 1\n")
    (tmp_path / "notes.txt").write_text("nobody's")
    gone.unlink()
    assert next(seen) == [gone, made]
    stop.set()
    assert next(seen, None) is None


def test_code_that_cannot_be_compiled_is_told_and_a_removed_file_is_no_fault(tmp_path):
    bad, good = tmp_path / "bad.py", tmp_path / "good.py"
    bad.write_text("def x(:\n")
    good.write_text("x = 1\n")
    found = reload.faults([bad, good, tmp_path / "gone.py"])
    assert len(found) == 1
    assert str(bad) in found[0]


def test_what_is_meant_for_up_is_passed_on():
    given = ["--source", "/somewhere", "--exchange", "demo", "--no-page", "--port", "9000", "--source=/else"]
    assert reload._without(given) == ["--exchange", "demo", "--port", "9000"]
