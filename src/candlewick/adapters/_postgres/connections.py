"""A bounded pool of connections to one database: given out with a transaction begun, taken back with it ended.

Connections that died with a restarted server are found when a transaction begins, where trying again is safe, and are
replaced there and then. What a cancelled task leaves behind is rolled back before anybody else gets the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from candlewick.adapters._postgres.errors import is_lost, translated, translating
from candlewick.ports.database import DatabaseUnavailable

T = TypeVar("T")

_END_S = 5.0
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITING = "BEGIN"


class Connections:
    """At most ``size`` connections; whoever comes when all are taken waits.

    ``lock_timeout_s`` bounds every wait for somebody else's lock, ``command_timeout_s`` every statement. A process that
    stops in the middle of a transaction, frozen or cut off, loses it after ``idle_timeout_s``, so that it cannot hold
    the others up for longer.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        connect_timeout_s: float = 5.0,
        lock_timeout_s: float = 5.0,
        command_timeout_s: float = 60.0,
        idle_timeout_s: float = 30.0,
        name: str = "candlewick",
    ) -> None:
        self._url = url
        self.where = place(url)
        self.size = size
        self._connect_timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._settings = {
            "application_name": name,
            "lock_timeout": str(int(lock_timeout_s * 1e3)),
            "idle_in_transaction_session_timeout": str(int(idle_timeout_s * 1e3)),
            "TimeZone": "UTC",
            # Statements here take milliseconds; compiling one over hundreds of partitions takes longer than to run it.
            "jit": "off",
        }
        self._pool: asyncpg.Pool | None = None

    @property
    def is_open(self) -> bool:
        return self._pool is not None

    async def open(self) -> None:
        """Raises DatabaseUnavailable when the server cannot be reached."""
        if self._pool is not None:
            return
        with translating(self.where):
            self._pool = await asyncpg.create_pool(
                self._url,
                # None is kept in reserve: else the driver tries to make it while the server is away, and complains.
                min_size=0,
                max_size=self.size,
                timeout=self._connect_timeout_s,
                command_timeout=self._command_timeout_s,
                statement_cache_size=512,
                server_settings=self._settings,
                init=_prepare,
                reset=_leave,
            )
        try:
            await self.once("SELECT 1")
        except BaseException:
            self.abandon()
            raise

    async def close(self) -> None:
        """What is open is given a few seconds to end."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), _END_S)
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            pool.terminate()

    def abandon(self) -> None:
        """Drop every connection without a word, as a killed process does."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        """A connection inside a READ COMMITTED transaction, rolled back unless the caller committed it."""
        async with self._within(_WRITING) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """A connection inside a read-only transaction over one state."""
        async with self._within(_READING) as connection:
            yield connection

    @asynccontextmanager
    async def _within(self, begin: str) -> AsyncIterator[Any]:
        connection = await self._begun(begin)
        is_certain = False
        try:
            yield connection
            is_certain = True
        finally:
            await through(self.give_back(connection, is_certain=is_certain))

    async def take(self) -> Any:
        """A connection outside any transaction; hand it to ``give_back``. Raises DatabaseUnavailable."""
        if self._pool is None:
            raise DatabaseUnavailable(f"the database is not open, was {self.where!r}")
        with translating(self.where):
            return await self._pool.acquire()

    async def give_back(self, connection: Any, *, is_certain: bool = True) -> None:
        """End what is open on the connection and return it to the pool. Not ``is_certain`` where a BEGIN or COMMIT may
        have been cut short: that leaves a transaction which the driver does not know of."""
        try:
            if not connection.is_closed() and (connection.is_in_transaction() or not is_certain):
                await connection.execute("ROLLBACK", timeout=_END_S)
        except Exception:
            self.drop(connection)
        pool = self._pool
        if pool is None:
            self.drop(connection)
            return
        with suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError, TimeoutError):
            await pool.release(connection, timeout=_END_S)

    def drop(self, connection: Any) -> None:
        """Cut a connection that nobody should use again; the pool makes another one."""
        # The driver refuses to end what it has taken back by itself.
        with suppress(asyncpg.InterfaceError):
            connection.terminate()

    async def once(self, query: str, *args: Any) -> list[Any]:
        """The rows of one statement that only reads, outside a transaction."""
        for left in range(self.size, -1, -1):
            connection = await self.take()
            try:
                rows: list[Any] = await connection.fetch(query, *args)
                return rows
            except Exception as error:
                if is_lost(error) and left:
                    continue
                told = translated(error, self.where)
                if told is error:
                    raise
                raise told from error
            finally:
                await through(self.give_back(connection))
        raise AssertionError("unreachable")

    async def _begun(self, begin: str) -> Any:
        for left in range(self.size, -1, -1):
            connection = await self.take()
            try:
                await connection.execute(begin)
                return connection
            except BaseException as error:
                await through(self.give_back(connection, is_certain=False))
                # Nothing was asked of the dead connection yet: the next one may be alive.
                if is_lost(error) and left:
                    continue
                told = translated(error, self.where)
                if told is error:
                    raise
                raise told from error
        raise AssertionError("unreachable")


def place(url: str) -> str:
    """Host, port and database of a URL, for people: never its password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


async def through(work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
    """Wait to the end whatever happens to the caller; a cancellation that came meanwhile is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()


async def _prepare(connection: Any) -> None:
    """Sums and truths come as the numbers that the port knows."""
    as_number = {"encoder": str, "decoder": _number, "format": "text"}
    as_truth = {"encoder": _from_truth, "decoder": _truth, "format": "binary"}
    await connection.set_type_codec("numeric", schema="pg_catalog", **as_number)
    await connection.set_type_codec("bool", schema="pg_catalog", **as_truth)


async def _leave(_connection: Any) -> None:
    """No session state is ever set, so none is reset: that saves a round trip a transaction."""


def _number(text: str) -> int | float:
    """Sums of integers have no point; averages have one."""
    return float(Decimal(text)) if not text.lstrip("-").isdigit() else int(text)


def _truth(data: bytes) -> int:
    return data[0]


def _from_truth(truth: object) -> bytes:
    return b"\x01" if truth else b"\x00"
