"""./dev up --reload: a change of the code runs a moment later, on the same data; one that cannot run is told."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.server import READY_WITHIN_S, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
DETAIL = '            "version": __version__,\n'


class Reloading:
    """The product from a copy of its source, begun again as that changes."""

    def __init__(self, folder):
        self.source, self.port, self.output = folder / "src", free_port(), folder / "output.txt"
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__", "static"))
        command = [
            sys.executable,
            "-m",
            "tools.reload",
            "--source",
            str(self.source),
            "--no-page",
            "--exchange",
            "demo",
        ]
        command += ["--port", str(self.port), "--data-dir", str(folder / "data")]
        env = os.environ | {"PYTHONPATH": f"{self.source}{os.pathsep}{ROOT}"}
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)

    def until(self, path, condition):
        """The JSON of the path once it satisfies the condition."""
        deadline = time.monotonic() + READY_WITHIN_S + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as reply:
                    if condition(found := json.load(reply)):
                        return found
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{path} did not become what was expected:\n{self.output.read_text()}")

    def change(self, name, was, becomes):
        file = self.source / "candlewick" / name
        text = file.read_text()
        assert was in text
        file.write_text(text.replace(was, becomes, 1))


@pytest.fixture
def reloading(tmp_path):
    made = Reloading(tmp_path)
    yield made
    made.process.send_signal(signal.SIGINT)
    assert made.process.wait(60) == 0, made.output.read_text()


def test_a_change_runs_a_moment_later_on_the_same_data(reloading):
    before = reloading.until("/symbols", lambda page: len(page["symbols"]) == 8)["symbols"]
    first = reloading.until("/api/v1/status", lambda page: page["ready"])["started_at"]
    reloading.change("app/http/service_app.py", DETAIL, f'{DETAIL}            "notes": "changed",\n    what\n')
    deadline = time.monotonic() + 30
    while "service_app.py, line" not in reloading.output.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "service_app.py, line" in reloading.output.read_text()
    assert reloading.until("/api/v1/status", lambda page: page["ready"])["started_at"] == first, "what runs goes on"
    reloading.change("app/http/service_app.py", "\n    what\n", "\n")
    reloading.until("/health/detailed", lambda detail: detail.get("notes") == "changed")
    assert reloading.until("/api/v1/status", lambda page: page["ready"])["started_at"] > first
    after = reloading.until("/symbols", lambda page: len(page["symbols"]) == 8)["symbols"]
    assert [one["symbol"] for one in after] == [one["symbol"] for one in before]
    assert "service_app.py changed" in reloading.output.read_text()
