"""Two processes on one database file: nobody's update is lost, a schema is brought up once."""

import subprocess
import sys
from pathlib import Path

import pytest

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.testing.conformance.database_history import write_history

_CHILD = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.db.sqlite import SqliteDatabase

async def main():
    database = SqliteDatabase(Path(sys.argv[1]), busy_timeout_s=30)
    await database.open()
    assert await database.migrate(Path(sys.argv[2])) == "0002"
    for _ in range(60):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO account (name, amount) VALUES ('n', 0) ON CONFLICT (name) DO NOTHING")
            row = await tx.fetch_one("SELECT amount FROM account WHERE name = 'n'")
            await tx.execute("UPDATE account SET amount = :n WHERE name = 'n'", {"n": row[0] + 1})
    await database.close()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_processes_share_a_file(tmp_path: Path) -> None:
    path, history = tmp_path / "x.db", write_history(tmp_path / "schema")
    command = [sys.executable, "-c", _CHILD, str(path), str(history)]
    children = [subprocess.Popen(command) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    database = SqliteDatabase(path)
    await database.open()
    async with database.reading() as tx:
        assert await tx.fetch_one("SELECT amount FROM account WHERE name = 'n'") == (180,)
    await database.close()
