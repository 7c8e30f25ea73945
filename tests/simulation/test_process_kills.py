"""Six processes on one data dir [17], each killed with -9 at named steps and started again while a recording plays: the
candles are those of one process that nobody killed, bit for bit, in the store and on the gateway's port."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.contracts.timeframes import NAMES
from tests.e2e.house import PLACES, House
from tests.e2e.server import Product
from tests.simulation.kept import assert_same, counted, recordings, stored
from tests.simulation.test_replay_kills import KILLS, STEPS, play

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
WRITERS = ("collector", "stream", "history")
WHO = {
    "frames decoded": ("collector",),
    "taken": WRITERS,
    "appending": ("collector", "stream"),
    "committing": WRITERS,
    "committed": (*WRITERS, "market"),
    "applied": ("stream",),
    "submitting": ("stream",),
    "storing": ("history",),
    "folding": ("history",),
}
# How often a step may be passed before the kill: as much as leaves enough to do for the kills that follow.
NTH = {"collector": 2, "stream": 1} | dict.fromkeys(("history", "market", "realtime", "gateway"), 0)
IDLE_S = 4.0  # longer than a lease's renewal: a step that has not been reached by then will not be


class Process(Product):
    """``candlewick run NAME`` that kills itself at the n-th time it reaches a step."""

    def __init__(self, step, nth, arguments, folder, port):
        self.port, self.base = port, f"http://127.0.0.1:{port}"
        self.step = step
        self.output = folder / f"output-{arguments[1]}-{time.monotonic_ns()}.txt"
        command = [sys.executable, "-m", "tests.simulation.serving", step, str(nth), *arguments[1:]]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)


class Life(House):
    """A data dir from its first start until everything is stored; ``plan`` is [(service, step), ...]."""

    def __init__(self, folder, plan, draw, *arguments):
        self.plan, self.draw, self.killed = plan, draw, []
        super().__init__(folder, list(PLACES), *arguments)

    def start(self, name):
        """Armed with the next step that the plan has for this service."""
        armed = next((entry for entry in self.plan if entry[0] == name), (name, "never"))
        if armed in self.plan:
            self.plan.remove(armed)
        nth = self.draw.randint(1, 1 + NTH[name])
        arguments = ["run", name, "--port", str(self.port), "--data-dir", str(self.folder / "data"), *self.arguments]
        return Process(armed[1], nth, arguments, self.folder, self.port + PLACES[name])

    def tend(self):
        """Start again what was killed."""
        for name, process in self.processes.items():
            status = process.process.poll()
            if status is None:
                continue
            assert (status, process.step != "never") == (-signal.SIGKILL, True), (name, status, process.text())
            self.killed.append((name, process.step))
            self.processes[name] = self.start(name)

    def run(self, expected):
        """Until the store has all rows, and longer while steps may still be reached. What was not reached goes back
        to the plan."""
        deadline, idle_since = time.monotonic() + 300, None
        while idle_since is None or time.monotonic() < idle_since + IDLE_S:
            assert time.monotonic() < deadline, (rows(self.folder / "data"), expected, self.text())
            self.tend()
            armed = [name for name, process in self.processes.items() if process.step != "never"]
            if rows(self.folder / "data") != expected:
                idle_since = None
            elif not armed:
                break
            elif idle_since is None:
                idle_since = time.monotonic()
            time.sleep(0.1)
        return [(name, process.step) for name, process in self.processes.items() if process.step != "never"]


def rows(data):
    """Rows by series, as the store says while others write to it."""
    if not (data / "history" / "candles.db").exists():
        return {}

    async def read():
        store = SqliteCandleStore(data / "history" / "candles.db")
        await store.open()
        found = {(s.symbol, s.timeframe_s): s.rows for s in await store.series()}
        await store.close()
        return found

    return asyncio.run(read())


def is_served(gateway, expected):
    """Every stored candle comes out of the one port."""
    for (symbol, seconds), columns in expected.items():
        opens = (columns["open_time"] // 10**6).tolist()
        gateway.until(
            f"/ohlcv/binance/{symbol}/{NAMES[seconds]}?limit=10000",
            lambda page, opens=opens: [c["open_time"] for c in page["candles"] if c["final"]] == opens,
        )


def test_law_17_kill_processes_at_every_named_step_changes_no_bit(tmp_path):
    paths = recordings(tmp_path)
    code, _ = play(tmp_path / "whole", "never", 1, paths)
    assert code == 0
    expected = stored(tmp_path / "whole")
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    steps = [*STEPS, *STEPS]
    steps += draw.choices(STEPS, k=KILLS - len(steps))
    draw.shuffle(steps)
    steps.sort(key="folding".__ne__)  # what is folded cannot be folded again, so that comes before the rest is stored
    plan = [(draw.choice(WHO[step]), step) for step in steps]
    killed, lives = [], 0
    while plan:
        folder = tmp_path / f"life{lives}"
        folder.mkdir()
        with Life(folder, plan, draw, "--speed", "max", "--replay", *map(str, paths)) as life:
            lives += 1
            plan += life.run(counted(expected))
            killed += life.killed
            is_served(life.processes["gateway"].wait_ready(), expected)
            left = life.stop()
            assert set(left.values()) <= {0, -signal.SIGKILL}, life.text()
        assert_same(stored(folder / "data"), expected)
        assert lives < KILLS, f"steps never reached: {plan}"
    print(f"killed {', '.join(f'{name} at {step!r}' for name, step in killed)} in {lives} lives")
    assert len(killed) >= KILLS
    reached = Counter(step for _, step in killed)
    assert all(reached[step] >= 2 for step in STEPS)
