"""The jobs on a Ray cluster keep the laws, on a real one: every function of the suite runs in a Ray process. The same
suite, its functions on the loop, holds the tables in SQLite and PostgreSQL; each law's test sees its planted fault."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.adapters.jobs.ray import Cluster, RayJobs, RayUnavailable
from candlewick.adapters.jobs.ray.cluster import BadRayFolder
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.jobs import BadJob, JobLost
from candlewick.testing.conformance import jobs as suite
from candlewick.testing.conformance.harness import Fault, FolderHarness, laws, must_see
from candlewick.testing.conformance.jobs import JobsConformance
from candlewick.testing.faults.jobs import FAULTS
from tests.handed import Desk
from tests.postgres import PostgresHarness, needs_postgres, new_database
from tests.rays import ROOT, local_ray

NOWHERE = "ray://127.0.0.1:1"
suite_on_ray = [pytest.mark.ray, pytest.mark.timeout(400)]
on_ray = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(400)]


def made(database, address=NOWHERE, **options):
    """Jobs with a short lease and short pauses."""
    given = {"lease_s": 0.6, "retry_s": 0.02, "poll_s": 0.02, "dead_s": 0.6} | options
    return RayJobs(database, SystemClock(), SystemIds(), Cluster(address), **given)


# -- on the loop, in both databases --------------------------------------------------------------------------------


class OnSqlite(FolderHarness):
    lease_s = 0.6

    def __init__(self, root):
        super().__init__(root, lambda folder: made(SqliteDatabase(folder / "service.db")))

    async def pass_time(self, seconds):
        await asyncio.sleep(seconds)


class OnPostgres(PostgresHarness):
    lease_s = 3.0  # a shared server takes its time now and then

    async def pass_time(self, seconds):
        await asyncio.sleep(seconds)

    async def handle(self):
        database = PostgresDatabase(self.url)
        jobs = made(database, lease_s=self.lease_s)
        self._handles.append((jobs, database))
        return jobs

    async def kill(self):
        while self._handles:
            jobs, database = self._handles.pop()
            jobs.abandon()
            database.abandon()
        await asyncio.sleep(0)

    async def close(self):
        while self._handles:
            await self._handles.pop()[0].stop()
        await super().close()


@pytest.fixture
async def sqlite(tmp_path):
    harness = OnSqlite(tmp_path)
    yield harness
    await harness.close()


class TestOnSqlite(JobsConformance):
    @pytest.fixture
    def harness(self, sqlite):
        return sqlite


@needs_postgres
class TestOnPostgres(JobsConformance):
    @pytest.fixture
    async def harness(self, tmp_path, monkeypatch):
        monkeypatch.setattr(suite, "_PATIENCE_S", 15.0)
        harness = OnPostgres(tmp_path, await new_database(), str)
        yield harness
        await harness.close()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, sqlite) -> None:
    await must_see(JobsConformance, fault, sqlite)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(JobsConformance)


# -- on Ray --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray():
    """The cluster; this process stays connected to it until the end."""
    with local_ray(cpus=6) as ray:
        cluster = Cluster(ray.address)
        asyncio.run(joined(cluster))
        yield ray
        asyncio.run(cluster.leave())


async def joined(cluster):
    """Ray gives a client's own server 30 s to come up, whatever else the machine does."""
    for attempt in range(5):
        try:
            await cluster.join()
        except RayUnavailable:
            if attempt == 4:
                raise
        else:
            return


class Handed:
    """Jobs whose every function runs on Ray."""

    def __init__(self, jobs, desk):
        self._jobs, self._desk = jobs, desk

    def register(self, kind, function):
        self._jobs.register(kind, self._desk.stub(function), in_process=True)

    def __getattr__(self, name):
        return getattr(self._jobs, name)


class OnRay(FolderHarness):
    lease_s = 5.0  # a process begins within it even where six tests share two cores

    def __init__(self, root, address, desk):
        def build(folder):
            jobs = made(SqliteDatabase(folder / "service.db"), address, lease_s=self.lease_s, dead_s=2.0, cpus=0.5)
            return Handed(jobs, desk)

        super().__init__(root, build)

    async def pass_time(self, seconds):
        await asyncio.sleep(seconds)


class TestOnRay(JobsConformance):
    pytestmark = suite_on_ray

    @pytest.fixture
    async def harness(self, tmp_path, ray, monkeypatch):
        monkeypatch.setattr(suite, "_PATIENCE_S", 90.0)
        desk = Desk()
        await desk.open()
        harness = OnRay(tmp_path, ray.address, desk)
        yield harness
        await harness.close()
        await desk.close()


async def kill_self(context, args):
    """Dies as by kill -9 at its first try, after it has saved how far it came."""
    if context.checkpoint is None:
        await context.report(0.5, "half", checkpoint={"pid": os.getpid()})
        os.kill(os.getpid(), signal.SIGKILL)
    return {"before": context.checkpoint["pid"], "now": os.getpid()}


async def no_json(context, args):
    """A result that nobody could keep."""
    return 1j if args["what"] == "result" else await context.report(0.1, checkpoint=object)


async def compute(context, args):
    """Holds its process, and with it the process's loop, between reports."""
    for step in range(args["steps"]):
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
        await context.report((step + 1) / args["steps"], f"step {step}")
    return os.getpid()


@pytest.fixture
async def jobs(tmp_path, ray):
    jobs = made(SqliteDatabase(tmp_path / "service.db"), ray.address, lease_s=30.0)
    for function in (kill_self, no_json, compute):
        jobs.register(function.__name__, function, in_process=True)
    await jobs.start()
    yield jobs
    await jobs.stop()


class TestProcesses:
    pytestmark = on_ray

    async def test_a_killed_process_is_noticed_at_once_and_the_job_goes_on(self, jobs):
        job = await jobs.submit("kill_self", {})
        done = await asyncio.wait_for(jobs.wait(job.id), 120)
        assert (done.state, done.tries) == ("done", 2)
        assert done.result["before"] != done.result["now"] != os.getpid()

    async def test_a_process_that_dies_at_every_try_fails_the_job(self, jobs):
        job = await jobs.submit("kill_self", {}, max_tries=1)
        failed = await asyncio.wait_for(jobs.wait(job.id), 120)
        assert (failed.state, failed.error["code"]) == ("failed", JobLost.code)

    async def test_what_computes_runs_elsewhere_reports_and_is_cancelled(self, jobs):
        first = await asyncio.wait_for(jobs.wait((await jobs.submit("compute", {"steps": 3})).id), 120)
        again = await asyncio.wait_for(jobs.wait((await jobs.submit("compute", {"steps": 3})).id), 120)
        assert first.result == again.result != os.getpid(), "a process is kept for the next job"
        job = await jobs.submit("compute", {"steps": 100_000})
        while not (await jobs.get(job.id)).note:
            await asyncio.sleep(0.05)
        await jobs.cancel(job.id)
        assert (await asyncio.wait_for(jobs.wait(job.id), 60)).state == "cancelled"

    @pytest.mark.parametrize("what", ["result", "checkpoint"])
    async def test_what_is_not_json_is_refused(self, jobs, what):
        failed = await asyncio.wait_for(jobs.wait((await jobs.submit("no_json", {"what": what})).id), 120)
        assert (failed.state, failed.tries, failed.error["code"]) == ("failed", 1, "BAD_JOB")


SUBMITTER = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.adapters.jobs.ray import Cluster, RayJobs
from candlewick.kernel.system import SystemClock, SystemIds
from tests.conformance.counting import count

async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    jobs = RayJobs(database, SystemClock(), SystemIds(), Cluster(sys.argv[2]), poll_s=0.1, dead_s=2.0)
    jobs.register("count", count, in_process=True)
    await jobs.start()
    job = await jobs.submit("count", {"n": int(sys.argv[3])}, key="one", max_tries=3)
    while (found := await jobs.get(job.id)).progress == 0:
        await asyncio.sleep(0.05)
    print("running", found.id, flush=True)
    done = await jobs.wait(job.id)
    print(done.state, done.tries, done.result, flush=True)
    await jobs.stop()

asyncio.run(main())
"""


def submitter(path, ray, n):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, str(path), ray.address, str(n)], stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_job_of_a_killed_service_goes_on_in_the_next(tmp_path, ray):
    """kill -9 of the process that submitted and looks after it; the next one takes over from the checkpoint."""
    first = submitter(tmp_path / "service.db", ray, 100_000)
    running = first.stdout.readline().split()
    assert running[0] == "running"
    first.kill()
    first.wait()
    second = submitter(tmp_path / "service.db", ray, 100_000)
    try:
        assert second.stdout.readline().split() == running, "the same job, by its key"
        reported = asyncio.run(_count_at(tmp_path / "service.db"))
        assert reported["tries"] == 2
        assert reported["begun_at"] > 0, "from the checkpoint, not from the beginning"
    finally:
        second.kill()
        second.wait()


async def _count_at(path):
    """What the running job says of itself in its second try."""
    jobs = made(SqliteDatabase(path))
    async with asyncio.timeout(120):
        while True:
            (job,) = await jobs.list(kind="count")
            if job.tries > 1 and job.progress and job.state == "running":
                break
            await asyncio.sleep(0.1)
    await jobs.stop()
    return {"tries": job.tries, "begun_at": int(job.note.partition(" ")[2])}


# -- a cluster that is away ----------------------------------------------------------------------------------------


async def test_jobs_of_the_loop_run_while_the_cluster_is_away(tmp_path):
    async def here(context, args):
        return "here"

    jobs = made(SqliteDatabase(tmp_path / "service.db"))
    jobs.register("here", here)
    await jobs.start()
    job = await jobs.submit("here", {})
    assert (await asyncio.wait_for(jobs.wait(job.id), 10)).result == "here"
    assert await jobs.check() is None
    await jobs.stop()


def test_a_job_on_the_cluster_must_be_importable(tmp_path):
    jobs = made(SqliteDatabase(tmp_path / "service.db"))
    with pytest.raises(BadJob, match="a function of a module"):
        jobs.register("x", lambda context, args: None, in_process=True)


def test_a_local_cluster_needs_a_short_folder():
    with pytest.raises(BadRayFolder, match="at most 40 characters"):
        Cluster("local", folder=Path("/tmp") / ("x" * 40))
    with pytest.raises(BadRayFolder):
        Cluster("local")
