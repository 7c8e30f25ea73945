"""Schema histories: read by syntax, applied with Alembic, skipped without importing it."""

import subprocess
import sys
from pathlib import Path

import pytest

from candlewick.adapters._alembic import history
from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.ports.database import MigrationFailed, UnknownRevision
from candlewick.testing.conformance.database_history import write_history

_AT_HEAD = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.db.sqlite import SqliteDatabase

async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    await database.open()
    assert await database.migrate(Path(sys.argv[2])) == "0002"
    await database.close()
    assert "alembic" not in sys.modules and "sqlalchemy" not in sys.modules

asyncio.run(main())
"""


async def test_a_schema_at_the_head_does_not_import_alembic(tmp_path: Path) -> None:
    folder, path = write_history(tmp_path / "schema"), tmp_path / "x.db"
    database = SqliteDatabase(path)
    await database.open()
    await database.migrate(folder)
    await database.close()
    subprocess.run([sys.executable, "-c", _AT_HEAD, str(path), str(folder)], check=True)


def _revision(folder: Path, revision: str, down: str) -> None:
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "versions" / f"{revision}.py").write_text(f"revision = {revision!r}\ndown_revision = {down}\n")


def test_the_graph_is_read_by_syntax(tmp_path: Path) -> None:
    _revision(tmp_path, "a", "None")
    _revision(tmp_path, "b", "'a'")
    _revision(tmp_path, "c", "'a'")
    _revision(tmp_path, "d", "('b', 'c')")
    graph = history.read(tmp_path)
    assert graph.head() == "d"
    assert [graph.is_before(one, "d") for one in ("base", "a", "b", "c", "d")] == [True, True, True, True, False]
    assert not graph.is_before("b", "c")
    assert graph.resolve("base") == "base"
    with pytest.raises(UnknownRevision):
        graph.resolve("e")


def test_two_heads_and_missing_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(MigrationFailed):
        history.read(tmp_path)
    _revision(tmp_path, "a", "None")
    _revision(tmp_path, "b", "None")
    with pytest.raises(MigrationFailed, match="one head"):
        history.read(tmp_path).head()
    (tmp_path / "versions" / "c.py").write_text("revision = 'c'\n")
    with pytest.raises(MigrationFailed, match="down_revision"):
        history.read(tmp_path)


async def test_a_database_of_a_newer_version_is_told(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db")
    await database.open()
    folder = write_history(tmp_path / "schema")
    await database.migrate(folder)
    (folder / "versions" / "0002_second.py").unlink()
    with pytest.raises(UnknownRevision) as unknown:
        await database.migrate(folder)
    assert "'0002'" in unknown.value.detail
    await database.close()
