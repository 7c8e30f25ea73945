"""What the PostgreSQL database adds to the port's laws: values, lost connections, commits whose answer was lost."""
# ruff: noqa: PT012 (what must raise is a whole transaction)

import asyncio
from collections.abc import AsyncIterator
from enum import IntEnum, StrEnum

import pytest

from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.kernel.errors import Retryable
from candlewick.ports.database import ConstraintViolated, DatabaseUnavailable, StatementRefused
from tests.postgres import as_admin, needs_postgres, url_of
from tests.relay import Relay, relayed

pytestmark = needs_postgres

_TABLE = "CREATE TABLE t (n BIGINT PRIMARY KEY, small INTEGER, words TEXT, real DOUBLE PRECISION, raw BYTEA)"


class Side(IntEnum):
    BUY = 1


class Kind(StrEnum):
    FIRST = "first"


@pytest.fixture
async def database(name: str) -> AsyncIterator[PostgresDatabase]:
    made = await _opened(url_of(name))
    async with made.transaction() as tx:
        await tx.execute(_TABLE)
    yield made
    await made.close()


@pytest.fixture
async def line(name: str, database: PostgresDatabase) -> AsyncIterator[tuple[Relay, PostgresDatabase]]:
    """The same database over a line that can be cut."""
    async with relayed(url_of(name)) as (relay, url):
        made = await _opened(url)
        yield relay, made
        await made.close()


async def _opened(url: str, **options: float) -> PostgresDatabase:
    made = PostgresDatabase(url, **options)  # type: ignore[arg-type]
    await made.open()
    return made


async def _put(database: PostgresDatabase, n: int) -> None:
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO t (n) VALUES (:n)", {"n": n})


async def _all(database: PostgresDatabase) -> list[int]:
    async with database.reading() as tx:
        return [row[0] for row in await tx.fetch("SELECT n FROM t ORDER BY n")]


async def test_values_have_the_types_they_have_on_sqlite(database: PostgresDatabase) -> None:
    async with database.transaction() as tx:
        await tx.execute_many(
            "INSERT INTO t (n, small, words, real, raw) VALUES (:n, :small, :words, :real, :raw)",
            [
                {"n": 1, "small": Side.BUY, "words": Kind.FIRST, "real": 0.5, "raw": None},
                {"n": (1 << 63) - 1, "small": True, "words": None, "real": None, "raw": memoryview(b"\x00\xff")},
                {"n": 3, "small": None, "words": "it's :n -- '", "real": 2, "raw": bytearray(b"")},
            ],
        )
        assert await tx.fetch("SELECT small, words, real, raw FROM t ORDER BY n") == [
            (1, "first", 0.5, None),
            (None, "it's :n -- '", 2.0, b""),
            (1, None, None, b"\x00\xff"),
        ]
        row = await tx.fetch_one("SELECT SUM(n), COUNT(*), AVG(small), MAX(n) > 1, SUM(small) FROM t WHERE n = 1")
        assert row == (1, 1, 1.0, 0, 1)
        assert type(row[0]) is int
        assert await tx.fetch_one("SELECT SUM(n) FROM t") == ((1 << 63) + 3,)
        one = await tx.fetch_one("SELECT :a, :b, :c, :d, :a + 1", {"a": 1, "b": "x", "c": 0.5, "d": None})
        assert one == (1, "x", 0.5, None, 2)


async def test_names_in_quotes_and_comments_are_no_parameters(database: PostgresDatabase) -> None:
    async with database.reading() as tx:
        found = await tx.fetch_one(
            """SELECT ':n', ":n", 1::int, $$:n$$ /* :n */ -- :n
            FROM (SELECT :n AS ":n") AS x""",
            {"n": 5, "unused": 1},
        )
    assert found == (":n", 5, 1, ":n")


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT :n", {"n": 1 << 63}),
        ("SELECT :n", {"n": object()}),
        ("INSERT INTO t (n, words) VALUES (1, :w)", {"w": "\x00"}),
        ("INSERT INTO t (n, small) VALUES (1, :n)", {"n": 1 << 40}),
        ("SELECT 1; SELECT 2", {}),
        ("COMMIT", {}),
        ("  rollback", {}),
        ("SAVEPOINT x", {}),
    ],
)
async def test_what_cannot_be_is_refused(database: PostgresDatabase, sql: str, params: dict[str, object]) -> None:
    with pytest.raises(StatementRefused):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO t (n) VALUES (7)")
            await tx.execute(sql, params)  # type: ignore[arg-type]
    assert await _all(database) == []


async def test_a_transaction_that_is_over_takes_nothing(database: PostgresDatabase) -> None:
    async with database.transaction() as tx:
        pass
    with pytest.raises(StatementRefused):
        await tx.fetch("SELECT 1")
    await database.close()
    with pytest.raises(DatabaseUnavailable):
        await _all(database)


async def test_a_statement_that_is_cancelled_leaves_nothing_and_its_connection_works(
    database: PostgresDatabase,
) -> None:
    async def sleeper() -> None:
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO t (n) VALUES (1)")
            await tx.fetch("SELECT pg_sleep(30)")

    for wait_s in (0.0, 0.001, 0.01, 0.05):
        task = asyncio.create_task(sleeper())
        await asyncio.sleep(wait_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await asyncio.wait_for(_put(database, 2), 2)
        assert await _all(database) == [2]
        async with database.transaction() as tx:
            assert await tx.execute("DELETE FROM t") == 1


async def test_a_cancelled_statement_ends_the_transaction_even_when_caught(database: PostgresDatabase) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO t (n) VALUES (1)")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tx.fetch("SELECT pg_sleep(30)"), 0.05)
    assert await _all(database) == []


async def test_errors_of_the_body_go_on_as_they_are(database: PostgresDatabase) -> None:
    for error in (TimeoutError("mine"), ConnectionResetError("mine"), KeyError("mine")):
        with pytest.raises(type(error)) as raised:
            async with database.transaction() as tx:
                await tx.execute("INSERT INTO t (n) VALUES (1)")
                raise error
        assert raised.value is error
    assert await _all(database) == []


async def test_deferred_constraints_are_told_at_the_commit(database: PostgresDatabase) -> None:
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE u (n BIGINT REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(ConstraintViolated):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO u VALUES (1)")
    async with database.reading() as tx:
        assert await tx.fetch("SELECT n FROM u") == []


async def test_writers_of_two_processes_take_turns(name: str, database: PostgresDatabase) -> None:
    other = await _opened(url_of(name), busy_timeout_s=0.3)
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO t (n) VALUES (1)")
        with pytest.raises(DatabaseUnavailable):
            await _put(other, 2)
    await _put(other, 3)
    await other.close()
    assert await _all(database) == [1, 3]


async def test_more_readers_than_connections_take_turns_and_the_writer_goes_on(name: str) -> None:
    database = await _opened(url_of(name), readers=2)

    async def read() -> int:
        async with database.reading() as tx:
            await tx.fetch("SELECT pg_sleep(0.01)")
            row = await tx.fetch_one("SELECT 7")
        assert row is not None
        return int(row[0])

    async with database.reading(), database.reading(), database.transaction() as tx:
        assert await tx.fetch_one("SELECT 1") == (1,)
    assert await asyncio.gather(*(read() for _ in range(10))) == [7] * 10
    await database.close()


async def test_ended_backends_are_replaced_without_a_word(name: str, database: PostgresDatabase) -> None:
    async with database.reading(), database.reading():
        assert await _all(database) == []
    for _ in range(3):
        await as_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert await _all(database) == []
        await as_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        async with database.transaction() as tx:
            assert await tx.fetch_one("SELECT 1") == (1,)
        assert await database.check() is None


async def test_a_backend_that_ends_inside_a_transaction_is_retryable(name: str, database: PostgresDatabase) -> None:
    with pytest.raises(Retryable):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO t (n) VALUES (1)")
            await as_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            await tx.execute("INSERT INTO t (n) VALUES (2)")
    await _put(database, 3)
    assert await _all(database) == [3]


async def test_a_commit_whose_answer_was_lost_is_known(line: tuple[Relay, PostgresDatabase]) -> None:
    relay, database = line
    for n in range(5):
        relay.swallow_after = b"COMMIT"
        await _put(database, n)
        assert await _all(database) == list(range(n + 1))
    assert relay.cuts == 5


async def test_a_commit_that_never_arrived_is_no_commit(name: str, line: tuple[Relay, PostgresDatabase]) -> None:
    relay, database = line
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO t (n) VALUES (1)")
            relay.cut()
            await as_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert await _all(database) == []


async def test_a_server_that_is_away_is_told_at_once_and_found_again(line: tuple[Relay, PostgresDatabase]) -> None:
    relay, database = line
    relay.is_down = True
    relay.cut()
    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(_put(database, 1), 2)
    assert "was '127.0.0.1:" in str(await database.check())
    relay.is_down = False
    await _put(database, 2)
    assert await _all(database) == [2]


async def test_messages_never_hold_the_password() -> None:
    for url in ("postgresql://someone:s3cret@127.0.0.1:1/x", "postgresql://someone:s3cret@127.0.0.1:1/x?connect=1"):
        with pytest.raises(DatabaseUnavailable) as away:
            await _opened(url)
        assert "s3cret" not in str(away.value)
        assert "127.0.0.1:1/x" in str(away.value)


async def test_a_schema_changed_behind_its_back_is_retryable(name: str, database: PostgresDatabase) -> None:
    await _put(database, 1)
    async with database.reading() as tx:
        await tx.fetch("SELECT * FROM t")
    await as_admin("ALTER TABLE t ADD COLUMN extra BIGINT", database=name)
    for _ in range(2):
        try:
            async with database.reading() as tx:
                (row,) = await tx.fetch("SELECT * FROM t")
        except Retryable:
            continue
        assert len(row) == 6
        return
    raise AssertionError("the old plan was kept")
