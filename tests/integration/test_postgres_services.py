"""One database and role a service, and every service's schema history on PostgreSQL, up and down, full of rows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

import candlewick.services
from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.adapters.db.postgres.provisioning import BadServiceName, deprovision, provision
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.database import ConstraintViolated, StatementRefused
from tests.postgres import ADMIN_URL, as_admin, free_database, needs_postgres, new_database, url_of

pytestmark = needs_postgres

_SERVICES = Path(candlewick.services.__file__).parent
HISTORIES = sorted(folder for folder in _SERVICES.glob("*/schema") if any(folder.glob("versions/*.py")))
_ROWS = 5000


@pytest.fixture
async def prefix() -> AsyncIterator[str]:
    made = f"t{uuid4().hex[:8]}_"
    yield made
    for service in ("market", "history"):
        await deprovision(str(ADMIN_URL), service, prefix=made)


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [row[0] for row in rows]
    finally:
        await connection.close()


async def test_a_service_cannot_read_another_ones_tables(prefix: str) -> None:
    admin = str(ADMIN_URL)
    urls = {name: await provision(admin, name, f"of {name}'s", prefix=prefix) for name in ("market", "history")}
    for name, url in urls.items():
        own = PostgresDatabase(url)
        await own.open()
        await own.migrate(_SERVICES / name / "schema")
        async with own.transaction() as tx:
            assert await tx.fetch_one("SELECT current_user, current_database()") == (f"{prefix}{name}",) * 2
        assert await own.check() is None
        await own.close()
    market, history = urlsplit(urls["market"]), urlsplit(urls["history"])
    stranger = PostgresDatabase(market._replace(path=history.path).geturl())
    with pytest.raises(StatementRefused, match="permission denied for database"):
        await stranger.open()
    # Nor by a way around: no table of the other one is to be seen, no role to be taken, no database to be made.
    own = PostgresDatabase(urls["market"])
    await own.open()
    for statement in (
        "SELECT * FROM gaps",
        f'SELECT * FROM "{prefix}history".public.gaps',
        f'SET ROLE "{prefix}history"',
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        f'CREATE DATABASE "{prefix}more"',
        f'CREATE ROLE "{prefix}more"',
    ):
        with pytest.raises(StatementRefused):
            async with own.transaction() as tx:
                await tx.execute(statement)
    await own.close()


async def test_provisioning_may_be_repeated_also_at_once(prefix: str) -> None:
    admin = str(ADMIN_URL)
    urls = await asyncio.gather(*(provision(admin, "market", "first", prefix=prefix) for _ in range(4)))
    assert set(urls) == {urls[0]}
    await as_admin("CREATE TABLE kept (n int)", database=f"{prefix}market")
    again = await provision(admin, "market", "se/cond@", prefix=prefix)
    assert urlsplit(again).password == "se%2Fcond%40"
    assert await _tables(again) == ["kept"]
    for name in ("Market", "a b", '"x"', "x" * 60, ""):
        with pytest.raises(BadServiceName):
            await provision(admin, name, "x", prefix="p-")


async def _filled(url: str, table: str) -> int:
    """Put rows into a table as its columns want them; returns how many. References are made for rows that exist."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position",
            table,
        )
        values = {
            "text": "'value ' || i",
            "character varying": "'value ' || i",
            "bigint": "1000000 + i * {at}",
            "integer": "i + {at}",
            "smallint": "i % 100",
            "double precision": "i / 3.0",
            "numeric": "i",
            "boolean": "i % 2 = 0",
            "bytea": "decode('00ff', 'hex')",
        }
        chosen = [values[column["data_type"]].format(at=at) for at, column in enumerate(columns, 1)]
        # Half of what may be absent is.
        chosen = [
            f"CASE WHEN i % 2 = 0 THEN {value} END" if column["is_nullable"] == "YES" else value
            for value, column in zip(chosen, columns, strict=True)
        ]
        status = await connection.execute(
            f'INSERT INTO "{table}" SELECT {", ".join(chosen)} FROM generate_series(1, {_ROWS}) AS i'
        )
        return int(status.split()[-1])
    finally:
        await connection.close()


async def _in_order(url: str) -> list[str]:
    """Tables but Alembic's own, those that others refer to first."""
    connection = await asyncpg.connect(url)
    try:
        references = await connection.fetch(
            "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        )
    finally:
        await connection.close()
    left = [name for name in await _tables(url) if name != "alembic_version"]
    ordered: list[str] = []
    while left:
        free = [n for n in left if not any(a == n and b in left and b != n for a, b in references)]
        assert free, f"tables refer to one another in a circle: {left}"
        ordered += free
        left = [n for n in left if n not in free]
    return ordered


def _revisions(history: Path) -> list[str]:
    from candlewick.adapters._alembic.history import read

    found = read(history)
    return sorted(found.parents, key=lambda one: sum(found.is_before(other, one) for other in found.parents))


def test_every_service_with_a_schema_is_here() -> None:
    assert {folder.parent.name for folder in HISTORIES} >= {"market", "history", "collector"}


@pytest.mark.parametrize("history", HISTORIES, ids=lambda folder: folder.parent.name)
async def test_the_history_goes_up_and_down_on_a_database_full_of_rows(history: Path) -> None:
    name = await new_database()
    database = PostgresDatabase(url_of(name))
    await database.open()
    try:
        revisions = _revisions(history)
        filled: dict[str, int] = {}
        oldest: set[str] = set()
        for revision in revisions:
            assert await database.migrate(history, revision) == revision
            oldest = oldest or set(await _in_order(url_of(name)))
            for table in await _in_order(url_of(name)):
                if table not in filled:
                    filled[table] = await _filled(url_of(name), table)
        assert all(count == _ROWS for count in filled.values())
        for revision in [*revisions[-2::-1], *revisions[1:]]:
            assert await database.migrate(history, revision) == revision
        # A table that a later step made has gone with that step.
        await _kept(database, {table: count for table, count in filled.items() if table in oldest})
        assert await database.migrate(history, "base") == "base"
        assert await _in_order(url_of(name)) == []
        assert await database.migrate(history) == revisions[-1]
    finally:
        await database.close()
        await free_database(name)


async def _kept(database: Any, filled: dict[str, int]) -> None:
    async with database.reading() as tx:
        for table, count in filled.items():
            assert await tx.fetch_one(f'SELECT count(*) FROM "{table}"') == (count,), table


async def test_a_step_that_the_rows_refuse_changes_nothing(tmp_path: Path) -> None:
    from candlewick.testing.conformance.database_history import write_history

    history = write_history(tmp_path / "history")
    (history / "versions" / "0003_unique.py").write_text(
        'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "0003"\ndown_revision = "0002"\n\n\n'
        'def upgrade():\n    op.add_column("account", sa.Column("more", sa.Text))\n'
        '    op.create_index("one_amount", "account", ["amount"], unique=True)\n\n\n'
        'def downgrade():\n    op.drop_column("account", "more")\n'
    )
    name = await new_database()
    database = PostgresDatabase(url_of(name))
    await database.open()
    try:
        await database.migrate(history, "0002")
        async with database.transaction() as tx:
            await tx.execute_many(
                "INSERT INTO account (name, amount) VALUES (:name, 1)", [{"name": f"{i}"} for i in range(100)]
            )
        with pytest.raises(CandlewickError, match="could not be brought to '0003'"):
            await database.migrate(history)
        assert await database.migrate(history, "0002") == "0002"
        with pytest.raises(StatementRefused):
            async with database.reading() as tx:
                await tx.fetch("SELECT more FROM account")
        with pytest.raises(ConstraintViolated):
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO account (name, amount) VALUES ('0', 1)")
    finally:
        await database.close()
        await free_database(name)
