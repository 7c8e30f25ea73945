"""Work that takes longer than a request: imports, first fetches, later backtests and sweeps.

A job is a named function, registered by the service that owns it, and JSON arguments. It is leased to one worker at a
time; a worker that stops renewing loses it and the job is tried again, up to ``max_tries``; a job must therefore be
safe to run again from its last saved ``checkpoint``. A job that raises is tried again too, after a growing pause; what
it raises as ``Rejected`` ends it at once, because the same call would fail again. Cancelling is asked for and noticed
at the job's next report. Progress never goes back within one try. The outcome of a finished job is kept until
forgotten. Jobs survive a restart.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from candlewick.kernel.errors import NotFound, Rejected, Retryable

JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class UnknownJob(NotFound):
    """No job has this id, or it was dropped after it had finished."""

    code = "UNKNOWN_JOB"


class UnknownJobKind(Rejected):
    """Nobody here runs jobs of this kind."""

    code = "UNKNOWN_JOB_KIND"


class BadJob(Rejected):
    """Arguments, result or checkpoint that are not JSON, or a function that another process cannot import."""

    code = "BAD_JOB"


class JobLost(Retryable):
    """The process that ran the job died."""

    code = "JOB_LOST"


class JobCancelled(Exception):
    """Raised inside a job's ``report`` when its cancellation was asked for; let it pass."""


class Job(msgspec.Struct, frozen=True):
    """What anyone may know of a job. ``progress`` is 0..1; ``error`` is {code, detail} of a failed one."""

    id: str
    kind: str
    args: Mapping[str, Any]
    state: JobState
    progress: float
    note: str
    tries: int
    result: Any = None
    error: Mapping[str, str] | None = None


class JobContext(Protocol):
    """What a running job may do besides computing."""

    @property
    def checkpoint(self) -> Any:
        """What the last try saved, or None."""
        ...

    async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
        """Renews the lease; raises JobCancelled when cancelled, Fenced when another worker has the job."""
        ...


JobFunction = Callable[[JobContext, Mapping[str, Any]], Awaitable[Any]]


class Jobs(Protocol):
    def register(self, kind: str, function: JobFunction, *, in_process: bool = False) -> None:
        """``in_process`` runs the function away from the event loop of this process, in a process of its own, which may
        be on another machine: it must be importable by name, its arguments and its result JSON. Raises BadJob."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Running jobs are interrupted and go back to the queue with their checkpoints."""
        ...

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        """With ``key``, a job of that key that is not finished is returned instead of a second one."""
        ...

    async def get(self, job_id: str) -> Job: ...

    async def cancel(self, job_id: str) -> Job: ...

    async def wait(self, job_id: str) -> Job:
        """The job once it has finished in whatever way."""
        ...

    async def forget(self, job_id: str) -> bool:
        """Drop a finished job and its outcome; False while it is not finished. Raises UnknownJob."""
        ...

    async def list(self, *, kind: str | None = None, state: JobState | None = None) -> list[Job]: ...
