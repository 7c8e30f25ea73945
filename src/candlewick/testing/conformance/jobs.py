"""The laws of ``ports.jobs``, for every adapter.

 1 A job runs with its arguments and ends ``done`` with its result; ``wait`` gives the finished job, in every process.
 2 An unknown kind is refused as UnknownJobKind, an unknown job as UnknownJob.
 3 Jobs survive a kill: what waited runs, what ran is tried again from its last checkpoint.
 4 A job is leased to one worker at a time, whatever their number.
 5 A worker that stops reporting loses its job: it is tried again, and the old worker's next report raises Fenced and
   changes nothing.
 6 What raises is tried again, up to ``max_tries``, and fails then with the code of its error; ``Rejected`` at once.
 7 A job goes on from its last saved checkpoint; a report without one keeps it.
 8 Cancelling ends a waiting job at once and a running one at its next report; a finished one stays as it is.
 9 Progress never goes back within one try.
10 With a key, an unfinished job of that key is returned instead of a second one; a finished one does not count.
11 ``stop`` interrupts running jobs; they go back to the queue with their checkpoints and run after the next start.
12 The outcome of a finished job is kept over a kill, until forgotten; an unfinished one cannot be forgotten.
13 ``list`` gives jobs in the order of submission, by kind and state.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import pytest

from candlewick.kernel.errors import Fenced, Rejected, Retryable
from candlewick.ports.jobs import JobContext, JobFunction, Jobs, JobState, UnknownJob, UnknownJobKind
from candlewick.testing.conformance.harness import Harness

T = TypeVar("T")

_PATIENCE_S = 3.0


class JobsHarness(Harness[Jobs], Protocol):
    """Handles that are not started yet, with a short lease and a short pause between tries."""

    @property
    def lease_s(self) -> float: ...

    async def pass_time(self, seconds: float) -> None:
        """Let the jobs' clock move on by this much."""
        ...


class Gate:
    """A job function that says when it has begun and goes on when told."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.runs = 0
        self.checkpoints: list[Any] = []

    async def __call__(self, context: JobContext, args: Mapping[str, Any]) -> Any:
        self.runs += 1
        self.checkpoints.append(context.checkpoint)
        await context.report(0.25, "begun", checkpoint={"run": self.runs})
        self.begun.set()
        await self.go.wait()
        await context.report(0.5, "going on")
        return {"runs": self.runs}


class Odd(Rejected):
    """An input at fault."""

    code = "ODD_INPUT"


class Passing(Retryable):
    """Something that may pass."""

    code = "MAY_PASS"


async def _started(harness: JobsHarness, **functions: JobFunction) -> Jobs:
    jobs = await harness.handle()
    for kind, function in functions.items():
        jobs.register(kind, function)
    await jobs.start()
    return jobs


async def _within(work: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(work, _PATIENCE_S)
    except TimeoutError:
        raise AssertionError("it never came") from None


async def _echo(context: JobContext, args: Mapping[str, Any]) -> Any:
    return {"got": dict(args)}


class JobsConformance:
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> JobsHarness:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_a_job_runs_and_ends(self, harness: JobsHarness) -> None:
        jobs, other = await _started(harness, echo=_echo), await harness.handle()
        args = {"n": 1, "text": "π", "list": [1.5, None, True]}
        job = await jobs.submit("echo", args)
        assert (job.kind, job.args) == ("echo", args)
        for handle in (jobs, other):
            done = await _within(handle.wait(job.id))
            assert (done.state, done.result, done.progress, done.error) == ("done", {"got": args}, 1.0, None)
            assert done.tries == 1

    async def test_02_the_unknown_is_refused(self, harness: JobsHarness) -> None:
        jobs = await _started(harness, echo=_echo)
        with pytest.raises(UnknownJobKind):
            await jobs.submit("nobody does this", {})
        for call in (jobs.get, jobs.cancel, jobs.wait, jobs.forget):
            with pytest.raises(UnknownJob):
                await call("no such job")
        assert await jobs.list() == []

    async def test_03_jobs_survive_a_kill(self, harness: JobsHarness) -> None:
        gate = Gate()
        jobs = await _started(harness, gate=gate)
        running = await jobs.submit("gate", {})
        await _within(gate.begun.wait())
        waiting = [await jobs.submit("gate", {"i": i}) for i in range(3)]
        await harness.kill()
        after = Gate()
        after.go.set()
        jobs = await _started(harness, gate=after)
        for job in (running, *waiting):
            assert (await _within(jobs.wait(job.id))).state == "done"
        assert {"run": 1} in after.checkpoints
        assert (await jobs.get(running.id)).tries == 2

    async def test_04_one_worker_at_a_time(self, harness: JobsHarness) -> None:
        runs: list[int] = []

        async def count(context: JobContext, args: Mapping[str, Any]) -> Any:
            runs.append(args["i"])
            await asyncio.sleep(0.01)
            return None

        handles = [await _started(harness, count=count) for _ in range(2)]
        submitted = [await handles[i % 2].submit("count", {"i": i}) for i in range(20)]
        for job in submitted:
            assert (await _within(handles[0].wait(job.id))).state == "done"
        assert sorted(runs) == list(range(20))

    async def test_05_a_silent_worker_loses_its_job(self, harness: JobsHarness) -> None:
        outcomes: list[BaseException | None] = []
        asleep, wake, told, gate = asyncio.Event(), asyncio.Event(), asyncio.Event(), Gate()

        async def job(context: JobContext, args: Mapping[str, Any]) -> Any:
            if asleep.is_set():
                return await gate(context, args)
            asleep.set()
            while not wake.is_set():
                # The most stubborn worker there is: it does not even let itself be interrupted.
                with suppress(asyncio.CancelledError):
                    await wake.wait()
            try:
                await context.report(0.9, "too late", checkpoint="of the old worker")
            except Fenced as error:
                outcomes.append(error)
                told.set()
                raise
            outcomes.append(None)
            told.set()
            return "of the old worker"

        jobs = await _started(harness, job=job)
        await _started(harness, job=job)
        submitted = await jobs.submit("job", {})
        await _within(asleep.wait())
        await harness.pass_time(harness.lease_s * 1.5)
        await _within(gate.begun.wait())
        wake.set()
        await _within(told.wait())
        assert len(outcomes) == 1
        assert isinstance(outcomes[0], Fenced), "the old worker reported for a job that is not its own"
        found = await jobs.get(submitted.id)
        assert (found.state, found.note, found.tries) == ("running", "begun", 2)
        gate.go.set()
        done = await _within(jobs.wait(submitted.id))
        assert (done.state, done.tries, done.result) == ("done", 2, {"runs": 1})

    async def test_06_what_raises_is_tried_again(self, harness: JobsHarness) -> None:
        tries: dict[str, int] = {}

        async def fail(context: JobContext, args: Mapping[str, Any]) -> Any:
            tries[args["name"]] = tries.get(args["name"], 0) + 1
            if args["until"] is not None and tries[args["name"]] >= args["until"]:
                return "at last"
            if args["final"]:
                raise Odd("cannot be mended")
            raise Passing("not yet")

        jobs = await _started(harness, fail=fail)
        passing = await jobs.submit("fail", {"name": "a", "until": 3, "final": False}, max_tries=3)
        failing = await jobs.submit("fail", {"name": "b", "until": None, "final": False}, max_tries=2)
        rejected = await jobs.submit("fail", {"name": "c", "until": None, "final": True}, max_tries=3)
        done = await _within(jobs.wait(passing.id))
        assert (done.state, done.result, done.tries) == ("done", "at last", 3)
        failed = await _within(jobs.wait(failing.id))
        assert (failed.state, failed.tries, failed.error) == ("failed", 2, {"code": "MAY_PASS", "detail": "not yet"})
        refused = await _within(jobs.wait(rejected.id))
        assert (refused.state, refused.tries) == ("failed", 1)
        assert refused.error == {"code": "ODD_INPUT", "detail": "cannot be mended"}
        assert tries == {"a": 3, "b": 2, "c": 1}

    async def test_07_checkpoints(self, harness: JobsHarness) -> None:
        seen: list[Any] = []

        async def step(context: JobContext, args: Mapping[str, Any]) -> Any:
            seen.append(context.checkpoint)
            at = (context.checkpoint or {"at": 0})["at"]
            await context.report(0.1, checkpoint={"at": at + 1})
            await context.report(0.2, "without one")
            if at < 2:
                raise Passing("again")
            return at

        jobs = await _started(harness, step=step)
        job = await jobs.submit("step", {}, max_tries=5)
        assert (await _within(jobs.wait(job.id))).result == 2
        assert seen == [None, {"at": 1}, {"at": 2}]

    async def test_08_cancelling(self, harness: JobsHarness) -> None:
        gate = Gate()
        jobs = await _started(harness, gate=gate, echo=_echo)
        running = await jobs.submit("gate", {})
        await _within(gate.begun.wait())
        assert (await jobs.cancel(running.id)).state in {"running", "cancelled"}
        gate.go.set()
        cancelled = await _within(jobs.wait(running.id))
        assert (cancelled.state, cancelled.result) == ("cancelled", None)
        done = await _within(jobs.wait((await jobs.submit("echo", {})).id))
        assert (await jobs.cancel(done.id)) == done
        await jobs.stop()
        idle = await harness.handle()
        waiting = await idle.submit("gate", {})
        assert (await idle.cancel(waiting.id)).state == "cancelled"
        assert (await _within(idle.wait(waiting.id))).state == "cancelled"

    async def test_09_progress_never_goes_back(self, harness: JobsHarness) -> None:
        seen: list[float] = []

        async def waver(context: JobContext, args: Mapping[str, Any]) -> Any:
            for progress in (0.1, 0.5, 0.3, -1.0, float("nan"), 0.6, 7.0):
                await context.report(progress, f"{progress}")
                (job,) = await jobs.list(kind="waver")
                seen.append(job.progress)
            return None

        jobs = await _started(harness, waver=waver)
        await _within(jobs.wait((await jobs.submit("waver", {})).id))
        assert seen == [0.1, 0.5, 0.5, 0.5, 0.5, 0.6, 1.0]

    async def test_10_keys(self, harness: JobsHarness) -> None:
        gate = Gate()
        jobs = await _started(harness, gate=gate)
        first = await jobs.submit("gate", {"i": 1}, key="one")
        again = await asyncio.gather(*(jobs.submit("gate", {"i": 2}, key="one") for _ in range(5)))
        assert {job.id for job in again} == {first.id}
        other = await jobs.submit("gate", {"i": 3}, key="two")
        assert other.id != first.id
        gate.go.set()
        await _within(jobs.wait(first.id))
        anew = await jobs.submit("gate", {"i": 4}, key="one")
        assert anew.id != first.id
        assert (await _within(jobs.wait(anew.id))).args == {"i": 4}

    async def test_11_stopping_gives_back(self, harness: JobsHarness) -> None:
        gate = Gate()
        jobs = await _started(harness, gate=gate)
        job = await jobs.submit("gate", {}, max_tries=1)
        await _within(gate.begun.wait())
        await _within(jobs.stop())
        after = Gate()
        after.go.set()
        jobs = await _started(harness, gate=after)
        assert (await _within(jobs.wait(job.id))).state == "done"
        assert after.checkpoints == [{"run": 1}]

    async def test_12_outcomes_are_kept_until_forgotten(self, harness: JobsHarness) -> None:
        gate = Gate()
        jobs = await _started(harness, echo=_echo, gate=gate)
        done = await _within(jobs.wait((await jobs.submit("echo", {"n": 1})).id))
        running = await jobs.submit("gate", {})
        assert await jobs.forget(running.id) is False
        await harness.kill()
        jobs = await harness.handle()
        assert await jobs.get(done.id) == done
        assert await jobs.forget(done.id) is True
        with pytest.raises(UnknownJob):
            await jobs.get(done.id)

    async def test_13_listing(self, harness: JobsHarness) -> None:
        gate = Gate()
        gate.go.set()
        jobs = await _started(harness, echo=_echo, gate=gate)
        submitted = [await jobs.submit("echo" if i % 3 else "gate", {"i": i}) for i in range(7)]
        for job in submitted:  # one that is not finished may change its state between two of the questions below
            await _within(jobs.wait(job.id))
        assert [job.args["i"] for job in await jobs.list()] == list(range(7))
        assert [job.args["i"] for job in await jobs.list(kind="gate")] == [0, 3, 6]
        states: list[JobState] = ["queued", "running", "done", "failed", "cancelled"]
        found = [job.id for state in states for job in await jobs.list(state=state)]
        assert sorted(found) == sorted(job.id for job in submitted)
        assert await jobs.list(kind="echo", state="failed") == []
