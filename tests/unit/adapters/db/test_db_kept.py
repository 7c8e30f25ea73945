"""What the SQLite database keeps: over kill -9, with a full disk, with a damaged file, between processes."""
# ruff: noqa: PT012 (the disk fills up inside a loop)

import asyncio
import sqlite3
from pathlib import Path

import pytest

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.kernel.errors import StorageFull
from candlewick.ports.database import DatabaseCorrupt, DatabaseUnavailable, StatementRefused
from candlewick.testing.killing import killed_child, seeds

_CHILD = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.db.sqlite import SqliteDatabase

async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    await database.open()
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE IF NOT EXISTS pair (side TEXT, n INTEGER, PRIMARY KEY (side, n))")
        row = await tx.fetch_one("SELECT coalesce(max(n), -1) + 1 FROM pair")
    print("ready", flush=True)
    n = row[0]
    while True:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO pair VALUES ('left', :n)", {"n": n})
            await tx.execute("INSERT INTO pair VALUES ('right', :n)", {"n": n})
        print(n, flush=True)
        n += 1

asyncio.run(main())
"""


async def _opened(path: Path, **options: int | float) -> SqliteDatabase:
    database = SqliteDatabase(path, **options)  # type: ignore[arg-type]
    await database.open()
    return database


@pytest.mark.kill
def test_killed_transactions_are_whole_and_acknowledged_ones_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for seed in seeds(6):
        acknowledged = [int(line) for line in killed_child(_CHILD, [str(path)], seed=seed, least_s=0.0, most_s=0.3)]
        with sqlite3.connect(path) as connection:
            left = [n for (n,) in connection.execute("SELECT n FROM pair WHERE side = 'left' ORDER BY n")]
            right = [n for (n,) in connection.execute("SELECT n FROM pair WHERE side = 'right' ORDER BY n")]
        connection.close()
        assert left == right == list(range(len(left))), f"seed {seed}"
        assert set(acknowledged) <= set(left), f"seed {seed}"


async def test_a_full_disk_loses_nothing_accepted(tmp_path: Path) -> None:
    database = await _opened(tmp_path / "x.db", max_pages=40)
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, raw BLOB)")
    accepted = 0
    with pytest.raises(StorageFull) as full:
        while True:
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (:n, :raw)", {"n": accepted, "raw": bytes(3000)})
            accepted += 1
    assert full.value.code == "STORAGE_FULL"
    async with database.transaction() as tx:
        assert await tx.fetch_one("SELECT count(*) FROM t") == (accepted,)
        await tx.execute("DELETE FROM t WHERE n < 5")
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES (1000, :raw)", {"raw": bytes(3000)})
    await database.close()


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = await _opened(path)
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, raw BLOB)")
        await tx.execute_many("INSERT INTO t VALUES (:n, :raw)", [{"n": n, "raw": bytes(2000)} for n in range(200)])
    await database.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 40_000)
    database = await _opened(path)
    with pytest.raises(DatabaseCorrupt) as damaged:
        async with database.reading() as tx:
            await tx.fetch("SELECT sum(length(raw)) FROM t")
    assert damaged.value.code == "DATABASE_CORRUPT"
    await database.close()


async def test_something_else_than_a_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all " * 1000)
    with pytest.raises(DatabaseCorrupt):
        await _opened(path)
    with pytest.raises(DatabaseUnavailable):
        await _opened(tmp_path / "x.db" / "below a file.db")


async def test_a_lock_of_another_process_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = await _opened(path, busy_timeout_s=0.3)
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE t (n INTEGER)")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable) as busy:
        async with database.transaction():
            raise AssertionError("the lock was not seen")
    assert busy.value.code == "DATABASE_UNAVAILABLE"
    # Readers do not wait behind a writer that waits.
    waiting = asyncio.create_task(_insert(database))
    async with database.reading() as tx:
        assert await tx.fetch("SELECT n FROM t") == []
    other.execute("ROLLBACK")
    await waiting
    async with database.reading() as tx:
        assert await tx.fetch("SELECT n FROM t") == [(1,)]
    other.close()
    await database.close()


async def _insert(database: SqliteDatabase) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES (1)")


async def test_a_cancelled_wait_for_the_lock_leaves_it_free(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = await _opened(path)
    for _ in range(50):
        task = asyncio.create_task(_insert(database))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE t (n INTEGER)")
    await _insert(database)
    await database.close()


async def test_a_statement_cannot_end_the_transaction(tmp_path: Path) -> None:
    database = await _opened(tmp_path / "x.db")
    with pytest.raises(StatementRefused):
        async with database.transaction() as tx:
            await tx.execute("COMMIT")
    async with database.transaction() as tx:
        pass
    with pytest.raises(StatementRefused):
        await tx.fetch("SELECT 1")
    await database.close()
    with pytest.raises(DatabaseUnavailable):
        async with database.reading():
            raise AssertionError("a closed database was read")


async def test_durable_commits_wait_for_the_disk(tmp_path: Path) -> None:
    for durable, level in ((True, 2), (False, 1)):
        database = await _opened(tmp_path / f"{level}.db", durable=durable)
        async with database.transaction() as tx:
            assert await tx.fetch_one("PRAGMA synchronous") == (level,)
            assert await tx.fetch_one("PRAGMA foreign_keys") == (1,)
        await database.close()


async def test_more_readers_than_connections_take_turns(tmp_path: Path) -> None:
    database = await _opened(tmp_path / "x.db", readers=2)

    async def read() -> int:
        async with database.reading() as tx:
            await asyncio.sleep(0.005)
            row = await tx.fetch_one("SELECT 7")
        assert row is not None
        return int(row[0])

    assert await asyncio.gather(*(read() for _ in range(10))) == [7] * 10
    await database.close()
