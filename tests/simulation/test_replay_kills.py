"""kill -9 anywhere between a frame and a stored candle: the restart goes on, the candles are the same bit for bit."""

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.quant.candles.merge import ARRAYS
from candlewick.testing.shared_data import shared_data

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
FEED = "A_raw_feeds/binance_raw_hft/spot_btcusdt_"


def recordings(folder):
    """The public recordings where this machine has them, else an hour of made-up trades."""
    found = [shared_data(f"{FEED}{day}.gz") for day in ("20240808", "20240809")]
    if None not in found:
        return found
    path = folder / "made-up.gz"
    with gzip.open(path, "wt") as file:
        for i in range(40_000):
            ms = 1_700_000_000_000 + i * 90
            trade = {"e": "trade", "E": ms, "s": "BTCUSDT", "t": i + 1, "p": f"{60_000 + i * 7919 % 997}.01000000",
                     "q": f"0.{i * 104729 % 99_999_999 + 1:08d}", "T": ms, "m": bool(i % 3), "M": True}  # fmt: skip
            file.write(f"{ms}000000 {json.dumps({'stream': 'btcusdt@trade', 'data': trade})}\n")
    return [path]


def play(data, step, nth, paths):
    """The exit code, and what the child counted when it came to the end."""
    command = [sys.executable, str(CHILD), str(data), step, str(nth), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env={**os.environ})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else None


def stored(data):
    """Every series of the store, all columns."""

    async def read():
        store = SqliteCandleStore(data / "history" / "candles.db")
        await store.open()
        found = {}
        for series in await store.series():
            rows = await store.range(series.exchange, series.symbol, series.timeframe_s, 0, 1 << 62)
            found[series.symbol, series.timeframe_s] = {name: getattr(rows, name) for name in ARRAYS}
        await store.close()
        return found

    return asyncio.run(read())


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for series, columns in expected.items():
        for name, values in columns.items():
            assert np.array_equal(found[series][name], values), (series, name)


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
