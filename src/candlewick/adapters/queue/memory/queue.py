"""``ports.queue`` within one machine: commands lie in a SQLite file, workers of this process are woken at once.

Workers of other processes look every ``poll_s``. A killed process's deliveries are taken over at the next look (its
lock file tells), those of a worker that is merely slow after ``ack_timeout_s``.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from candlewick.adapters._sqlite.owner import Owner, is_dead
from candlewick.adapters._sqlite.thread import SqliteThread
from candlewick.adapters.queue.memory import table
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Fenced, StorageFull
from candlewick.kernel.ids import IdSource
from candlewick.ports.queue import Command, Delivery

T = TypeVar("T")


class MemoryQueue:
    """Times to acknowledge are measured by ``clock.now_ns``. ``durable`` makes ``send`` wait for the disk, so that a
    power loss takes no command; a killed process never does."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        ids: IdSource,
        *,
        durable: bool = False,
        ack_timeout_s: float = 60.0,
        max_deliveries: int = 5,
        poll_s: float = 0.1,
        max_pages: int | None = None,
    ) -> None:
        self._thread = SqliteThread(path, durable=durable, max_pages=max_pages)
        self._owners = path.with_name(f"{path.name}.owners")
        self._clock = clock
        self._ids = ids
        self._ack_timeout_ns = int(ack_timeout_s * NS_PER_SECOND)
        self.max_deliveries = max_deliveries
        self._poll_s = poll_s
        self._changed = asyncio.Event()

    async def open(self) -> None:
        await self._thread.open(table.prepare)

    async def close(self) -> None:
        self.tell()
        await self._thread.close()

    async def send(self, queue: str, command: Command) -> None:
        """Raises StorageFull, DatabaseUnavailable; the command is not kept then."""
        await self._thread.write(lambda connection: table.send(connection, queue, command))
        self.tell()

    def consume(self, queue: str, *, prefetch: int = 10) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """A worker. Leaving the context gives back what it did not acknowledge."""
        return self._consume(queue, max(1, prefetch))

    async def dead(self, queue: str, limit: int = 100) -> list[tuple[Command, str]]:
        return await self._thread.read(lambda connection: table.dead(connection, queue, limit))

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What takes or settles commands: done also when the file has no room for new ones."""
        try:
            return await self._thread.write(function)
        except StorageFull:
            pass

        def sparing(connection: sqlite3.Connection) -> T:
            table.spend_reserve(connection)
            return function(connection)

        return await self._thread.write(sparing)

    def tell(self) -> None:
        """Wake every worker of this process."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def changed(self) -> asyncio.Event:
        """Set at the next change that a worker of this process makes or causes."""
        return self._changed

    async def until_changed(self, changed: asyncio.Event) -> None:
        """Wait for the change, but not for longer than others can go unnoticed."""
        # Not wait_for: on 3.11 it can swallow a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await changed.wait()

    def has_lapsed(self, until_ns: int) -> bool:
        """Whether the time to acknowledge is over."""
        return self._clock.now_ns() >= until_ns

    @asynccontextmanager
    async def _consume(self, queue: str, prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        owner = Owner(self._owners, self._ids.new().hex)
        worker = _Worker(owner.name, prefetch)
        try:
            yield _Deliveries(self, queue, worker)
        finally:
            # A closed queue lets the others find the lock file gone.
            owner.leave()
            if self._thread.is_open:
                await self.write(lambda connection: table.release(connection, owner.name, self.max_deliveries))
                self.tell()

    async def take(self, queue: str, worker: "_Worker") -> list["_Delivery"]:
        """What is ready, as much as the worker may still hold."""
        now_ns = self._clock.now_ns()
        worker.forget_lapsed(now_ns)
        free = worker.prefetch - len(worker.held)
        if free <= 0:
            return []

        def looking(connection: Any) -> bool:
            others = (one for one in table.owners(connection, queue) if one != worker.owner)
            return table.waits(connection, queue, now_ns) or any(is_dead(self._owners, one) for one in others)

        if not await self._thread.read(looking):
            return []
        until_ns = now_ns + self._ack_timeout_ns
        taken = await self.write(
            lambda connection: table.take(
                connection,
                queue,
                worker.owner,
                free,
                now_ns,
                until_ns,
                self.max_deliveries,
                lambda one: is_dead(self._owners, one),
            )
        )
        worker.held.update(((seq, command.deliveries), until_ns) for seq, command in taken)
        return [_Delivery(self, worker, seq, command) for seq, command in taken]


class _Deliveries:
    """A worker's commands; waiting for the next one may be cancelled without losing any."""

    def __init__(self, queue: MemoryQueue, name: str, worker: "_Worker") -> None:
        self._queue = queue
        self._name = name
        self._worker = worker
        self._ready: deque[_Delivery] = deque()
        self._taking: asyncio.Future[list[_Delivery]] | None = None

    def __aiter__(self) -> "_Deliveries":
        return self

    async def __anext__(self) -> Delivery:
        while True:
            while self._ready:
                delivery = self._ready.popleft()
                until_ns = self._worker.held.get(delivery.key)
                # What lay here too long is another worker's by now.
                if until_ns is not None and not self._queue.has_lapsed(until_ns):
                    return delivery
            changed = self._queue.changed()
            if self._taking is None:
                self._taking = asyncio.ensure_future(self._queue.take(self._name, self._worker))
            # A caller that gives up leaves what was taken to the next call.
            taking = self._taking
            await asyncio.wait([taking])
            self._taking = None
            taken = taking.result()
            self._ready.extend(taken)
            if not self._ready:
                await self._queue.until_changed(changed)


class _Worker:
    def __init__(self, owner: str, prefetch: int) -> None:
        self.owner = owner
        self.prefetch = prefetch
        self.held: dict[tuple[int, int], int] = {}

    def forget_lapsed(self, now_ns: int) -> None:
        for key in [key for key, until_ns in self.held.items() if until_ns <= now_ns]:
            del self.held[key]


class _Delivery:
    def __init__(self, queue: MemoryQueue, worker: _Worker, seq: int, command: Command) -> None:
        self._queue = queue
        self._worker = worker
        self._seq = seq
        self._command = command

    @property
    def key(self) -> tuple[int, int]:
        """Which delivery of which command."""
        return self._seq, self._command.deliveries

    @property
    def command(self) -> Command:
        return self._command

    async def ack(self) -> None:
        """Raises Fenced when the command went to another worker meanwhile."""
        key = (self._seq, self._worker.owner, self._command.deliveries)
        self._settle(await self._queue.write(lambda connection: table.acknowledge(connection, *key)))

    async def reject(self, reason: str, *, requeue: bool) -> None:
        """Raises Fenced when the command went to another worker meanwhile."""
        key = (self._seq, self._worker.owner, self._command.deliveries)
        most = self._queue.max_deliveries if requeue else None
        self._settle(await self._queue.write(lambda connection: table.reject(connection, *key, reason, most)))

    def _settle(self, was_held: bool) -> None:
        self._worker.held.pop(self.key, None)
        self._queue.tell()
        if not was_held:
            raise Fenced(f"the command went to another worker or was settled before, was {self._command.id!r}")
