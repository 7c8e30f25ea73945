"""Processes on the cluster that run job functions: Ray actors, kept for the next job for a while.

Question and answer go by turns: ``begin`` and ``go_on`` return what the function says next, a report or its outcome,
and ``go_on`` brings the answer to a report. So it works over a Ray client as within the cluster, and a hand whose
dispatcher is gone waits for an answer that never comes, until Ray ends it.
"""

import asyncio
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from candlewick.adapters.jobs.ray.cluster import Cluster, RayUnavailable
from candlewick.kernel.errors import CandlewickError, Fenced, Rejected
from candlewick.ports.jobs import BadJob, JobCancelled, JobContext, JobFunction, JobLost

Said = tuple[Any, ...]
_CANCELLED: Final = "cancelled"
_FENCED: Final = "fenced"


class JobFailed(CandlewickError):
    """What went wrong in another process, with its code; ``is_final`` when trying again cannot help."""

    def __init__(self, code: str, detail: str, is_final: bool) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]
        self.is_final = is_final


class Hand:
    """One actor, for one job at a time."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.idle_since_ns = 0

    @classmethod
    async def raised(cls, cluster: Cluster, cpus: float) -> "Hand":
        """A hand that is ready; waits for as long as the cluster has no room. Raises RayUnavailable."""
        await cluster.join()
        import ray

        actor = None
        try:
            kind = ray.remote(num_cpus=cpus, max_restarts=0, max_task_retries=0)(Worker)
            actor = await asyncio.to_thread(kind.remote)
            hand = cls(actor)
            await _answer(actor.ready.remote())
            return hand
        except asyncio.CancelledError:
            if actor is not None:
                await asyncio.to_thread(_kill, actor)
            raise
        except Exception as error:
            raise await _translated(error, cluster) from error

    async def run(self, cluster: Cluster, function: JobFunction, context: JobContext, args: Mapping[str, Any]) -> Any:
        """The function's result. Raises what it raised as JobFailed, JobLost when its process died, JobCancelled,
        Fenced, RayUnavailable. Whatever but a result and JobFailed leaves the hand useless."""
        try:
            said: Said = await _answer(self._actor.begin.remote(pickle.dumps(function), dict(args), context.checkpoint))
            while said[0] == "report":
                answer = ""
                try:
                    await context.report(said[1], said[2], checkpoint=said[3])
                except JobCancelled:
                    answer = _CANCELLED
                except Fenced:
                    answer = _FENCED
                said = await _answer(self._actor.go_on.remote(answer))
        except CandlewickError:
            raise
        except Exception as error:
            raise await _translated(error, cluster) from error
        return _outcome(said)

    async def drop(self) -> None:
        """End its process, whatever it does."""
        await asyncio.to_thread(_kill, self._actor)


async def _answer(reference: Any) -> Any:
    """What a call returns. The wait for it may be cancelled, the call itself is not: Ray's client breaks on an answer
    that nobody may have any more."""
    waiting = asyncio.ensure_future(_got(reference))
    waiting.add_done_callback(_heard)
    return await asyncio.shield(waiting)


async def _got(reference: Any) -> Any:
    return await reference


def _heard(waiting: "asyncio.Future[Any]") -> None:
    if not waiting.cancelled():
        waiting.exception()


def _kill(actor: Any) -> None:
    import ray

    with suppress(Exception):  # gone already, or the cluster is: both are what was asked for
        ray.kill(actor)


async def _translated(error: Exception, cluster: Cluster) -> CandlewickError:
    from ray.exceptions import RayActorError, RayTaskError

    detail = str(error).partition("\n")[0] or type(error).__name__
    if isinstance(error, RayActorError):
        return JobLost(f"the job's process ended by itself: {detail}")
    if isinstance(error, RayTaskError):
        return JobLost(f"the job's process could not go on: {detail}")
    # The connection, not the job: whoever needs it next makes a new one.
    await cluster.lost()
    return RayUnavailable(f"Ray does not answer at {cluster.address}: {detail}")


def _outcome(said: Said) -> Any:
    kind, *rest = said
    if kind == "done":
        return rest[0]
    if kind == _CANCELLED:
        raise JobCancelled
    if kind == _FENCED:
        raise Fenced("another worker has the job")
    raise JobFailed(*rest)


class Worker:
    """The actor's side. Its methods run on one event loop; a function that computes gives way when it reports."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[Said] = asyncio.Queue()
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def ready(self) -> int:
        """The number of its process."""
        return os.getpid()

    async def begin(self, function: bytes, args: Mapping[str, Any], checkpoint: Any) -> Said:
        """Start a job; what it says first."""
        self._task = asyncio.ensure_future(self._run(function, args, checkpoint))
        return await self._said.get()

    async def go_on(self, answer: str) -> Said:
        """Answer its report; what it says next."""
        self._answers.put_nowait(answer)
        return await self._said.get()

    async def tell(self, progress: float, note: str, checkpoint: Any) -> None:
        """What a running function's report does. Raises JobCancelled, Fenced."""
        self._said.put_nowait(("report", progress, note, checkpoint))
        answer = await self._answers.get()
        if answer == _CANCELLED:
            raise JobCancelled
        if answer == _FENCED:
            raise Fenced("another worker has the job")

    async def _run(self, function: bytes, args: Mapping[str, Any], checkpoint: Any) -> None:
        try:
            work: JobFunction = pickle.loads(function)
            said: Said = ("done", _checked(await work(_Context(self, checkpoint), args)))
        except JobCancelled:
            said = (_CANCELLED,)
        except Fenced:
            said = (_FENCED,)
        except CandlewickError as error:
            said = ("failed", error.code, str(error), isinstance(error, Rejected))
        except Exception as error:
            said = ("failed", "JOB_FAILED", f"{type(error).__name__}: {error}", False)
        self._said.put_nowait(said)


def _checked(result: Any) -> Any:
    try:
        msgspec.json.encode(result)
    except (TypeError, ValueError) as error:
        raise BadJob(f"a job's result must be JSON: {error}") from error
    return result


class _Context:
    def __init__(self, worker: Worker, checkpoint: Any) -> None:
        self._worker, self._checkpoint = worker, checkpoint

    @property
    def checkpoint(self) -> Any:
        return self._checkpoint

    async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
        await self._worker.tell(progress, note, checkpoint)
