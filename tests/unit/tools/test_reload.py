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
    found = []
    watcher = threading.Thread(target=lambda: found.extend(next(seen)))
    watcher.start()
    made = tmp_path / "made.py"
    # the watcher looks first when it has begun: a change before that is no change to it
    while watcher.is_alive():
        made.write_text("b = 1\n")
        (tmp_path / "notes.txt").write_text("nobody's")
        gone.unlink(missing_ok=True)
        watcher.join(3)
    stop.set()
    assert made in found
    assert kept not in found
    assert all(file.suffix == ".py" for file in found)


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
