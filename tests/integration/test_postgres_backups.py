"""Backups of a service on PostgreSQL, back into an empty server, and to and fro between the profiles."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.adapters.db.postgres.provisioning import deprovision, provision
from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.adapters.objects.local import LocalObjects
from candlewick.app.registry import load
from candlewick.app.runtime.backups.archive import Archive
from candlewick.app.runtime.backups.restoring import restore
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.backups import NotEmpty
from candlewick.testing import servers
from candlewick.testing.conformance.candles import assert_same, candles
from tests.backups import SCHEMA, Died, fill, rows_of
from tests.postgres import ADMIN_URL, free_database, needs_postgres, new_database, url_of

pytestmark = needs_postgres

_EVER = 1 << 62


@asynccontextmanager
async def archive(kept: Path, database: Any, store: Any, **options: Any) -> AsyncIterator[Archive]:
    objects = LocalObjects(kept, SystemClock(), SystemIds())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(objects.close)
        for one in (database, store):
            await one.open()
            stack.push_async_callback(one.close)
        yield Archive("history", database=database, store=store, objects=objects, clock=SystemClock(), **options)


@pytest.fixture
async def names() -> AsyncIterator[list[str]]:
    made = [await new_database() for _ in range(2)]
    yield made
    for name in made:
        await free_database(name)


def on_server(name: str) -> Sequence[Any]:
    return PostgresDatabase(url_of(name)), PostgresCandleStore(url_of(name))


def in_folder(folder: Path) -> Sequence[Any]:
    folder.mkdir(exist_ok=True)
    return SqliteDatabase(folder / "db"), SqliteCandleStore(folder / "candles")


async def test_into_an_empty_server_every_checksum_is_the_same(tmp_path: Path, names: list[str]) -> None:
    async with archive(tmp_path, *on_server(names[0])) as ours, archive(tmp_path, *on_server(names[1])) as theirs:
        await fill(ours, gaps=12_000, bars=2000)
        manifest = await ours.back_up()
        done = await restore(theirs, SCHEMA)
        assert done.checksums == {table.name: table.checksum for table in manifest.tables}
        for table in ("gaps", "pending", "coverage", "outbox", "inbox_position"):
            assert await rows_of(theirs, table) == await rows_of(ours, table), table
        assert theirs.store is not None
        assert_same(await theirs.store.range("binance", "ETH-USDT", 60, 0, _EVER), candles(2000))
        with pytest.raises(NotEmpty):
            await restore(theirs, SCHEMA)


async def test_from_one_profile_to_the_other_and_back(tmp_path: Path, names: list[str]) -> None:
    """SQLite to PostgreSQL to SQLite: the same rows, the same files."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(archive(tmp_path / "1", *in_folder(tmp_path / "a")))
        server = await stack.enter_async_context(archive(tmp_path / "1", *on_server(names[0])))
        again = await stack.enter_async_context(archive(tmp_path / "2", *on_server(names[0])))
        last = await stack.enter_async_context(archive(tmp_path / "2", *in_folder(tmp_path / "b")))
        await fill(first)
        made = await first.back_up()
        await restore(server, SCHEMA)
        back = await again.back_up()
        await restore(last, SCHEMA)
        for table in ("gaps", "pending", "outbox", "inbox_position"):
            assert await rows_of(last, table) == await rows_of(first, table), table
        assert last.store is not None
        assert_same(await last.store.range("binance", "BTC-USDT", 60, 0, _EVER), candles(300))
        # The numbers of messages went on, so that table alone differs.
        same = {"gaps", "pending", "coverage", "outbox", "inbox_position", "inbox_sequence"}
        keys = [{(t.name, f.key) for t in one.tables if t.name in same for f in t.files} for one in (made, back)]
        assert keys[0] == keys[1]
        assert {one.file.key for one in made.candles} == {one.file.key for one in back.candles}


async def test_one_instant_though_others_write(tmp_path: Path, names: list[str]) -> None:
    """Each writer's transaction adds to two tables; no backup has one half of it."""
    writing = PostgresDatabase(url_of(names[0]))
    await writing.open()
    async with archive(tmp_path, *on_server(names[0])) as ours:
        await fill(ours)

        async def write() -> None:
            for at in range(1000):
                async with writing.transaction() as tx:
                    await tx.execute(
                        "INSERT INTO gaps SELECT :id, exchange, symbol, start_ns, end_ns, reason, state, "
                        "trades_missing, detail, detected_at, closed_at, tries, delays, repaired, empty "
                        "FROM gaps WHERE id = 'gap 0'",
                        {"id": f"new {at}"},
                    )
                    await tx.execute("INSERT INTO pending VALUES (:id, 60, 1, 2, 3)", {"id": f"new {at}"})

        task = asyncio.ensure_future(write())
        for _ in range(3):
            made = {table.name: table.rows for table in (await ours.back_up()).tables}
            assert made["gaps"] == made["pending"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await writing.close()


@pytest.mark.parametrize("step", ["restored candles", "restored table", "restored tables"])
async def test_a_restore_that_dies_leaves_nothing_half(tmp_path: Path, names: list[str], step: str) -> None:
    def die(reached: str) -> None:
        if reached == step:
            raise Died

    async with archive(tmp_path, *in_folder(tmp_path / "a")) as ours:
        await fill(ours)
        manifest = await ours.back_up()
    database, store = on_server(names[0])
    async with archive(tmp_path, database, store) as dying:
        with pytest.raises(Died):
            await restore(dying, SCHEMA, on_step=die)
        database.abandon()
        store.abandon()
    async with archive(tmp_path, *on_server(names[0])) as theirs:
        assert theirs.database is not None
        if step != "restored candles":
            assert await rows_of(theirs, "gaps") == []
        done = await restore(theirs, SCHEMA)
        assert done.checksums == {table.name: table.checksum for table in manifest.tables}
        assert theirs.store is not None
        assert_same(await theirs.store.range("binance", "ETH-USDT", 60, 0, _EVER), candles(300))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(servers.address("s3") is None, reason=servers.why_not("s3") or "there")
async def test_the_commands_over_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``candlewick backup`` and ``restore`` of two services from one set of databases to another."""
    first, second = (f"t{uuid4().hex[:8]}" for _ in range(2))
    admin = str(ADMIN_URL)
    services = ("market", "history")
    try:
        urls = {
            prefix: {name: await provision(admin, name, "w", prefix=f"candlewick_{prefix}_") for name in services}
            for prefix in (first, second)
        }
        history, store = PostgresDatabase(urls[first]["history"]), PostgresCandleStore(urls[first]["history"])
        async with archive(tmp_path, history, store) as ours:
            await fill(ours)
        market = PostgresDatabase(urls[first]["market"])
        await market.open()
        schema = load("market").schema
        assert schema is not None
        await market.migrate(schema)
        await market.close()
        monkeypatch.setenv("CANDLEWICK_CLUSTER__S3_URL", str(servers.address("s3")))
        monkeypatch.setenv("CANDLEWICK_CLUSTER__S3_STYLE", "folders")
        monkeypatch.setenv("CANDLEWICK_CLUSTER__PREFIX", f"{first}.")

        async def told(*arguments: str, prefix: str) -> Any:
            given = [*arguments, "--profile", "cluster", "--json", "--data-dir", str(tmp_path)]
            given += [word for name, url in urls[prefix].items() for word in ("--url", f"{name}={url}")]
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "candlewick.app.cli.main", *given, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await child.communicate()
            assert child.returncode == 0
            return json.loads(out)

        made = await told("backup", *services, prefix=first)
        assert [one["service"] for one in made["backups"]] == ["history", "market"]
        done = await told("restore", "--service", "history", "--service", "market", prefix=second)
        assert [one["checksums"] for one in done["restored"]] == [one["checksums"] for one in made["backups"]]
        assert sum(one["rows"] for one in done["restored"]) > 100
    finally:
        for prefix in (first, second):
            for name in services:
                await deprovision(admin, name, prefix=f"candlewick_{prefix}_")
