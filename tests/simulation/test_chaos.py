"""Everything is killed, paused, cut off and filled up for five minutes, and nothing is lost or doubled; a runtime with
a promise broken does not pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import needs_cluster
from tools.chaos.schedule import KINDS

pytestmark = [pytest.mark.kill, pytest.mark.cluster, needs_cluster]

ROOT = Path(__file__).parents[2]
SEED = 20_261_121


def chaos(*arguments):
    """Exit status, what it found, and what it said on the way."""
    command = [sys.executable, "-m", "tools.chaos", "--seed", str(SEED), "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))
    print(done.stderr)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr


@pytest.mark.timeout(900)
def test_five_minutes_of_every_kind_of_fault_leave_no_trace():
    status, found, said = chaos("--minutes", "5")
    assert status == 0, found.get("verdict", said[-4000:])
    assert found["sound"]
    came = {one["kind"] for one in found["faults"]}
    assert came | set(found["skipped"]) == set(KINDS)
    assert all(one["seconds"] is not None for one in found["faults"])
    assert all(found["compared"][what] > 0 for what in ("trades", "candles", "stored", "facts", "ledger"))
    assert found["breaks"] > 0


@pytest.mark.timeout(400)
def test_sockets_that_forget_where_a_client_stood_do_not_pass():
    status, found, said = chaos("--mutant", "resume-at-newest")
    assert status == 1, said[-4000:]
    assert {one["what"] for one in found["differences"]} == {"subscribers"}
    assert "final candles told to subscribers" in found["verdict"]
