"""LAWS 10, 12, 14: a crash between any two steps, or kill -9, loses nothing and doubles nothing."""

import asyncio
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from candlewick.adapters._sqlite.logfile import LogFile, LogOptions, SimulatedCrash
from candlewick.adapters.stream.sqlite import SqliteStreamRuntime
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import LogUnavailable
from candlewick.quant.candles.operator import CandleOperator

_PATH = Path(__file__).with_name("stream_world.py")
_spec = importlib.util.spec_from_file_location("stream_world", _PATH)
assert _spec is not None
assert _spec.loader is not None
world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world)

STEPS = [f"operator.{s}" for s in world.OPERATOR_STEPS] + [f"writer.{s}" for s in world.WRITER_STEPS]
QUICK = LogOptions(lease_s=0.6)


def _crash() -> None:
    raise SimulatedCrash


async def _life(folder: Path, place: str, count: int, max_records: int) -> bool:
    """One life of the runtime; whether it got to the end. A crash abandons the file as a killed process would."""
    where, step = place.split(".")
    bomb = world.Bomb(step, count, _crash)
    file = LogFile(folder, SystemClock(), options=QUICK, on_step=bomb if where == "writer" else None)
    file.open()
    runtime = SqliteStreamRuntime(
        file,
        clock=SystemClock(),
        member="m",
        max_records=max_records,
        on_step=bomb if where == "operator" else (lambda _: None),
    )
    failures: list[BaseException] = []
    try:
        await runtime.start(CandleOperator(), on_failure=failures.append)
    except LogUnavailable:
        assert bomb.left == 0
        file.abandon()
        return False
    done = asyncio.ensure_future(runtime.caught_up())
    while not done.done() and (count == 0 or bomb.left > 0):
        await asyncio.wait([done], timeout=0.01)
    crashed = count > 0 and bomb.left == 0
    if crashed:
        file.abandon()
    await runtime.stop()
    await asyncio.gather(done, return_exceptions=True)
    if not crashed:
        done.result()
        file.close()
        assert failures == []
    return not crashed


@pytest.mark.parametrize("place", STEPS)
async def test_crash_at_a_step_then_go_on(tmp_path: Path, place: str) -> None:
    messages = world.story(7)
    file = LogFile(tmp_path, SystemClock(), options=QUICK)
    file.open()
    world.write(file, messages)
    file.close()
    random = Random(place)
    for _ in range(4):
        await _life(tmp_path, place, random.randint(1, 12), random.choice((3, 20)))
    assert await _life(tmp_path, "operator.read", 0, 50)
    assert world.found(tmp_path) == world.expected(messages)


@pytest.mark.timeout(240)
def test_kill_minus_nine_at_every_step(tmp_path: Path) -> None:
    messages = world.story(11)
    file = LogFile(tmp_path, SystemClock())
    file.open()
    world.write(file, messages)
    file.close()
    random = Random(20240808)
    killed = 0
    for place in STEPS:
        code = _child(tmp_path, place, random.randint(2, 9), 4)
        assert code in {0, -signal.SIGKILL}
        killed += code != 0
    assert killed >= len(STEPS) - 3
    assert _child(tmp_path, "operator.read", 0, 100) == 0
    assert world.found(tmp_path) == world.expected(messages)


def _child(folder: Path, place: str, count: int, max_records: int) -> int:
    run = [sys.executable, str(_PATH), str(folder), "m", place, str(count), str(max_records)]
    return subprocess.run(run, check=False, timeout=60).returncode
