"""The laws of ``ports.database``, for every adapter.

 1 A committed transaction survives a killed process.
 2 An exception rolls the whole transaction back and goes on.
 3 Of a transaction that was open when its process was killed nothing is there.
 4 A reader sees one consistent state for as long as it is open; the next one sees the newest.
 5 A reader neither waits for an open writer nor sees what it has not committed.
 6 Transactions that write are serialised or fail with Retryable: no update is lost.
 7 Cancelling a task inside a transaction rolls it back, and the next one goes on.
 8 A constraint refuses the row as ConstraintViolated and takes the whole transaction with it, also when caught inside.
 9 Parameters are ``:name``; int64, float, text, bytes and NULL come back as they went in.
10 ``execute`` returns the number of rows changed; ``fetch_one`` is None where there is nothing; conflicts are
   ``ON CONFLICT``.
11 A reader cannot write.
12 A statement at fault is StatementRefused and takes the whole transaction with it.
13 ``migrate`` goes up, down, to a revision and to base, says where it is, and keeps the rows that a step keeps.
14 A failing step is MigrationFailed and leaves the schema as it was.
15 A revision that the history does not hold is UnknownRevision and changes nothing.
16 Two processes that migrate at once both succeed, and each step is done once.
17 A healthy database's ``check`` is None.
18 Of all who want to be ``alone`` under one name one is at a time, and a killed one's turn passes on.
19 ``revision`` says where the schema is; ``tables`` names columns by kind and keys, those that others refer to first.
"""
# ruff: noqa: PT012 (what must raise is a whole transaction)

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from candlewick.kernel.errors import Rejected, Retryable
from candlewick.ports.database import (
    ConstraintViolated,
    Database,
    MigrationFailed,
    Row,
    StatementRefused,
    UnknownRevision,
    Value,
)
from candlewick.testing.conformance.database_history import write_history
from candlewick.testing.conformance.database_processes import DatabaseProcesses
from candlewick.testing.conformance.harness import Harness

_PATIENCE_S = 5.0


async def _ready(harness: Harness[Database]) -> Database:
    database = await harness.handle()
    await database.migrate(write_history(harness.scratch / "history"))
    return database


async def _put(database: Database, name: str, amount: int) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO account (name, amount) VALUES (:name, :amount)", {"name": name, "amount": amount})


async def _accounts(database: Database) -> list[Row]:
    async with database.reading() as tx:
        return await tx.fetch("SELECT name, amount FROM account ORDER BY name")


class DatabaseConformance(DatabaseProcesses):
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> Harness[Database]:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_a_commit_survives_a_kill(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        for i in range(20):
            await _put(database, f"a{i:02}", i)
        await harness.kill()
        assert await _accounts(await harness.handle()) == [(f"a{i:02}", i) for i in range(20)]

    async def test_02_an_exception_rolls_back_and_goes_on(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        await _put(database, "kept", 1)
        error = RuntimeError("on purpose")
        with pytest.raises(RuntimeError) as raised:
            async with database.transaction() as tx:
                await tx.execute("UPDATE account SET amount = 2")
                await tx.execute("INSERT INTO account (name, amount) VALUES ('lost', 1)")
                raise error
        assert raised.value is error
        assert await _accounts(database) == [("kept", 1)]

    async def test_03_an_open_transaction_dies_with_its_process(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        await _put(database, "kept", 1)
        transaction = database.transaction()
        tx = await transaction.__aenter__()
        await tx.execute_many(
            "INSERT INTO account (name, amount) VALUES (:name, 1)", [{"name": f"half {i}"} for i in range(100)]
        )
        await harness.kill()
        assert await _accounts(await harness.handle()) == [("kept", 1)]

    async def test_04_a_reader_sees_one_state(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        await _put(database, "a", 1)
        async with database.reading() as reader:
            before = await reader.fetch("SELECT name, amount FROM account ORDER BY name")
            await _put(database, "b", 2)
            again = await reader.fetch("SELECT name, amount FROM account ORDER BY name")
        assert before == again == [("a", 1)]
        assert await _accounts(database) == [("a", 1), ("b", 2)]

    async def test_05_a_reader_never_waits_for_a_writer(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        other = await harness.handle()
        await _put(database, "a", 1)
        async with AsyncExitStack() as stack:
            tx = await stack.enter_async_context(database.transaction())
            await tx.execute("UPDATE account SET amount = 2")
            for reader in (database, other):
                try:
                    seen = await asyncio.wait_for(_accounts(reader), _PATIENCE_S)
                except TimeoutError:
                    raise AssertionError("a reader waited for a writer") from None
                assert seen == [("a", 1)], "a reader saw what is not committed"

    async def test_06_no_update_is_lost(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        handles = [database, await harness.handle()]
        await _put(database, "counter", 0)
        done = 0

        async def count(handle: Database) -> None:
            nonlocal done
            for _ in range(10):
                with suppress(Retryable):
                    async with handle.transaction() as tx:
                        row = await tx.fetch_one("SELECT amount FROM account WHERE name = 'counter'")
                        assert row is not None
                        await asyncio.sleep(0)
                        await tx.execute("UPDATE account SET amount = :n WHERE name = 'counter'", {"n": row[0] + 1})
                    done += 1

        await asyncio.gather(*(count(handle) for handle in handles for _ in range(2)))
        assert done > 0
        assert await _accounts(database) == [("counter", done)]

    async def test_07_cancelling_rolls_back(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        inside = asyncio.Event()

        async def work() -> None:
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO account (name, amount) VALUES ('lost', 1)")
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        try:
            await asyncio.wait_for(_put(database, "next", 2), _PATIENCE_S)
        except TimeoutError:
            raise AssertionError("the cancelled transaction is still open") from None
        assert await _accounts(database) == [("next", 2)]

    async def test_08_a_constraint_takes_the_transaction_with_it(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        await _put(database, "a", 1)
        bad = [
            "INSERT INTO account (name, amount) VALUES ('a', 2)",
            "INSERT INTO account (name, amount) VALUES ('b', -1)",
            "INSERT INTO account (name, amount) VALUES ('b', NULL)",
        ]
        for statement in bad:
            with pytest.raises(ConstraintViolated):
                async with database.transaction() as tx:
                    await tx.execute("INSERT INTO account (name, amount) VALUES ('before', 1)")
                    await tx.execute(statement)
        with suppress(Rejected):
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO account (name, amount) VALUES ('before', 1)")
                with pytest.raises(ConstraintViolated):
                    await tx.execute(bad[0])
                await tx.execute("INSERT INTO account (name, amount) VALUES ('after', 1)")
        assert await _accounts(database) == [("a", 1)]

    async def test_09_values_come_back_as_they_went_in(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        rows: list[dict[str, Value]] = [
            {
                "name": "most",
                "big": (1 << 63) - 1,
                "real": 0.1,
                "words": "π 🕯 'quoted' :name",
                "raw": bytes(range(256)),
            },
            {"name": "least", "big": -(1 << 63), "real": -1e300, "words": "", "raw": b""},
            {"name": "odd", "big": (1 << 53) + 1, "real": 5e-324, "words": "line\nbreak", "raw": b"\x00"},
            {"name": "none", "big": None, "real": None, "words": None, "raw": None},
        ]
        async with database.transaction() as tx:
            await tx.execute_many(
                "INSERT INTO value (name, big, real, words, raw) VALUES (:name, :big, :real, :words, :raw)", rows
            )
        async with database.reading() as tx:
            for row in rows:
                found = await tx.fetch_one(
                    "SELECT name, big, real, words, raw FROM value WHERE name = :name", {"name": row["name"]}
                )
                assert found == tuple(row.values())

    async def test_10_what_statements_return(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        for name in "abc":
            await _put(database, name, 1)
        async with database.transaction() as tx:
            assert await tx.execute("UPDATE account SET amount = 5 WHERE name <> :name", {"name": "a"}) == 2
            assert await tx.execute("DELETE FROM account WHERE name = 'nobody'") == 0
            keep = "INSERT INTO account (name, amount) VALUES ('a', 9) ON CONFLICT (name) DO "
            assert await tx.execute(keep + "NOTHING") == 0
            assert await tx.execute(keep + "UPDATE SET amount = excluded.amount") == 1
            assert await tx.fetch_one("SELECT amount FROM account WHERE name = 'a'") == (9,)
            assert await tx.fetch_one("SELECT amount FROM account WHERE name = 'nobody'") is None
            assert await tx.fetch("SELECT name FROM account ORDER BY name DESC") == [("c",), ("b",), ("a",)]

    async def test_11_a_reader_cannot_write(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        with pytest.raises(Rejected):
            async with database.reading() as tx:
                await tx.execute("INSERT INTO account (name, amount) VALUES ('a', 1)")
        assert await _accounts(database) == []

    async def test_12_a_faulty_statement_takes_the_transaction_with_it(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        for statement in ("SELEC 1", "INSERT INTO nowhere VALUES (1)", "UPDATE account SET amount = :missing"):
            with pytest.raises(StatementRefused):
                async with database.transaction() as tx:
                    await tx.execute("INSERT INTO account (name, amount) VALUES ('before', 1)")
                    await tx.execute(statement)
        assert await _accounts(database) == []

    async def test_13_migrations_go_up_and_down(self, harness: Harness[Database]) -> None:
        database = await harness.handle()
        history = write_history(harness.scratch / "history")
        assert await database.migrate(history, "0001") == "0001"
        await _put(database, "kept", 1)
        assert await database.migrate(history) == "0002"
        assert await database.migrate(history) == "0002"
        async with database.reading() as tx:
            assert await tx.fetch("SELECT name, amount, note FROM account") == [("kept", 1, None)]
        assert await database.migrate(history, "0001") == "0001"
        assert await _accounts(database) == [("kept", 1)]
        with pytest.raises(StatementRefused):
            async with database.reading() as tx:
                await tx.fetch("SELECT note FROM account")
        assert await database.migrate(history, "base") == "base"
        with pytest.raises(StatementRefused):
            await _accounts(database)
        assert await database.migrate(history, "head") == "0002"

    async def test_14_a_failing_step_leaves_nothing_half_done(self, harness: Harness[Database]) -> None:
        database = await harness.handle()
        sound, failing = harness.scratch / "sound", harness.scratch / "failing"
        assert await database.migrate(write_history(sound), "0001") == "0001"
        with pytest.raises(MigrationFailed):
            await database.migrate(write_history(failing, failing=True))
        for statement in ("SELECT note FROM account", "SELECT id FROM half"):
            with pytest.raises(StatementRefused):
                async with database.reading() as tx:
                    await tx.fetch(statement)
        assert await _accounts(database) == []
        assert await database.migrate(sound) == "0002"

    async def test_15_an_unknown_revision_is_refused(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        await _put(database, "kept", 1)
        with pytest.raises(UnknownRevision):
            await database.migrate(harness.scratch / "history", "9999")
        assert await _accounts(database) == [("kept", 1)]

    async def test_16_two_processes_migrate_at_once(self, harness: Harness[Database]) -> None:
        history = write_history(harness.scratch / "history")
        handles = [await harness.handle() for _ in range(2)]
        results = await asyncio.gather(*(handle.migrate(history) for handle in handles), return_exceptions=True)
        assert results == ["0002", "0002"]
        await _put(handles[0], "a", 1)
        assert await _accounts(handles[1]) == [("a", 1)]

    async def test_17_a_healthy_database_has_nothing_to_say(self, harness: Harness[Database]) -> None:
        database = await _ready(harness)
        assert await database.check() is None
