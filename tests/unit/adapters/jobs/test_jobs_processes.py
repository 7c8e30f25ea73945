"""Jobs in processes of their own, and jobs whose whole process is killed."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from candlewick.adapters.jobs.pool import PoolJobs
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.jobs import BadJob, JobContext
from candlewick.testing.killing import killed_child, seeds

_CHILD = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.jobs.pool import PoolJobs
from candlewick.kernel.system import SystemClock, SystemIds

async def count(context, args):
    at = context.checkpoint or 0
    while at < args["n"]:
        at += 1
        await context.report(at / args["n"], checkpoint=at)
        print(at, flush=True)
        await asyncio.sleep(0.01)
    return at

async def main():
    jobs = PoolJobs(Path(sys.argv[1]), SystemClock(), SystemIds(), poll_s=0.02)
    jobs.register("count", count)
    await jobs.start()
    await jobs.submit("count", {"n": 100_000}, key="one", max_tries=100)
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def square(context: JobContext, args: Mapping[str, Any]) -> Any:
    """Runs in another process."""
    await context.report(0.5, "half", checkpoint={"pid": os.getpid()})
    return {"square": args["n"] ** 2, "pid": os.getpid()}


async def die_once(context: JobContext, args: Mapping[str, Any]) -> Any:
    """Kills its own process on the first try."""
    if context.checkpoint is None:
        await context.report(0.1, checkpoint="tried")
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


async def refuse(context: JobContext, args: Mapping[str, Any]) -> Any:
    """Raises what another process must be told of."""
    raise ValueError("no good")


async def spin(context: JobContext, args: Mapping[str, Any]) -> Any:
    """Reports until it is told to end."""
    while True:
        await context.report(0.5)


def _pool(path: Path) -> PoolJobs:
    jobs = PoolJobs(path, SystemClock(), SystemIds(), retry_s=0.05, poll_s=0.02)
    # The functions of this file, under a name that a fresh process can import.
    for function in (square, die_once, refuse, spin):
        jobs.register(function.__name__, function, in_process=True)
    return jobs


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((folder, os.environ.get("PYTHONPATH", ""))))
    for function in (square, die_once, refuse, spin):
        monkeypatch.setattr(function, "__module__", Path(__file__).stem)
    __import__(Path(__file__).stem)
    for function in (square, die_once, refuse, spin):
        monkeypatch.setattr(f"{Path(__file__).stem}.{function.__name__}", function)


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
async def test_jobs_in_processes(tmp_path: Path) -> None:
    jobs = _pool(tmp_path / "jobs.db")
    await jobs.start()
    first, second = [await jobs.wait((await jobs.submit("square", {"n": n})).id) for n in (3, 4)]
    assert (first.state, first.result["square"], second.result["square"]) == ("done", 9, 16)
    assert first.result["pid"] == second.result["pid"] != os.getpid(), "a process is used again"
    lost = await jobs.wait((await jobs.submit("die_once", {})).id)
    assert (lost.state, lost.result, lost.tries) == ("done", "survived", 2)
    failed = await jobs.wait((await jobs.submit("refuse", {}, max_tries=1)).id)
    assert failed.error == {"code": "JOB_FAILED", "detail": "ValueError: no good"}
    endless = await jobs.submit("spin", {})
    while (await jobs.get(endless.id)).progress < 0.5:
        await asyncio.sleep(0.02)
    await jobs.cancel(endless.id)
    assert (await jobs.wait(endless.id)).state == "cancelled"
    await jobs.stop()


async def test_a_job_that_no_process_could_import_is_refused(tmp_path: Path) -> None:
    jobs = PoolJobs(tmp_path / "jobs.db", SystemClock(), SystemIds())

    async def inner(context: JobContext, args: Mapping[str, Any]) -> Any:
        return None

    with pytest.raises(BadJob):
        jobs.register("inner", inner, in_process=True)
    jobs.register("inner", inner)
    with pytest.raises(BadJob):
        await jobs.submit("inner", {"raw": object()})
    await jobs.stop()


async def test_a_result_that_is_no_json_fails_the_job(tmp_path: Path) -> None:
    jobs = PoolJobs(tmp_path / "jobs.db", SystemClock(), SystemIds())

    async def odd(context: JobContext, args: Mapping[str, Any]) -> Any:
        return object()

    jobs.register("odd", odd)
    await jobs.start()
    failed = await jobs.wait((await jobs.submit("odd", {})).id)
    assert failed.error is not None
    assert (failed.state, failed.error["code"], failed.tries) == ("failed", "BAD_JOB", 1)
    await jobs.stop()


@pytest.mark.kill
async def test_a_killed_process_loses_no_checkpoint(tmp_path: Path) -> None:
    path, reached = tmp_path / "jobs.db", 0
    for seed in seeds(4):
        printed = [int(line) for line in killed_child(_CHILD, [str(path)], seed=seed, least_s=0.3, most_s=0.6)]
        if printed:
            # The report behind the last printed one may have been kept too; the one before it must have been.
            assert printed[0] in {reached + 1, reached + 2}, f"seed {seed}: the job began again"
            reached = printed[-1]
    assert reached > 10
    jobs = PoolJobs(path, SystemClock(), SystemIds())
    (job,) = await jobs.list()
    assert job.state == "running"
    assert job.tries >= 2
    await jobs.stop()
