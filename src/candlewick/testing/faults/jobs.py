"""Job pools that break one law each."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from candlewick.kernel.errors import CandlewickError, Fenced
from candlewick.ports.jobs import Job, JobCancelled, JobContext, JobFunction, Jobs, JobState, UnknownJob, UnknownJobKind
from candlewick.testing.conformance.harness import Fault


class _Around:
    """Everything as the sound pool does it; ``function`` may change what runs."""

    def __init__(self, sound: Jobs) -> None:
        self.sound = sound

    def function(self, function: JobFunction) -> JobFunction:
        return function

    def register(self, kind: str, function: JobFunction) -> None:
        self.sound.register(kind, self.function(function))

    async def start(self) -> None:
        await self.sound.start()

    async def stop(self) -> None:
        await self.sound.stop()

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        return await self.sound.submit(kind, args, key=key, max_tries=max_tries)

    async def get(self, job_id: str) -> Job:
        return await self.sound.get(job_id)

    async def cancel(self, job_id: str) -> Job:
        return await self.sound.cancel(job_id)

    async def wait(self, job_id: str) -> Job:
        return await self.sound.wait(job_id)

    async def list(self, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        return await self.sound.list(kind=kind, state=state)

    async def forget(self, job_id: str) -> bool:
        return await self.sound.forget(job_id)


class _Context:
    """Everything as the sound context does it."""

    def __init__(self, sound: JobContext) -> None:
        self.sound = sound

    @property
    def checkpoint(self) -> Any:
        return self.sound.checkpoint

    async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
        await self.sound.report(progress, note, checkpoint=checkpoint)


class LosesResults(_Around):
    """A job ends without what it found."""

    def function(self, function: JobFunction) -> JobFunction:
        async def silent(context: JobContext, args: Mapping[str, Any]) -> Any:
            await function(context, args)

        return silent


class TakesAnyKind(_Around):
    """A kind nobody knows waits for ever."""

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        try:
            return await self.sound.submit(kind, args, key=key, max_tries=max_tries)
        except UnknownJobKind:
            return Job("lost", kind, args, "queued", 0.0, "", 0)


class KeepsJobsInMemory(_Around):
    """Says kept while it only remembers."""

    def __init__(self, sound: Jobs) -> None:
        super().__init__(sound)
        self._is_first = True

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        if self._is_first:
            self._is_first = False
            return await self.sound.submit(kind, args, key=key, max_tries=max_tries)
        return Job(f"memory {args}", kind, args, "queued", 0.0, "", 0)

    async def wait(self, job_id: str) -> Job:
        try:
            return await self.sound.wait(job_id)
        except UnknownJob as error:
            raise AssertionError("the job is gone") from error


class RunsTwice(_Around):
    """Two workers take the same job."""

    def function(self, function: JobFunction) -> JobFunction:
        async def twice(context: JobContext, args: Mapping[str, Any]) -> Any:
            await function(context, args)
            return await function(context, args)

        return twice


class FencesNobody(_Around):
    """The worker that lost its job goes on, and its word counts."""

    def function(self, function: JobFunction) -> JobFunction:
        class Mighty(_Context):
            async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
                with suppress(Fenced):
                    await self.sound.report(progress, note, checkpoint=checkpoint)

        async def unfenced(context: JobContext, args: Mapping[str, Any]) -> Any:
            return await function(Mighty(context), args)

        return unfenced


class NeverTriesAgain(_Around):
    """One try is enough."""

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        return await self.sound.submit(kind, args, key=key, max_tries=1)


class HidesTheError(_Around):
    """A failure is a result."""

    def function(self, function: JobFunction) -> JobFunction:
        async def hidden(context: JobContext, args: Mapping[str, Any]) -> Any:
            try:
                return await function(context, args)
            except CandlewickError as error:
                return str(error)

        return hidden


class ForgetsCheckpoints(_Around):
    """Every try begins at the beginning."""

    def function(self, function: JobFunction) -> JobFunction:
        class Blank(_Context):
            @property
            def checkpoint(self) -> Any:
                return None

        async def blank(context: JobContext, args: Mapping[str, Any]) -> Any:
            return await function(Blank(context), args)

        return blank


class ClearsCheckpoints(_Around):
    """A report without a checkpoint clears the last one."""

    def function(self, function: JobFunction) -> JobFunction:
        class Clearing(_Context):
            async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
                await self.sound.report(progress, note, checkpoint={"at": 0} if checkpoint is None else checkpoint)

        async def clearing(context: JobContext, args: Mapping[str, Any]) -> Any:
            return await function(Clearing(context), args)

        return clearing


class IgnoresCancelling(_Around):
    """A running job never hears of it."""

    def function(self, function: JobFunction) -> JobFunction:
        class Deaf(_Context):
            async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
                with suppress(JobCancelled):
                    await self.sound.report(progress, note, checkpoint=checkpoint)

        async def deaf(context: JobContext, args: Mapping[str, Any]) -> Any:
            return await function(Deaf(context), args)

        return deaf


class GoesBack(_Around):
    """Progress is what was said last."""

    def __init__(self, sound: Jobs) -> None:
        super().__init__(sound)
        self._last = 0.0

    def function(self, function: JobFunction) -> JobFunction:
        class Telling(_Context):
            async def report(context, progress: float, note: str = "", *, checkpoint: Any = None) -> None:  # noqa: N805
                self._last = progress
                await context.sound.report(progress, note, checkpoint=checkpoint)

        async def telling(context: JobContext, args: Mapping[str, Any]) -> Any:
            return await function(Telling(context), args)

        return telling

    async def list(self, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        jobs = await self.sound.list(kind=kind, state=state)
        return [msgspec.structs.replace(job, progress=self._last) for job in jobs]


class IgnoresKeys(_Around):
    """Each submission is a job of its own."""

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        return await self.sound.submit(kind, args, max_tries=max_tries)


class KeysForEver(_Around):
    """A finished job still holds its key."""

    def __init__(self, sound: Jobs) -> None:
        super().__init__(sound)
        self._by_key: dict[str | None, Job] = {}

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        if key not in self._by_key:
            self._by_key[key] = await self.sound.submit(kind, args, key=key, max_tries=max_tries)
        return self._by_key[key]


class CancelsOnStop(_Around):
    """What runs when it stops is cancelled."""

    async def stop(self) -> None:
        for job in await self.sound.list(state="running"):
            await self.sound.cancel(job.id)
        await self.sound.stop()


class ForgetsAnything(_Around):
    """Says forgotten whatever the job does."""

    async def forget(self, job_id: str) -> bool:
        await self.sound.forget(job_id)
        return True


class NewestFirst(_Around):
    """Lists backwards."""

    async def list(self, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        return (await self.sound.list(kind=kind, state=state))[::-1]


FAULTS = [
    Fault("test_01_a_job_runs_and_ends", "result lost", LosesResults),
    Fault("test_02_the_unknown_is_refused", "any kind taken", TakesAnyKind),
    Fault("test_03_jobs_survive_a_kill", "lost write", KeepsJobsInMemory),
    Fault("test_03_jobs_survive_a_kill", "checkpoint forgotten", ForgetsCheckpoints),
    Fault("test_04_one_worker_at_a_time", "run twice", RunsTwice),
    Fault("test_05_a_silent_worker_loses_its_job", "nobody fenced", FencesNobody),
    Fault("test_06_what_raises_is_tried_again", "never again", NeverTriesAgain),
    Fault("test_06_what_raises_is_tried_again", "error hidden", HidesTheError),
    Fault("test_07_checkpoints", "checkpoint forgotten", ForgetsCheckpoints),
    Fault("test_07_checkpoints", "checkpoint cleared", ClearsCheckpoints),
    Fault("test_08_cancelling", "cancelling ignored", IgnoresCancelling),
    Fault("test_09_progress_never_goes_back", "progress goes back", GoesBack),
    Fault("test_10_keys", "keys ignored", IgnoresKeys),
    Fault("test_10_keys", "keys for ever", KeysForEver),
    Fault("test_11_stopping_gives_back", "cancelled on stop", CancelsOnStop),
    Fault("test_12_outcomes_are_kept_until_forgotten", "forgets anything", ForgetsAnything),
    Fault("test_13_listing", "newest first", NewestFirst),
]
