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

import asyncpg

from candlewick.adapters._alembic import history as histories
from candlewick.adapters._postgres.commits import NUMBER, commit
from candlewick.adapters._postgres.connections import Connections, through
from candlewick.adapters._postgres.errors import sqlstate, translated, translating
from candlewick.adapters.db.postgres import locks, tables
from candlewick.adapters.db.postgres.locks import WRITER
from candlewick.adapters.db.postgres.transaction import PostgresTransaction
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.database import Table, Transaction

_TURN_S = 0.25
_CONNECT_S = 5.0
_BEGIN_WRITING = f"SELECT pg_advisory_xact_lock($1), {NUMBER}"
_HEALTH = (
    "SELECT pg_is_in_recovery(), current_setting('max_connections')::int "
    "- current_setting('superuser_reserved_connections')::int - count(*) "
    "FROM pg_stat_activity WHERE backend_type = 'client backend'"
)


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
        self._name = name
        self._alone: set[asyncpg.Connection] = set()
        self._seats = asyncio.Semaphore(readers)
        self._write_lock = asyncio.Lock()

    async def open(self) -> None:
        await self._connections.open()

    async def close(self) -> None:
        await self._connections.close()

    def abandon(self) -> None:
        """Drop every connection without a word, as a killed process does."""
        for connection in self._alone:
            connection.terminate()
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
                await through(commit(self._connections, connection, number, self._settle_timeout_s))

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

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """Held by a connection of its own for as long as that lives."""
        number = locks.of(name)
        connection = await self._connected()
        try:
            with translating(self._connections.where):
                # Asked again and again: a session that waits for a lock is cut off by its time-out.
                while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", number):  # noqa: ASYNC110
                    await asyncio.sleep(_TURN_S)
            yield
        finally:
            # The session's end gives the lock up, whatever state it is in.
            connection.terminate()
            self._alone.discard(connection)

    async def _connected(self) -> asyncpg.Connection:
        with translating(self._connections.where):
            connection = await asyncpg.connect(
                self._url, timeout=_CONNECT_S, server_settings={"application_name": self._name}
            )
        self._alone.add(connection)
        return connection

    async def migrate(self, history: Path, target: str = "head") -> str:
        """PostgreSQL rolls DDL back, so all steps of one call are one transaction. Raises UnknownRevision,
        MigrationFailed, StorageFull, DatabaseUnavailable."""
        revisions = await asyncio.to_thread(histories.read, history)
        wanted = revisions.resolve(target)
        if await self.revision() == wanted:
            return wanted
        from candlewick.adapters.db.postgres import migration

        async with self._write_lock:
            return await through(
                asyncio.to_thread(migration.migrate, self._url, history, revisions, wanted, self._busy_timeout_s)
            )

    async def revision(self) -> str:
        """Read without Alembic."""
        async with self._connections.reading() as connection:
            try:
                row = await connection.fetchrow("SELECT version_num FROM alembic_version")
            except Exception as error:
                if sqlstate(error) == "42P01":
                    return histories.BASE
                raise translated(error, self._connections.where) from error
        return str(row[0]) if row else histories.BASE

    async def tables(self) -> list[Table]:
        async with self.reading() as tx:
            return await tables.described(tx)

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
