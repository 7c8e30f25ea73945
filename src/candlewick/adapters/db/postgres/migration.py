"""Alembic on one PostgreSQL database, on a thread and an event loop of its own.

All steps of a call are one transaction that holds the migration's and the writer's lock: a step that fails leaves
nothing half done, and two processes that start at once do the work once.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from candlewick.adapters._alembic import history as histories
from candlewick.adapters._alembic import steps
from candlewick.adapters._postgres.connections import place
from candlewick.adapters._postgres.errors import translated
from candlewick.adapters.db.postgres.locks import MIGRATION, WRITER
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.ports.database import MigrationFailed

if TYPE_CHECKING:
    from sqlalchemy import Connection


def migrate(url: str, history: Path, revisions: histories.Revisions, wanted: str, busy_timeout_s: float) -> str:
    """Bring the database to ``wanted`` and say where it is. Blocks."""
    try:
        with steps.ALEMBIC:
            asyncio.run(_run(url, history, revisions, wanted, busy_timeout_s))
    except CandlewickError:
        raise
    except Exception as error:
        cause = translated(_root(error), place(url))
        if isinstance(cause, Retryable):
            raise cause from error
        raise MigrationFailed(
            f"the schema could not be brought to {wanted!r}: {cause}", hint="Nothing was changed; mend the step"
        ) from error
    return wanted


async def _run(url: str, history: Path, revisions: histories.Revisions, wanted: str, busy_timeout_s: float) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def connect() -> Any:
        return await asyncpg.connect(url, timeout=busy_timeout_s, server_settings={"application_name": "candlewick"})

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)

    def work(connection: "Connection") -> None:
        # Whoever migrates already is waited for to the end; for readers and writers only so long that the others
        # behind this one's place in the queue do not wait with it.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION})")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(busy_timeout_s * 1e3)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
        steps.run(connection, history, revisions, wanted)

    async with engine.connect() as connection, connection.begin():
        await connection.run_sync(work)


def _root(error: BaseException) -> BaseException:
    """The driver's error below SQLAlchemy's wrappers."""
    inner = getattr(error, "orig", None) or error
    return inner.__cause__ or inner if type(inner).__module__.startswith("sqlalchemy") else inner
