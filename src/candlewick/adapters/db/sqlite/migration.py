"""Alembic on one SQLite file.

All steps of a call are one transaction that holds SQLite's write lock, so a step that fails leaves nothing half done
and two processes that start at once do the work once.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from candlewick.adapters._alembic import history as histories
from candlewick.adapters._alembic import steps
from candlewick.adapters._sqlite.errors import translated
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.ports.database import ConstraintViolated, MigrationFailed


def migrate(path: Path, history: Path, target: str, busy_timeout_s: float) -> str:
    """Bring the file to ``target`` and say where it is. Blocks; runs on the database's thread."""
    revisions = histories.read(history)
    wanted = revisions.resolve(target)
    if stored(path, busy_timeout_s) == wanted:
        return wanted
    try:
        with steps.ALEMBIC:
            return _run(path, history, revisions, wanted, busy_timeout_s)
    except CandlewickError:
        raise
    except Exception as error:
        cause = translated(error.orig, path) if isinstance(getattr(error, "orig", None), Exception) else error  # type: ignore[attr-defined]
        if isinstance(cause, Retryable):
            raise cause from error
        raise MigrationFailed(
            f"the schema could not be brought to {wanted!r}: {cause}", hint="Nothing was changed; mend the step"
        ) from error


def stored(path: Path, busy_timeout_s: float) -> str:
    """The revision the file is at, 'base' when no step was ever applied."""
    with closing(sqlite3.connect(path, timeout=busy_timeout_s)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return histories.BASE
            raise
    return str(row[0]) if row else histories.BASE


def _run(path: Path, history: Path, revisions: histories.Revisions, wanted: str, busy_timeout_s: float) -> str:
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    # The writer's own transactions enforce foreign keys; a table rebuilt by batch mode must not cascade.
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = OFF")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection, connection.begin():
        steps.run(connection, history, revisions, wanted)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise ConstraintViolated(
                f"the new schema leaves rows without the row they refer to, table was {broken[0][0]!r}"
            )
    return wanted
