"""kill -9 anywhere between a frame and a stored candle: the restart goes on, the candles are the same bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.kept import assert_same, recordings, stored

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]

# after decode; before, inside and after the log's append; inside the stream's round; before the store's commit; folding
STEPS = (
    "frames decoded",
    "taken",
    "appending",
    "committing",
    "committed",
    "applied",
    "submitting",
    "storing",
    "folding",
)
KILLS = 20
CHILD = Path(__file__).with_name("replaying.py")


def play(data, step, nth, paths):
    """The exit code, and what the child counted when it came to the end."""
    command = [sys.executable, str(CHILD), str(data), step, str(nth), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env={**os.environ})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else None


def test_law_12_kill_at_every_named_step_changes_no_bit(tmp_path):
    paths = recordings(tmp_path)
    code, counts = play(tmp_path / "whole", "never", 1, paths)
    assert code == 0
    assert set(STEPS) <= counts["steps"].keys()
    expected = stored(tmp_path / "whole")
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    plan = [*STEPS, *STEPS]
    plan += draw.choices(STEPS, k=KILLS - len(plan))
    draw.shuffle(plan)
    killed, lives = [], 0
    while plan:
        data = tmp_path / f"life{lives}"
        lives += 1
        while plan:
            step = plan.pop()
            code, _ = play(data, step, draw.randint(1, 3), paths)
            if code == 0:  # it came to its end before the step was reached so often: the next life tries again
                plan.insert(0, step)
                break
            killed.append(step)
        else:
            code, _ = play(data, "never", 1, paths)
            assert code == 0
        assert_same(stored(data), expected)
        assert lives < 3 * KILLS, f"steps never reached: {plan}"
    print(f"killed at {', '.join(killed)} in {lives} lives")
    assert len(killed) >= KILLS
    assert all(killed.count(step) >= 2 for step in STEPS)
