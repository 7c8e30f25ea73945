"""kill -9 at random moments: what was acknowledged is there, nothing is doubled, transactions are whole."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.log_harness import EVENTS, OTHER, TOPICS, by_key, everything, numbered

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("child.py")
SEED = 20_240_229


def child(*words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, str(CHILD), *map(str, words)], stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> list[dict[str, int]]:
    assert process.stdout is not None
    # A line that the kill cut in two was never said.
    return [json.loads(line) for line in process.stdout.read().split("\n")[:-1]]


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    acknowledged: list[int] = []
    for run in range(6):
        process = child("write", tmp_path, f"p{run}", 1_000_000)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.01, 0.25))
        process.kill()
        lines = said(process)
        process.wait()
        acknowledged.append(max([line["kept"] for line in lines], default=0))
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    found = {
        key: [int((v or b"").rstrip(b"x")) for v in values]
        for key, values in by_key(await everything(log, EVENTS)).items()
    }
    print(f"acknowledged {acknowledged}, found {[len(v) for v in found.values()]}")
    assert sum(acknowledged) > 0
    for run, kept in enumerate(acknowledged):
        values = found.get(f"venue:p{run}", [])
        assert values == list(range(len(values))), "in order, none doubled, none missing between"
        assert len(values) >= kept, "acknowledged is present"
    assert await log.verify() == []
    await log.close()


async def test_consume_and_produce_is_exactly_once_over_kill_9(tmp_path: Path) -> None:
    rng = random.Random(SEED + 1)
    print(f"seed {SEED + 1}")
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    keys = [f"venue:S{i}" for i in range(10)]
    await (await log.producer("p")).send(numbered(keys, 300))
    done, kills = 0, 0
    while done < 3_000:
        process = child("work", tmp_path, "worker")
        assert process.stdout is not None
        process.stdout.readline()
        # The last ones may finish; the first ones never get that far.
        time.sleep(rng.uniform(0.02, 0.12) if kills < 6 else 1.5)
        process.kill()
        process.wait()
        said(process)
        kills += 1
        assert kills < 12, f"only {done} after {kills} runs"
        done = len(await everything(log, OTHER, settle_s=0.05))
    values = by_key(await everything(log, OTHER))
    assert values == {key: [b"%d" % i for i in range(300)] for key in keys}, "each input once, in order"
    print(f"{kills} kills")
    await log.close()
