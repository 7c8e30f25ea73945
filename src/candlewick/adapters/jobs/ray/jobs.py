"""``ports.jobs``: a queue in the service's own database, and a Ray cluster for the functions that want a process.

What is promised of a job (leases, tries, checkpoints, outcomes, keys) is kept in the service's database and not in Ray:
Ray's own records live in the memory of its head node, and a restarted head has forgotten them; the service's database
is durable already, is backed up with the rest, and shows a job to every process of the service. Ray gives the processes
on many machines, tells at once when one of them died, and is free to lose everything at any time.

Each process of the service that started takes jobs. One that is killed is not seen any more, and its jobs are taken
over after ``dead_s``; a stuck worker's after its lease. Leases are measured by each process's own ``clock.now_ns``:
machines must agree to a small part of ``dead_s``.
"""

import asyncio
import math
import pickle
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from candlewick.adapters.jobs.ray import table
from candlewick.adapters.jobs.ray.cluster import Cluster, RayUnavailable
from candlewick.adapters.jobs.ray.hands import Hand, JobFailed
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError, Fenced, Rejected, Retryable
from candlewick.kernel.ids import IdSource
from candlewick.ports.database import Database, Transaction
from candlewick.ports.jobs import BadJob, Job, JobCancelled, JobFunction, JobState, UnknownJobKind

T = TypeVar("T")
_FINISHED: Final = frozenset({"done", "failed", "cancelled"})
_TROUBLE_S: Final = 1.0
_SEEN_PARTS: Final = 4


class _Context:
    def __init__(self, jobs: "RayJobs", lease: table.Lease) -> None:
        self._jobs = jobs
        self._lease = lease

    @property
    def checkpoint(self) -> Any:
        return self._lease.checkpoint

    async def report(self, progress: float, note: str = "", *, checkpoint: Any = None) -> None:
        await self._jobs.renew(self._lease, progress, note, checkpoint)


class RayJobs:
    """At most ``workers`` jobs at once for this process. A job that does not report for ``lease_s`` is tried again.
    Between tries it waits ``retry_s``, doubled each time, up to ``longest_retry_s``; an error that is ``Rejected`` ends
    it at once. ``poll_s`` is how soon work of other processes is noticed.

    ``database`` is a handle of the jobs' own on the service's database: opened when first used, closed by ``stop``. A
    job of a kind registered ``in_process`` runs on ``cluster`` with ``cpus`` of it to itself, and is only taken once
    there is room for it; its process is kept for ``idle_s`` for the next. While the cluster is away such jobs wait.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        cluster: Cluster,
        *,
        workers: int = 2,
        cpus: float = 1.0,
        lease_s: float = 60.0,
        retry_s: float = 1.0,
        longest_retry_s: float = 60.0,
        poll_s: float = 0.5,
        dead_s: float = 10.0,
        idle_s: float = 60.0,
    ) -> None:
        self._database, self._clock, self._ids, self._cluster = database, clock, ids, cluster
        self._workers, self._cpus = workers, cpus
        self._lease_ns = int(lease_s * NS_PER_SECOND)
        self._retry_s, self._longest_retry_s, self._poll_s = retry_s, longest_retry_s, poll_s
        self._dead_ns, self._idle_ns = int(dead_s * NS_PER_SECOND), int(idle_s * NS_PER_SECOND)
        self._functions: dict[str, tuple[JobFunction, bool]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._until_ns: dict[str, int] = {}
        self._idle: list[Hand] = []
        self._rising: set[asyncio.Task[None]] = set()
        self._fault: str | None = None
        self._opening = asyncio.Lock()
        self._is_open = False
        self._changed = asyncio.Event()
        self._owner = ""
        self._seen_ns = 0
        self._dispatcher: asyncio.Task[None] | None = None

    def register(self, kind: str, function: JobFunction, *, in_process: bool = False) -> None:
        """``in_process`` runs the function on the cluster: it must be importable by name there. Raises BadJob."""
        if in_process:
            try:
                pickle.dumps(function)
            except (pickle.PicklingError, AttributeError, TypeError):
                raise BadJob(f"a job in a process must be a function of a module, was {function!r}") from None
        self._functions[kind] = (function, in_process)

    async def start(self) -> None:
        """The cluster is not waited for."""
        if self._dispatcher is not None:
            return
        await self._open()
        kinds, owner = list(self._functions), self._ids.new().hex

        async def beginning(tx: Transaction) -> None:
            await table.add_kinds(tx, kinds)
            await table.see(tx, owner, self._clock.now_ns())

        await self._write(beginning)
        self._owner, self._seen_ns = owner, self._clock.now_ns()
        self._dispatcher = asyncio.create_task(self._dispatch(), name="jobs")

    async def stop(self) -> None:
        """The interrupted try does not count."""
        dispatcher, self._dispatcher = self._dispatcher, None
        tasks = [task for task in (dispatcher, *self._running.values(), *self._rising) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._idle:
            await self._idle.pop().drop()
        if self._owner:
            with suppress(CandlewickError):
                await self._write(lambda tx: table.leave(tx, self._owner))
            self._owner = ""
        await self._cluster.leave()
        if self._is_open:
            self._is_open = False
            await self._database.close()

    def abandon(self) -> None:
        """Let go of everything without a word, as a killed process does."""
        tasks = [task for task in (self._dispatcher, *self._running.values(), *self._rising) if task is not None]
        self._running.clear()
        for task in tasks:
            task.cancel()
        self._dispatcher = None

    async def submit(self, kind: str, args: Mapping[str, Any], *, key: str | None = None, max_tries: int = 3) -> Job:
        """Raises UnknownJobKind, BadJob."""
        data, job_id = _encoded(dict(args), "arguments"), str(self._ids.new())

        async def submitting(tx: Transaction) -> Job:
            if kind not in self._functions and not await table.has_kind(tx, kind):
                raise UnknownJobKind(f"no service does such jobs, was {kind!r}")
            return await table.submit(tx, job_id, kind, data, key, max(1, max_tries))

        await self._open()
        job = await self._write(submitting)
        self._tell()
        return job

    async def get(self, job_id: str) -> Job:
        await self._open()
        return await self._read(lambda tx: table.get(tx, job_id))

    async def cancel(self, job_id: str) -> Job:
        await self._open()
        job = await self._write(lambda tx: table.cancel(tx, job_id))
        self._tell()
        return job

    async def wait(self, job_id: str) -> Job:
        while True:
            changed = self._changed
            job = await self.get(job_id)
            if job.state in _FINISHED:
                return job
            await _soon(changed, self._poll_s)

    async def list(self, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        await self._open()
        return await self._read(lambda tx: table.listed(tx, kind, state))

    async def forget(self, job_id: str) -> bool:
        """Drop the outcome of a finished job; False while it is not finished. Raises UnknownJob."""
        await self._open()
        return await self._write(lambda tx: table.forget(tx, job_id))

    async def check(self) -> str | None:
        """None when healthy; a cluster that nobody needed yet is not asked."""
        return self._fault

    async def renew(self, lease: table.Lease, progress: float, note: str, checkpoint: Any) -> None:
        """What a running job's report does. Raises JobCancelled, Fenced, BadJob."""
        share = 0.0 if math.isnan(progress) else min(max(float(progress), 0.0), 1.0)
        data = None if checkpoint is None else _encoded(checkpoint, "checkpoint")
        until_ns = self._clock.now_ns() + self._lease_ns
        is_cancelling = await self._write(lambda tx: table.report(tx, lease, until_ns, share, note, data))
        self._until_ns[lease.id] = until_ns
        if is_cancelling:
            raise JobCancelled(lease.id)

    # -- the database ------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        async with self._opening:
            if not self._is_open:
                await self._database.open()
                self._is_open = True
                await self._write(table.prepare)

    async def _write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._database.transaction() as tx:
            return await work(tx)

    async def _read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._database.reading() as tx:
            return await work(tx)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # -- taking jobs -------------------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        while True:
            changed = self._changed
            wait_s = self._poll_s
            try:
                await self._take()
            except Retryable:
                # A database that is away: the jobs wait, the worker does not end.
                wait_s = _TROUBLE_S
            await _soon(changed, wait_s)

    async def _take(self) -> None:
        now_ns = self._clock.now_ns()
        for job_id in [job_id for job_id in self._running if self._until_ns[job_id] <= now_ns]:
            # It is anyone's job now; a stuck one must not keep its seat.
            del self._until_ns[job_id]
            self._running.pop(job_id).cancel()
        if now_ns - self._seen_ns >= self._dead_ns // _SEEN_PARTS:
            await self._write(lambda tx: table.see(tx, self._owner, now_ns))
            self._seen_ns = now_ns
        dead_ns = now_ns - self._dead_ns
        if await self._read(lambda tx: table.has_lapsed(tx, now_ns, dead_ns)):
            await self._write(lambda tx: table.take_back(tx, now_ns, dead_ns))
        free = self._workers - len(self._running)
        if free <= 0:
            return
        waiting = await self._read(lambda tx: table.waiting(tx, list(self._functions), now_ns, free))
        wanted = sum(self._functions[kind][1] for kind in waiting)
        for _ in range(min(wanted - len(self._idle) - len(self._rising), free)):
            self._raise_hand()
        here = [kind for kind, (_, in_process) in self._functions.items() if not in_process]
        there = [kind for kind, (_, in_process) in self._functions.items() if in_process]
        if wanted < len(waiting):
            await self._begin(here, free, now_ns)
        if wanted and self._idle:
            await self._begin(there, min(self._workers - len(self._running), len(self._idle)), now_ns)
        await self._let_go(now_ns)

    async def _begin(self, kinds: Collection[str], count: int, now_ns: int) -> None:
        leases = await self._write(lambda tx: table.claim(tx, self._owner, kinds, count, now_ns, self._lease_ns))
        for lease in leases:
            hand = self._idle.pop() if self._functions[lease.kind][1] else None
            self._until_ns[lease.id] = now_ns + self._lease_ns
            task = asyncio.create_task(self._run(lease, hand), name=f"job:{lease.kind}:{lease.id}")
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

    # -- processes on the cluster ------------------------------------------------------------------------------

    def _raise_hand(self) -> None:
        task = asyncio.create_task(self._rise(), name="job-hand")
        self._rising.add(task)
        task.add_done_callback(self._rising.discard)

    async def _rise(self) -> None:
        try:
            hand = await Hand.raised(self._cluster, self._cpus)
        except CandlewickError as error:
            self._fault = str(error)
            await self._clock.sleep(_TROUBLE_S)
            return
        self._fault = None
        hand.idle_since_ns = self._clock.now_ns()
        self._idle.append(hand)
        self._tell()

    async def _let_go(self, now_ns: int) -> None:
        """Give the cluster back what was not needed for a while."""
        for hand in [hand for hand in self._idle if now_ns - hand.idle_since_ns >= self._idle_ns]:
            self._idle.remove(hand)
            await hand.drop()

    # -- running a job -----------------------------------------------------------------------------------------

    async def _run(self, lease: table.Lease, hand: Hand | None) -> None:
        function = self._functions[lease.kind][0]
        context = _Context(self, lease)
        try:
            if hand is None:
                result = await function(context, lease.args)
            else:
                result = await self._handed(hand, function, context, lease.args)
            data = _encoded(result, "result")
        except JobCancelled:
            await self._write(lambda tx: table.finish(tx, lease, "cancelled"))
        except Fenced:
            return
        except asyncio.CancelledError:
            # Interrupted by ``stop`` it goes back; when its lease ran out it is not this worker's to give.
            if self._running.get(lease.id) is asyncio.current_task():
                await self._write(lambda tx: table.put_back(tx, lease, not_before_ns=0, counts=False))
            raise
        except Exception as error:
            await self._failed(lease, error)
        else:
            await self._write(lambda tx: table.finish(tx, lease, "done", result=data))

    async def _handed(self, hand: Hand, function: JobFunction, context: _Context, args: Mapping[str, Any]) -> Any:
        is_sound = False
        try:
            result = await hand.run(self._cluster, function, context, args)
            is_sound = True
            return result
        except (JobFailed, JobCancelled):
            is_sound = True
            raise
        finally:
            if is_sound:
                hand.idle_since_ns = self._clock.now_ns()
                self._idle.append(hand)
            else:
                await asyncio.shield(asyncio.ensure_future(hand.drop()))

    async def _failed(self, lease: table.Lease, error: Exception) -> None:
        code = error.code if isinstance(error, CandlewickError) else "JOB_FAILED"
        detail = str(error) if isinstance(error, CandlewickError) else f"{type(error).__name__}: {error}"
        is_final = isinstance(error, Rejected) or (isinstance(error, JobFailed) and error.is_final)
        # The cluster's failure is not the job's: that try is not counted.
        counts = not isinstance(error, RayUnavailable)
        if is_final or (counts and lease.tries >= lease.max_tries):
            await self._write(lambda tx: table.finish(tx, lease, "failed", code=code, detail=detail))
            return
        wait_s = min(self._retry_s * 2 ** (lease.tries - 1), self._longest_retry_s)
        not_before_ns = self._clock.now_ns() + int(wait_s * NS_PER_SECOND)
        await self._write(lambda tx: table.put_back(tx, lease, not_before_ns=not_before_ns, counts=counts, code=code))


async def _soon(changed: asyncio.Event, seconds: float) -> None:
    # Not wait_for: on 3.11 it can swallow a cancellation that comes together with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()


def _encoded(value: Any, what: str) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError) as error:
        raise BadJob(f"a job's {what} must be JSON: {error}") from error
