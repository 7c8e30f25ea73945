"""Laws 18 and 19 of ``database``: one process alone at a time, and what a database says of itself."""

import asyncio
from collections.abc import Callable

import pytest

from candlewick.ports.database import Database, StatementRefused
from candlewick.testing.conformance.database_history import write_history
from candlewick.testing.conformance.harness import Harness

_PATIENCE_S = 5.0


class DatabaseProcesses:
    """Every test takes a fresh harness."""

    async def test_18_one_is_alone_at_a_time(self, harness: Harness[Database]) -> None:
        inside: list[str] = []
        tasks: list[asyncio.Task[None]] = []

        async def stay(database: Database, name: str, who: str) -> None:
            async with database.alone(name):
                inside.append(who)
                try:
                    await asyncio.Event().wait()
                finally:
                    inside.remove(who)

        async def enter(who: str, name: str = "relay") -> None:
            tasks.append(asyncio.ensure_future(stay(await harness.handle(), name, who)))

        try:
            await enter("first")
            await _until(lambda: inside == ["first"], "the first is alone")
            await enter("second")
            await enter("apart", "another name")
            await _until(lambda: "apart" in inside, "another name does not wait")
            await asyncio.sleep(0.5)
            assert "second" not in inside
            tasks[0].cancel()
            await _until(lambda: "second" in inside, "the first has left")
            await harness.kill()
            await enter("third")
            await _until(lambda: "third" in inside, "the second was killed")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def test_19_it_describes_itself(self, harness: Harness[Database]) -> None:
        database = await harness.handle()
        assert (await database.revision(), await database.tables()) == ("base", [])
        await database.migrate(write_history(harness.scratch / "history"))
        assert await database.revision() == "0002"
        async with database.transaction() as tx:
            await tx.execute(
                "CREATE TABLE a_leaf (part INTEGER, account TEXT REFERENCES account (name), is_open BOOLEAN, "
                "raw BYTEA, PRIMARY KEY (account, part))"
            )
            await tx.execute("CREATE TABLE bare (words VARCHAR(9), number DOUBLE PRECISION)")
        found = await database.tables()
        assert [table.name for table in found] == ["account", "bare", "value", "a_leaf"]
        described = {table.name: [(one.name, one.kind) for one in table.columns] for table in found}
        assert described == {
            "account": [("name", "text"), ("amount", "integer"), ("note", "text")],
            "bare": [("words", "text"), ("number", "real")],
            "value": [("name", "text"), ("big", "integer"), ("real", "real"), ("words", "text"), ("raw", "blob")],
            "a_leaf": [("part", "integer"), ("account", "text"), ("is_open", "truth"), ("raw", "blob")],
        }
        assert [table.key for table in found] == [("name",), (), ("name",), ("account", "part")]
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE odd (at TIMESTAMP)")
        with pytest.raises(StatementRefused):
            await database.tables()


async def _until(condition: Callable[[], bool], what: str) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + _PATIENCE_S
    while not condition():
        assert clock() < deadline, f"waited in vain until {what}"
        await asyncio.sleep(0.01)
