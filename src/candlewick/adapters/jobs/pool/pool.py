"""``ports.jobs``: a queue in a SQLite file, and workers that take from it on this machine.

Several processes may work on one file. A killed process's jobs are taken over at the next look of any other (its lock
file tells), a stuck worker's when its lease runs out.
"""

import asyncio
import math
import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from candlewick.adapters._sqlite.owner import Owner, is_dead
from candlewick.adapters._sqlite.thread import SqliteThread
from candlewick.adapters.jobs.pool import table
from candlewick.adapters.jobs.pool.process import JobFailed, Processes
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError, Fenced, Rejected, Retryable
from candlewick.kernel.ids import IdSource
from candlewick.ports.jobs import BadJob, Job, JobCancelled, JobFunction, JobState, UnknownJobKind

_FINISHED = frozenset({"done", "failed", "cancelled"})
_TROUBLE_S = 1.0


class _Context:
    def __init__(self, jobs: "PoolJobs", lease: table.Lease) -> None:
        self._jobs = jobs
        self._lease = lease

    @property
    def checkpoint(self) -> Any:
        return self._lease.checkpoint

    async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
        await self._jobs.renew(self._lease, progress, note, checkpoint)


class PoolJobs:
    """At most ``workers`` jobs at once in this process. A job that does not report for ``lease_s`` is tried again.
    Between tries it waits ``retry_s``, doubled each time, up to ``longest_retry_s``; an error that is ``Rejected`` ends
    it at once. ``poll_s`` is how soon work of other processes is noticed. Leases are measured by ``clock.now_ns``.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        ids: IdSource,
        *,
        workers: int = 2,
        lease_s: float = 60.0,
        retry_s: float = 1.0,
        longest_retry_s: float = 60.0,
        poll_s: float = 0.25,
    ) -> None:
        self._thread = SqliteThread(path)
        self._owners = path.with_name(f"{path.name}.owners")
        self._clock = clock
        self._ids = ids
        self._workers = workers
        self._lease_ns = int(lease_s * NS_PER_SECOND)
        self._retry_s = retry_s
        self._longest_retry_s = longest_retry_s
        self._poll_s = poll_s
        self._functions: dict[str, tuple[JobFunction, bool]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._until_ns: dict[str, int] = {}
        self._opening = asyncio.Lock()
        self._changed = asyncio.Event()
        self._owner: Owner | None = None
        self._dispatcher: asyncio.Task[None] | None = None
        self._processes: Processes | None = None

    def register(self, kind: str, function: JobFunction, *, in_process: bool = False) -> None:
        """``in_process`` runs the function in a process of its own: it must be importable by name, its arguments and
        its result picklable. Raises BadJob."""
        if in_process:
            try:
                pickle.dumps(function)
            except (pickle.PicklingError, AttributeError, TypeError):
                raise BadJob(f"a job in a process must be a function of a module, was {function!r}") from None
        self._functions[kind] = (function, in_process)

    async def start(self) -> None:
        if self._dispatcher is not None:
            return
        await self._open()
        kinds = list(self._functions)
        await self._thread.write(lambda connection: table.add_kinds(connection, kinds))
        self._owner = Owner(self._owners, self._ids.new().hex)
        self._processes = Processes(self._workers)
        self._dispatcher = asyncio.create_task(self._dispatch(self._owner), name="jobs")

    async def stop(self) -> None:
        """The interrupted try does not count."""
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.cancel()
            with suppress(asyncio.CancelledError):
                await dispatcher
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._processes is not None:
            self._processes.close()
            self._processes = None
        await self._thread.close()
        if self._owner is not None:
            self._owner.leave()
            self._owner = None

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        """Raises UnknownJobKind, BadJob."""
        await self._open()
        data, job_id = _encoded(dict(args), "arguments"), str(self._ids.new())
        is_known = kind in self._functions

        def submitting(connection: Any) -> Job:
            if not is_known and not table.has_kind(connection, kind):
                raise UnknownJobKind(f"no service does such jobs, was {kind!r}")
            return table.submit(connection, job_id, kind, data, key, max(1, max_tries))

        job = await self._thread.write(submitting)
        self._tell()
        return job

    async def get(self, job_id: str) -> Job:
        await self._open()
        return await self._thread.read(lambda connection: table.get(connection, job_id))

    async def cancel(self, job_id: str) -> Job:
        await self._open()
        job = await self._thread.write(lambda connection: table.cancel(connection, job_id))
        self._tell()
        return job

    async def wait(self, job_id: str) -> Job:
        while True:
            changed = self._changed
            job = await self.get(job_id)
            if job.state in _FINISHED:
                return job
            # Not wait_for: on 3.11 it can swallow a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await changed.wait()

    async def list(self, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        await self._open()
        return await self._thread.read(lambda connection: table.listed(connection, kind, state))

    async def forget(self, job_id: str) -> bool:
        """Drop the outcome of a finished job; False while it is not finished. Raises UnknownJob."""
        await self._open()
        return await self._thread.write(lambda connection: table.forget(connection, job_id))

    async def renew(self, lease: table.Lease, progress: float, note: str, checkpoint: Any) -> None:
        """What a running job's report does. Raises JobCancelled, Fenced, BadJob."""
        share = 0.0 if math.isnan(progress) else min(max(float(progress), 0.0), 1.0)
        data = None if checkpoint is None else _encoded(checkpoint, "checkpoint")
        until_ns = self._clock.now_ns() + self._lease_ns
        # JobCancelled is no error of the transaction: the renewal it comes with must be kept.
        outcome: list[JobCancelled] = []

        def reporting(connection: Any) -> None:
            try:
                table.report(connection, lease, until_ns, share, note, data)
            except JobCancelled as cancelled:
                outcome.append(cancelled)

        await self._thread.write(reporting)
        self._until_ns[lease.id] = until_ns
        if outcome:
            raise JobCancelled(lease.id)

    async def _open(self) -> None:
        async with self._opening:
            await self._thread.open(table.prepare)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _dispatch(self, owner: Owner) -> None:
        while True:
            changed = self._changed
            wait_s = self._poll_s
            try:
                await self._take(owner)
            except Retryable:
                # A full disk or a long lock: the jobs wait, the worker does not end.
                wait_s = _TROUBLE_S
            # Not wait_for: on 3.11 it can swallow a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await changed.wait()

    async def _take(self, owner: Owner) -> None:
        now_ns = self._clock.now_ns()
        for job_id in [job_id for job_id in self._running if self._until_ns[job_id] <= now_ns]:
            # It is anyone's job now; a stuck one must not keep its seat.
            del self._until_ns[job_id]
            self._running.pop(job_id).cancel()
        free = self._workers - len(self._running)

        def looking(connection: Any) -> bool:
            others = (one for one in table.owners(connection) if one != owner.name)
            return table.waits(connection, now_ns) or any(is_dead(self._owners, one) for one in others)

        if not await self._thread.read(looking):
            return
        leases = await self._thread.write(
            lambda connection: table.claim(
                connection,
                owner.name,
                list(self._functions),
                free,
                now_ns,
                self._lease_ns,
                lambda one: is_dead(self._owners, one),
            )
        )
        for lease in leases:
            self._until_ns[lease.id] = now_ns + self._lease_ns
            task = asyncio.create_task(self._run(lease), name=f"job:{lease.kind}:{lease.id}")
            self._running[lease.id] = task
            task.add_done_callback(lambda done, job_id=lease.id: self._ended(job_id, done))  # type: ignore[misc]
        if leases:
            self._tell()

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._running.get(job_id) is task:
            del self._running[job_id], self._until_ns[job_id]
        if not task.cancelled():
            # A database that failed right at the end: the lease runs out and the job is tried again.
            task.exception()
        self._tell()

    async def _run(self, lease: table.Lease) -> None:
        function, in_process = self._functions[lease.kind]
        context = _Context(self, lease)
        try:
            if in_process and self._processes is not None:
                result = await self._processes.run(function, context, lease.args)
            else:
                result = await function(context, lease.args)
            data = _encoded(result, "result")
        except JobCancelled:
            await self._thread.write(lambda connection: table.finish(connection, lease, "cancelled"))
        except Fenced:
            return
        except asyncio.CancelledError:
            # Interrupted by ``stop`` it goes back; when its lease ran out it is not this worker's to give.
            if self._running.get(lease.id) is asyncio.current_task():
                await self._thread.write(
                    lambda connection: table.put_back(connection, lease, not_before_ns=0, counts=False)
                )
            raise
        except Exception as error:
            await self._failed(lease, error)
        else:
            await self._thread.write(lambda connection: table.finish(connection, lease, "done", result=data))

    async def _failed(self, lease: table.Lease, error: Exception) -> None:
        code = error.code if isinstance(error, CandlewickError) else "JOB_FAILED"
        detail = str(error) if isinstance(error, CandlewickError) else f"{type(error).__name__}: {error}"
        is_final = isinstance(error, Rejected) or (isinstance(error, JobFailed) and error.is_final)
        if is_final or lease.tries >= lease.max_tries:
            await self._thread.write(
                lambda connection: table.finish(connection, lease, "failed", code=code, detail=detail)
            )
            return
        wait_s = min(self._retry_s * 2 ** (lease.tries - 1), self._longest_retry_s)
        not_before_ns = self._clock.now_ns() + int(wait_s * NS_PER_SECOND)
        await self._thread.write(
            lambda connection: table.put_back(connection, lease, not_before_ns=not_before_ns, counts=True, code=code)
        )


def _encoded(value: Any, what: str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        raise BadJob(f"a job's {what} must be JSON: {error}") from error
