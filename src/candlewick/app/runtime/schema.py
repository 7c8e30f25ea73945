"""A service's schema at a start: brought to this version's, or left as a newer version made it where this one can live
with that.

While two versions of a service run side by side, and after a rollback, the older one meets a database that the newer
one has stepped on. So a step adds, and takes nothing away that the version before uses; one that does says ``narrows =
True`` beside its ``revision``, and is for the release after the one that stopped using it. Which versions may use a
database stands in the database itself: an older one does not know the newer one's steps.
"""

import re
from pathlib import Path
from typing import Any, Final

from candlewick.adapters._alembic import history as histories
from candlewick.ports.database import Database, UnknownRevision

# The schema history's own, as ``alembic_version`` is: ``Database.tables`` leaves it out, so backups do.
_MADE: Final = "CREATE TABLE IF NOT EXISTS schema_allows (revision TEXT PRIMARY KEY)"
_NARROWS: Final = re.compile(r"^narrows = True$", re.MULTILINE)


async def bring_up(database: Database, history: Path, logger: Any) -> None:
    """Raises MigrationFailed, StorageFull, DatabaseUnavailable, and UnknownRevision for a database of a newer version
    that has taken away what this one uses."""
    try:
        await database.migrate(history)
    except UnknownRevision as error:
        head = histories.read(history).head()
        async with database.reading() as tx:
            rows = await tx.fetch("SELECT revision FROM schema_allows WHERE revision = :head", {"head": head})
        if not rows:
            raise
        logger.warning("a newer version's schema is used, which this version may", own=head, detail=error.detail)
        return
    allowed = allows(history)
    async with database.transaction() as tx:
        await tx.execute(_MADE)
        known = {row[0] for row in await tx.fetch("SELECT revision FROM schema_allows")}
        for revision in known - allowed:
            await tx.execute("DELETE FROM schema_allows WHERE revision = :revision", {"revision": revision})
        for revision in allowed - known:
            await tx.execute("INSERT INTO schema_allows (revision) VALUES (:revision)", {"revision": revision})


def allows(history: Path) -> frozenset[str]:
    """The revisions whose versions may use a database at the head of ``history``."""
    revisions = histories.read(history)
    found, open_ = set[str](), [revisions.head()]
    while open_:
        one = open_.pop()
        if one in found or one == histories.BASE:
            continue
        found.add(one)
        if not _narrows(history, one):
            open_ += revisions.parents[one]
    return frozenset(found)


def _narrows(history: Path, revision: str) -> bool:
    said = re.compile(rf"""^revision(?:: str)? = ["']{re.escape(revision)}["']$""", re.MULTILINE)
    texts = (file.read_text() for file in (history / "versions").glob("*.py"))
    return any(said.search(text) and _NARROWS.search(text) for text in texts)
