"""One worker thread that owns every connection to one database file [16].

The event loop hands it jobs in order and gets their results back as futures; the loop itself never waits for the disk.
No job waits for another process's lock: ``begin_immediate`` answers at once and is asked again from the loop, so
readers on the same thread go on while a writer elsewhere holds the file.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from candlewick.adapters._sqlite.errors import is_busy, translated
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.database import DatabaseUnavailable

T = TypeVar("T")

_FIRST_WAIT_S = 0.0005
_LONGEST_WAIT_S = 0.005

_Job = tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop, bool]


class SqliteThread:
    """Opens ``path`` in WAL mode and runs functions on its thread. Built and used on one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        durable: bool = False,
        busy_timeout_s: float = 5.0,
        page_size: int | None = None,
        max_pages: int | None = None,
    ) -> None:
        self.path = path
        self._durable = durable
        self._busy_timeout_s = busy_timeout_s
        self._page_size = page_size
        self._max_pages = max_pages
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._opened: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._write_lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        return self._thread is not None

    @property
    def write_lock(self) -> asyncio.Lock:
        """Serialises the transactions of this process."""
        return self._write_lock

    @property
    def writer(self) -> sqlite3.Connection:
        """The one connection that writes; for functions running on the thread."""
        if self._writer is None:
            raise DatabaseUnavailable(f"the database is not open, was {str(self.path)!r}")
        return self._writer

    async def open(self, prepare: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Start the thread and open the file, making it and its folder when absent. ``prepare`` runs on the writer."""
        if self._thread is not None:
            return
        # Of their own, so that a thread that is being closed takes neither this one's jobs nor its connections.
        self._jobs, self._opened = SimpleQueue(), []
        thread = threading.Thread(
            target=self._work, args=(self._jobs,), name=f"sqlite:{self.path.name}", daemon=True
        )  # fmt: skip
        self._thread = thread
        thread.start()

        def opening() -> None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self.connect()
            if prepare is not None:
                prepare(self._writer)

        try:
            await self.run(opening)
        except BaseException:
            await self.close()
            raise

    def connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        """One more connection, closed with the rest. Runs on the thread."""
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        self._opened.append(connection)
        if self._page_size is not None:
            connection.execute(f"PRAGMA page_size = {self._page_size}")
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}").close()
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 0").close()
        return connection

    async def close(self) -> None:
        """Open transactions are rolled back, the file is closed, the thread ends."""
        thread, opened = self._thread, self._opened
        if thread is None:
            return

        def closing() -> None:
            if self._writer in opened:
                self._writer = None
            while opened:
                opened.pop().close()

        done = self.submit(closing, always=True)
        self._thread = None
        self._jobs.put(None)
        await wait_through(done)
        thread.join()

    def submit(self, function: Callable[[], T], *, always: bool = False) -> asyncio.Future[T]:
        """Queue a function. Unless ``always``, it is left out when its future was cancelled before its turn."""
        if self._thread is None:
            raise DatabaseUnavailable(f"the database is not open, was {str(self.path)!r}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((function, future, loop, always))
        return future

    async def run(self, function: Callable[[], T]) -> T:
        """The result of a function run on the thread; SQLite's errors come translated."""
        return await self.submit(function)

    async def begin_immediate(self) -> None:
        """Take the file's write lock on the writer. Raises DatabaseUnavailable when others keep it too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._busy_timeout_s
        wait_s = _FIRST_WAIT_S
        while True:
            asked = self.submit(self._try_begin)
            try:
                if await wait_through(asked):
                    return
            except asyncio.CancelledError:
                if not asked.cancelled() and asked.exception() is None and asked.result():
                    self.submit(self.roll_back, always=True)
                raise
            if loop.time() > deadline:
                raise DatabaseUnavailable(
                    f"another process kept the database locked for {self._busy_timeout_s} s, was {str(self.path)!r}"
                )
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in one transaction on the writer: committed when it returns, rolled back when it raises.

        A caller cancelled while it runs does not stop it half-way.
        """
        async with self._write_lock:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + self._busy_timeout_s
            wait_s = _FIRST_WAIT_S
            while True:
                done, result = await wait_through(self.submit(lambda: self._transact(function)))
                if done:
                    return result  # type: ignore[return-value]
                if loop.time() > deadline:
                    raise DatabaseUnavailable(
                        f"another process kept the database locked for {self._busy_timeout_s} s, was {str(self.path)!r}"
                    )
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the writer's connection over one consistent state; it must not write."""

        def reading() -> T:
            connection = self.writer
            connection.execute("BEGIN")
            try:
                return function(connection)
            finally:
                connection.execute("ROLLBACK")

        return await self.run(reading)

    def roll_back(self) -> None:
        """End the writer's transaction if one is open. Runs on the thread."""
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")

    def _try_begin(self) -> bool:
        try:
            self.writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_busy(error):
                return False
            raise
        return True

    def _transact(self, function: Callable[[sqlite3.Connection], T]) -> tuple[bool, T | None]:
        if not self._try_begin():
            return False, None
        connection = self.writer
        try:
            result = function(connection)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself.
            self.roll_back()
            raise
        return True, result

    def _work(self, jobs: SimpleQueue[_Job | None]) -> None:
        while (job := jobs.get()) is not None:
            function, future, loop, always = job
            if future.cancelled() and not always:
                continue
            try:
                result, failure = function(), None
            except Exception as error:
                result, failure = None, error
            # A loop that was closed without closing the database has nobody left to tell.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._settle, future, result, failure)

    def _settle(self, future: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
        if future.done():
            return
        if failure is None:
            future.set_result(result)
            return
        told = translated(failure, self.path)
        if isinstance(told, CandlewickError) and told is not failure:
            told.__cause__ = failure
        future.set_exception(told)


async def wait_through(future: asyncio.Future[T]) -> T:
    """Wait to the end whatever happens to the caller; a cancellation that came meanwhile is raised afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()
        raise cancelled
    return future.result()
