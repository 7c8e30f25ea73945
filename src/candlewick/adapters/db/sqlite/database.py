"""``ports.database`` on one SQLite file: WAL, one thread, one writing connection and a few reading ones [14, 16]."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from candlewick.adapters._sqlite.thread import SqliteThread, wait_through
from candlewick.adapters.db.sqlite import tables
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.database import Row, StatementRefused, Table, Transaction, Value

T = TypeVar("T")

_TURN_S = 0.1
_LEAST_FREE_BYTES = 16 << 20


class SqliteTransaction:
    """One unit of work on one connection. A statement that fails ends it: what follows is refused."""

    def __init__(self, thread: SqliteThread, connection: sqlite3.Connection) -> None:
        self._thread = thread
        self._connection = connection
        self._is_over = False
        self.failure: Exception | None = None

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        def statement() -> int:
            cursor = self._connection.execute(sql, params)
            try:
                if cursor.description is not None:
                    cursor.fetchall()
                return max(cursor.rowcount, 0)
            finally:
                cursor.close()

        return await self._do(statement)

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        def statement() -> None:
            self._connection.executemany(sql, params).close()

        await self._do(statement)

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]:
        def statement() -> list[Row]:
            cursor = self._connection.execute(sql, params)
            try:
                return cursor.fetchall()
            finally:
                cursor.close()

        return await self._do(statement)

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None:
        def statement() -> Row | None:
            cursor = self._connection.execute(sql, params)
            try:
                row: Row | None = cursor.fetchone()
            finally:
                cursor.close()
            return row

        return await self._do(statement)

    def end(self) -> None:
        """Nothing more may be asked of it."""
        self._is_over = True

    async def _do(self, statement: Callable[[], T]) -> T:
        if self._is_over:
            raise StatementRefused("the transaction is over; begin another one")
        if self.failure is not None:
            raise StatementRefused(f"the transaction was rolled back because of: {self.failure}")

        def guarded() -> T:
            # Outside a transaction SQLite would commit each statement by itself.
            if not self._connection.in_transaction:
                raise StatementRefused("the transaction was ended by a statement of its own; leave that to the context")
            result = statement()
            if not self._connection.in_transaction:
                raise StatementRefused("a statement ended the transaction; leave that to the context")
            return result

        try:
            return await self._thread.run(guarded)
        except CandlewickError as error:
            self.failure = error
            raise


class SqliteDatabase:
    """``durable`` makes every commit wait for the disk (synchronous FULL: money survives a power loss); without it a
    commit survives a killed process, and only a power loss may take the last ones (NORMAL).

    ``readers`` bounds how many ``reading`` contexts are open at once; more of them wait. ``max_pages`` bounds the file
    (4 KiB pages): beyond it writes raise StorageFull.
    """

    def __init__(
        self,
        path: Path,
        *,
        durable: bool = False,
        busy_timeout_s: float = 5.0,
        readers: int = 8,
        max_pages: int | None = None,
    ) -> None:
        self._thread = SqliteThread(path, durable=durable, busy_timeout_s=busy_timeout_s, max_pages=max_pages)
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._idle: list[sqlite3.Connection] = []
        self._seats = asyncio.Semaphore(readers)

    async def open(self) -> None:
        await self._thread.open()

    async def close(self) -> None:
        self._idle.clear()
        await self._thread.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reading()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        thread = self._thread
        async with thread.write_lock:
            await thread.begin_immediate()
            transaction = SqliteTransaction(thread, thread.writer)
            try:
                yield transaction
                if transaction.failure is not None:
                    raise transaction.failure
            except BaseException:
                transaction.end()
                # Jobs run in order, so the next BEGIN comes after this even when the wait is cancelled.
                await wait_through(thread.submit(thread.roll_back, always=True))
                raise
            transaction.end()

            def commit() -> None:
                try:
                    thread.writer.execute("COMMIT")
                except sqlite3.Error:
                    thread.roll_back()
                    raise

            await wait_through(thread.submit(commit, always=True))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        thread = self._thread
        async with self._seats:
            taken: list[sqlite3.Connection] = []

            def begin() -> None:
                connection = self._idle.pop() if self._idle else thread.connect(read_only=True)
                taken.append(connection)
                connection.execute("BEGIN")

            def finish() -> None:
                for connection in taken:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    self._idle.append(connection)

            try:
                await wait_through(thread.submit(begin, always=True))
                transaction = SqliteTransaction(thread, taken[0])
                try:
                    yield transaction
                    if transaction.failure is not None:
                        raise transaction.failure
                finally:
                    transaction.end()
            finally:
                if thread.is_open:
                    await wait_through(thread.submit(finish, always=True))

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """By a lock on a file beside the database; the system gives it up with its process."""
        with self._path.with_name(f"{self._path.name}.{name}.lock").open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_TURN_S)
            yield

    async def migrate(self, history: Path, target: str = "head") -> str:
        """SQLite rolls DDL back, so all steps of one call are one transaction. Raises UnknownRevision,
        MigrationFailed, StorageFull, DatabaseUnavailable."""
        from candlewick.adapters.db.sqlite import migration

        async with self._thread.write_lock:
            return await wait_through(
                self._thread.submit(lambda: migration.migrate(self._path, history, target, self._busy_timeout_s))
            )

    async def revision(self) -> str:
        from candlewick.adapters.db.sqlite import migration

        return await self._thread.run(lambda: migration.stored(self._path, self._busy_timeout_s))

    async def tables(self) -> list[Table]:
        async with self.reading() as tx:
            return await tables.described(tx)

    async def check(self) -> str | None:
        try:
            async with self.reading() as transaction:
                await transaction.fetch("SELECT count(*) FROM sqlite_schema")
            disk = await self._thread.run(lambda: os.statvfs(self._path.parent))
        except (CandlewickError, OSError) as error:
            return str(error)
        free = disk.f_bavail * disk.f_frsize
        if free < _LEAST_FREE_BYTES:
            return f"the disk of {str(self._path)!r} is nearly full, free bytes was {free!r}"
        return None
