"""Two versions of a service on one database: the older one goes on where the newer has only added."""

import pytest

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.app.runtime.schema import allows, bring_up
from candlewick.kernel.logging import logger
from candlewick.ports.database import UnknownRevision

STEP = """
import sqlalchemy as sa
from alembic import op

revision = "{own}"
down_revision = {before}
{more}

def upgrade() -> None:
    op.create_table("t{own}", sa.Column("id", sa.Integer, primary_key=True))


def downgrade() -> None:
    op.drop_table("t{own}")
"""


def history(folder, *, narrowing=()):
    """Versions 1, 2 and 3 of a schema; each knows the steps up to its own."""
    made = {}
    for last in (1, 2, 3):
        versions = folder / f"v{last}" / "versions"
        versions.mkdir(parents=True)
        for step in range(1, last + 1):
            before = repr(f"{step - 1:04}") if step > 1 else "None"
            more = "narrows = True" if step in narrowing else ""
            (versions / f"{step:04}_step.py").write_text(STEP.format(own=f"{step:04}", before=before, more=more))
        made[last] = folder / f"v{last}"
    return made


@pytest.fixture
async def database(tmp_path):
    made = SqliteDatabase(tmp_path / "service.db")
    await made.open()
    yield made
    await made.close()


async def tables(database):
    async with database.reading() as tx:
        rows = await tx.fetch("SELECT name FROM sqlite_schema WHERE name LIKE 't0%' ORDER BY name")
    return [row[0] for row in rows]


async def test_the_version_before_starts_on_a_database_that_was_only_added_to(database, tmp_path):
    steps = history(tmp_path)
    for version in (1, 3, 1, 2, 3, 1):
        await bring_up(database, steps[version], logger("test"))
    assert await tables(database) == ["t0001", "t0002", "t0003"]
    assert {table.name for table in await database.tables()} == {"t0001", "t0002", "t0003"}, "backups leave it out"


async def test_a_version_from_before_a_narrowing_step_is_refused_and_nothing_is_touched(database, tmp_path):
    steps = history(tmp_path, narrowing=(3,))
    for version in (1, 2, 1):
        await bring_up(database, steps[version], logger("test"))
    await bring_up(database, steps[3], logger("test"))
    for version in (1, 2):
        with pytest.raises(UnknownRevision):
            await bring_up(database, steps[version], logger("test"))
    assert await tables(database) == ["t0001", "t0002", "t0003"]
    await bring_up(database, steps[3], logger("test"))


def test_what_a_history_allows_ends_at_its_newest_narrowing_step(tmp_path):
    assert allows(history(tmp_path / "a")[3]) == {"0001", "0002", "0003"}
    assert allows(history(tmp_path / "b", narrowing=(2,))[3]) == {"0002", "0003"}
    assert allows(history(tmp_path / "c", narrowing=(3,))[3]) == {"0003"}
