"""``ports.database`` on a PostgreSQL database: one writer at a time by an advisory lock, readers beside it [14].

The lock makes transactions that write serial without a conflict that a handler would have to try again, over all
processes of the service, and rows get their sequence numbers in the order in which they become visible: whoever reads
the outbox up to its newest row has missed none. A commit whose answer was lost with the connection is asked for by its
transaction's number (``pg_xact_status``), so a restart of the server is told from a commit that failed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from candlewick.adapters._alembic import history as histories
from candlewick.adapters._postgres.connections import Connections, through
from candlewick.adapters._postgres.errors import is_lost, sqlstate, translated, translating
from candlewick.adapters.db.postgres.locks import WRITER
from candlewick.adapters.db.postgres.transaction import PostgresTransaction
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.ports.database import DatabaseUnavailable, Transaction

_BEGIN_WRITING = "SELECT pg_advisory_xact_lock($1), pg_current_xact_id()::text"
_HEALTH = (
    "SELECT pg_is_in_recovery(), current_setting('max_connections')::int "
    "- current_setting('superuser_reserved_connections')::int - count(*) "
    "FROM pg_stat_activity WHERE backend_type = 'client backend'"
)
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.5


class PostgresDatabase:
    """``url`` is 'postgresql://user:password@host:port/database'.

    ``readers`` bounds how many ``reading`` contexts are open at once and ``busy_timeout_s`` how long a writer waits for
    another process's; ``settle_timeout_s`` how long a restarting server is waited for to learn what became of a commit.
    """

    def __init__(
        self,
        url: str,
        *,
        readers: int = 8,
        busy_timeout_s: float = 5.0,
        settle_timeout_s: float = 15.0,
        name: str = "candlewick",
    ) -> None:
        self._url = url
        self._busy_timeout_s = busy_timeout_s
        self._settle_timeout_s = settle_timeout_s
        # One more than the readers need: the writer never waits behind them.
        self._connections = Connections(url, size=readers + 1, lock_timeout_s=busy_timeout_s, name=name)
        self._seats = asyncio.Semaphore(readers)
        self._write_lock = asyncio.Lock()

    async def open(self) -> None:
        await self._connections.open()

    async def close(self) -> None:
        await self._connections.close()

    def abandon(self) -> None:
        """Drop every connection without a word, as a killed process does."""
        self._connections.abandon()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reading()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._write_lock, self._connections.writing() as connection:
            where = self._connections.where
            with translating(where):
                number = (await connection.fetchrow(_BEGIN_WRITING, WRITER))[1]
            transaction = PostgresTransaction(connection, where)
            try:
                yield transaction
                if transaction.failure is not None:
                    raise transaction.failure
            finally:
                transaction.end()
            with translating(where):
                await through(self._commit(connection, number))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        async with self._seats, self._connections.reading() as connection:
            transaction = PostgresTransaction(connection, self._connections.where)
            try:
                yield transaction
                if transaction.failure is not None:
                    raise transaction.failure
            finally:
                transaction.end()

    async def _commit(self, connection: Any, number: str) -> None:
        where = self._connections.where
        try:
            said = await connection.execute("COMMIT")
        except Exception as error:
            if not is_lost(error) and not isinstance(error, TimeoutError):
                raise
            connection.terminate()
            if not await self._is_committed(number):
                raise translated(error, where) from error
            return
        if said != "COMMIT":
            raise DatabaseUnavailable(f"the server rolled the transaction back, was {where!r}")

    async def _is_committed(self, number: str) -> bool:
        """What became of a transaction whose commit was not answered."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settle_timeout_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                rows = await self._connections.once("SELECT pg_xact_status($1::text::xid8)", number)
                if rows[0][0] != "in progress":
                    return bool(rows[0][0] == "committed")
            except Retryable:
                if loop.time() > deadline:
                    raise
            if loop.time() > deadline:
                raise DatabaseUnavailable(
                    f"the server did not say whether the transaction was committed, was {self._connections.where!r}"
                )
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def migrate(self, history: Path, target: str = "head") -> str:
        """PostgreSQL rolls DDL back, so all steps of one call are one transaction. Raises UnknownRevision,
        MigrationFailed, StorageFull, DatabaseUnavailable."""
        revisions = await asyncio.to_thread(histories.read, history)
        wanted = revisions.resolve(target)
        if await self._revision() == wanted:
            return wanted
        from candlewick.adapters.db.postgres import migration

        async with self._write_lock:
            return await through(
                asyncio.to_thread(migration.migrate, self._url, history, revisions, wanted, self._busy_timeout_s)
            )

    async def _revision(self) -> str:
        """Where the schema is, read without Alembic; 'base' when no step was ever applied."""
        async with self._connections.reading() as connection:
            try:
                row = await connection.fetchrow("SELECT version_num FROM alembic_version")
            except Exception as error:
                if sqlstate(error) == "42P01":
                    return histories.BASE
                raise translated(error, self._connections.where) from error
        return str(row[0]) if row else histories.BASE

    async def check(self) -> str | None:
        try:
            ((is_standby, free),) = await self._connections.once(_HEALTH)
        except CandlewickError as error:
            return str(error)
        if is_standby:
            return f"the server is a standby and takes no writes, was {self._connections.where!r}"
        if free < 1:
            return f"the server has no connection left for others, was {self._connections.where!r}"
        return None
