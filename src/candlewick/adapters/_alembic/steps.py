"""One shared environment for every service's history: Alembic driven from code, no ini file, no env.py."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candlewick.adapters._alembic import history as histories
from candlewick.ports.database import UnknownRevision

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

# Alembic's ``op`` is one proxy for the whole process: two services migrating on their threads at once must take turns.
ALEMBIC = threading.Lock()


def run(connection: "Connection", history: Path, revisions: histories.Revisions, wanted: str) -> None:
    """Do the steps from where the database is to ``wanted`` on a connection whose transaction the caller ends.
    Call it with ALEMBIC held. Raises UnknownRevision and whatever a step raises."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(history))

    def steps(current: str | Sequence[str] | None, _context: "MigrationContext") -> list[Any]:
        return _steps(script, revisions, _one(current), wanted)

    environment = EnvironmentContext(Config(), script, fn=steps)
    with environment:
        environment.configure(
            connection=connection, render_as_batch=True, transactional_ddl=True, transaction_per_migration=False
        )
        environment.run_migrations()


def _one(current: str | Sequence[str] | None) -> str:
    if isinstance(current, str):
        return current
    return current[0] if current else histories.BASE


def _steps(script: "ScriptDirectory", revisions: histories.Revisions, at: str, wanted: str) -> list[Any]:
    if at == wanted:
        return []
    if at != histories.BASE and at not in revisions.parents:
        raise UnknownRevision(
            f"the database is at a revision this version does not know, was {at!r}",
            hint="Start the version that wrote it, or a newer one",
        )
    if revisions.is_before(wanted, at):
        return list(script._downgrade_revs(wanted, at))
    return list(script._upgrade_revs(wanted, () if at == histories.BASE else (at,)))  # type: ignore[arg-type]
