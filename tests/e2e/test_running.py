"""A running ``up`` of a data dir is found again: its logs are read, it is stopped, and a killed one is nobody."""

import json
import subprocess
import sys
import time

import pytest

from tests.e2e.server import Product, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]


def candlewick(folder, *arguments):
    command = [sys.executable, "-m", "candlewick.app.cli.main", *arguments, "--data-dir", str(folder / "data")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def up(folder, *arguments):
    port = free_port()
    given = ["up", "--exchange", "demo", "--port", str(port), "--data-dir", str(folder / "data"), *arguments]
    return Product(given, folder, port=port)


def test_logs_and_stop_find_the_running_one_and_a_second_is_refused(tmp_path):
    product = up(tmp_path).wait_ready()
    shown = candlewick(tmp_path, "logs", "-n", "1000")
    assert shown.returncode == 0
    assert "is ready in" in shown.stdout
    assert "unit=collector" in shown.stdout
    assert "unit=collector" in candlewick(tmp_path, "logs", "collector").stdout
    assert "unit=collector" not in candlewick(tmp_path, "logs", "market").stdout
    assert len(candlewick(tmp_path, "logs", "-n", "1").stdout.splitlines()) == 1
    refused = candlewick(tmp_path, "up", "--exchange", "demo", "--port", str(free_port()))
    assert refused.returncode == 1
    assert f"ALREADY_RUNNING: process {product.process.pid} runs" in refused.stderr
    nothing = candlewick(tmp_path, "deploy", "switch", "market")
    assert (nothing.returncode, "was profile 'embedded'" in nothing.stderr) == (1, True)
    follow = [sys.executable, "-m", "candlewick.app.cli.main", "logs", "-f", "-n", "0"]
    following = subprocess.Popen(
        [*follow, "--data-dir", str(tmp_path / "data")], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    time.sleep(2)
    stopped = candlewick(tmp_path, "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert f"process {product.process.pid} has ended" in stopped.stdout
    assert product.process.wait(5) == 0, product.text()
    assert any("stopping" in line for line in following.stdout), "it follows to the end"
    following.kill()
    following.wait()
    again = candlewick(tmp_path, "stop")
    assert (again.returncode, "NOT_RUNNING" in again.stderr) == (1, True)
    assert "stopping" in candlewick(tmp_path, "logs").stdout, "also after its end"


def test_what_a_killed_one_left_is_no_hindrance(tmp_path):
    first = up(tmp_path).wait_ready()
    first.process.kill()
    first.process.wait()
    assert json.loads((tmp_path / "data/running.json").read_text())["pid"] == first.process.pid
    gone = candlewick(tmp_path, "stop")
    assert (gone.returncode, "NOT_RUNNING" in gone.stderr) == (1, True)
    second = up(tmp_path).wait_ready()
    assert candlewick(tmp_path, "stop").returncode == 0
    assert second.process.wait(5) == 0
    assert not (tmp_path / "data/running.json").exists()


def test_a_data_dir_on_which_nothing_ever_ran_has_no_logs(tmp_path):
    found = candlewick(tmp_path, "logs")
    assert (found.returncode, "NO_LOGS" in found.stderr) == (1, True)
    wrong = candlewick(tmp_path, "logs", "nobody")
    assert (wrong.returncode, "UNKNOWN_SERVICE" in wrong.stderr) == (1, True)
