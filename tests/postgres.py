"""Databases for tests on a real PostgreSQL server: empty for each test, dropped with the process."""

import asyncio
import atexit
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from candlewick.testing import servers

T = TypeVar("T")

ADMIN_URL = servers.address("postgres")
REPLICA_URL = servers.address("postgres_replica")
needs_postgres = pytest.mark.skipif(ADMIN_URL is None, reason=servers.why_not("postgres") or "there")
needs_replica = pytest.mark.skipif(
    ADMIN_URL is None or REPLICA_URL is None, reason=servers.why_not("postgres_replica") or "there"
)


async def as_admin(*statements: str, database: str | None = None) -> None:
    """Run statements as the server's administrator."""
    assert ADMIN_URL is not None
    connection = await asyncpg.connect(url_of(database) if database else ADMIN_URL)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def url_of(database: str, admin_url: str | None = ADMIN_URL) -> str:
    """The administrator's URL of another database."""
    assert admin_url is not None
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{database}"))


_made: list[str] = []
_free: list[str] = []


async def new_database() -> str:
    """The name of an empty database of this process's own; give it back with ``free_database``. Making one takes the
    server a second, emptying one does not, so they are used again and dropped when the process ends."""
    if _free:
        return _free.pop()
    if not _made:
        atexit.register(lambda: asyncio.run(_drop_all()))
    name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
    await as_admin(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    _made.append(name)
    return name


async def free_database(name: str) -> None:
    """Cut off whoever is still connected and forget everything in it."""
    await as_admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "DROP SCHEMA IF EXISTS candles, public CASCADE; CREATE SCHEMA public",
        database=name,
    )
    _free.append(name)


async def _drop_all() -> None:
    for name in _made:
        await as_admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class PostgresHarness(Generic[T]):
    """candlewick.testing.conformance.harness.Harness on one database. A killed handle's sockets are cut without a word;
    what the server does about it is the server's affair, as after kill -9."""

    def __init__(self, root: Path, database: str, build: Callable[[str], T]) -> None:
        self.database = database
        self.url = url_of(database)
        self._build = build
        self._handles: list[T] = []
        self.scratch = root / "scratch"
        self.scratch.mkdir()

    async def handle(self) -> T:
        handle = self._build(self.url)
        self._handles.append(handle)
        await handle.open()  # type: ignore[attr-defined]
        return handle

    async def kill(self) -> None:
        while self._handles:
            self._handles.pop().abandon()  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    async def close(self) -> None:
        while self._handles:
            await self._handles.pop().close()  # type: ignore[attr-defined]
        await free_database(self.database)
