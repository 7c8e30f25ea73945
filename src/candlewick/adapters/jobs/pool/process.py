"""Job functions in processes of their own, for work that would hold the event loop.

A process is started fresh (spawn), so it inherits no thread, lock or connection, and is kept for the next job. It ends
with its parent, killed or not. The function is the same coroutine function that would run on the loop.
"""

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from candlewick.kernel.errors import CandlewickError, Fenced, Rejected
from candlewick.ports.jobs import JobCancelled, JobContext, JobFunction, JobLost


class JobFailed(CandlewickError):
    """What went wrong in another process, with its code; ``is_final`` when trying again cannot help."""

    def __init__(self, code: str, detail: str, is_final: bool) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]
        self.is_final = is_final


class Processes:
    """At most ``limit`` processes, started when needed."""

    def __init__(self, limit: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[tuple[BaseProcess, Connection]] = []
        # A thread a process waits for what it says; the loop's own pool stays free for others.
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="job-process")

    async def run(self, function: JobFunction, context: JobContext, args: Mapping[str, Any]) -> Any:
        """The function's result. Raises what it raised as JobFailed, JobLost when its process died, JobCancelled."""
        loop = asyncio.get_running_loop()
        process, pipe = self._idle.pop() if self._idle else await loop.run_in_executor(self._threads, self._start)
        is_reusable = False
        try:
            pipe.send((function, dict(args), context.checkpoint))
            while True:
                said = await loop.run_in_executor(self._threads, pipe.recv)
                if said[0] != "report":
                    is_reusable = True
                    return _outcome(said)
                answer = "ok"
                try:
                    await context.report(said[1], said[2], checkpoint=said[3])
                except JobCancelled:
                    answer = "cancelled"
                except Fenced:
                    answer = "fenced"
                pipe.send(answer)
        except (EOFError, OSError) as error:
            raise JobLost(f"the job's process ended by itself, exit code was {process.exitcode!r}") from error
        finally:
            if is_reusable:
                self._idle.append((process, pipe))
            else:
                process.kill()

    def close(self) -> None:
        """End every process."""
        while self._idle:
            process, pipe = self._idle.pop()
            process.kill()
            pipe.close()
        self._threads.shutdown(wait=False)

    def _start(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_main, args=(theirs,), daemon=True, name="candlewick-job")
        process.start()
        theirs.close()
        return process, ours


def _outcome(said: tuple[Any, ...]) -> Any:
    kind, *rest = said
    if kind == "done":
        return rest[0]
    if kind == "cancelled":
        raise JobCancelled
    if kind == "fenced":
        raise Fenced("another worker has the job")
    raise JobFailed(*rest)


class _Context:
    """The job's side of the pipe."""

    def __init__(self, pipe: Connection, checkpoint: Any) -> None:
        self._pipe = pipe
        self._checkpoint = checkpoint

    @property
    def checkpoint(self) -> Any:
        return self._checkpoint

    async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
        self._pipe.send(("report", progress, note, checkpoint))
        answer = self._pipe.recv()
        if answer == "cancelled":
            raise JobCancelled
        if answer == "fenced":
            raise Fenced("another worker has the job")


def _main(pipe: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, args, checkpoint = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            said: tuple[Any, ...] = ("done", asyncio.run(function(_Context(pipe, checkpoint), args)))
        except JobCancelled:
            said = ("cancelled",)
        except Fenced:
            said = ("fenced",)
        except CandlewickError as error:
            said = ("failed", error.code, str(error), isinstance(error, Rejected))
        except Exception as error:
            said = ("failed", "JOB_FAILED", f"{type(error).__name__}: {error}", False)
        pipe.send(said)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
