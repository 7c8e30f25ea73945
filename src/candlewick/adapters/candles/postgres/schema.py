"""The tables of the candle store, and the partitions that come and go with the days.

Everything lies in the schema ``candles``. A timeframe has a table of its own, partitioned by range of open time: a
partition holds a day, or for timeframes above 1 m the fewest days (a power of two) that hold 1440 candles. Its primary
key serves a series' windows, its BRIN index an instant over all series. ``held`` counts what a series has in a
partition, so that a reader touches only those and nobody counts rows.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import translating
from candlewick.adapters.candles.postgres.wire import COLUMNS, TYPES
from candlewick.kernel.clock import NS_PER_SECOND

#: Advisory lock of whoever makes or drops tables here.
TABLES = 0x43414E444C4511

DAY_NS = 86_400 * NS_PER_SECOND
_LEAST_ROWS = 1440
# Each new partition takes three locks until its transaction ends; the server's table has a few thousand.
_A_TRANSACTION = 32

_STEPS = (
    """
    CREATE TABLE candles.series (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, exchange text NOT NULL, symbol text NOT NULL,
        timeframe_s integer NOT NULL, price_scale smallint NOT NULL, size_scale smallint NOT NULL,
        UNIQUE (exchange, symbol, timeframe_s)
    );
    CREATE TABLE candles.partition (
        timeframe_s integer NOT NULL, start_ns bigint NOT NULL, end_ns bigint NOT NULL, name text NOT NULL UNIQUE,
        PRIMARY KEY (timeframe_s, start_ns)
    );
    CREATE TABLE candles.held (
        series integer NOT NULL REFERENCES candles.series, start_ns bigint NOT NULL, records bigint NOT NULL,
        first_ns bigint NOT NULL, last_ns bigint NOT NULL, PRIMARY KEY (series, start_ns)
    ) WITH (fillfactor = 70);
    CREATE TABLE candles.mark (name text PRIMARY KEY, number bigint NOT NULL);
    """,
)


def span_ns(timeframe_s: int) -> int:
    """How much time one partition covers."""
    days = 1
    while days * 86_400 // timeframe_s < _LEAST_ROWS:
        days *= 2
    return days * DAY_NS


def table_of(timeframe_s: int) -> str:
    """The timeframe's partitioned table."""
    return f"candles.candle_{timeframe_s}"


async def prepare(connections: Connections) -> None:
    """Bring the schema to this version, once, whoever comes first. Raises DatabaseUnavailable."""
    async with connections.writing() as connection:
        with translating(connections.where):
            await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
            if await connection.fetchval("SELECT to_regclass('candles.version') IS NULL"):
                await connection.execute(
                    "CREATE SCHEMA IF NOT EXISTS candles; CREATE TABLE candles.version (step integer NOT NULL)"
                )
            done = await connection.fetchval("SELECT count(*) FROM candles.version")
            for number, step in enumerate(_STEPS[done:], done + 1):
                await connection.execute(step)
                await connection.execute("INSERT INTO candles.version VALUES ($1)", number)
            await connection.execute("COMMIT")


class Partitions:
    """Makes what an append needs, and remembers what it saw."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known: set[tuple[int, int]] = set()
        self._turn = asyncio.Lock()

    def forget(self) -> None:
        """Somebody dropped partitions: look again."""
        self._known.clear()

    async def ensure(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Make the missing ones of (timeframe, start). Empty ones do no harm to anybody, so this is no part of the
        append's own transaction and keeps nobody waiting for its end. Raises DatabaseUnavailable."""
        missing = sorted(set(wanted) - self._known)
        if not missing:
            return
        async with self._turn:
            for at in range(0, len(missing), _A_TRANSACTION):
                some = missing[at : at + _A_TRANSACTION]
                async with self._connections.writing() as connection:
                    with translating(self._connections.where):
                        await _make(connection, some)
                        await connection.execute("COMMIT")
                self._known.update(some)


async def _make(connection: Any, wanted: list[tuple[int, int]]) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
    frames, starts = [one[0] for one in wanted], [one[1] for one in wanted]
    there = await connection.fetch(
        "SELECT timeframe_s, start_ns FROM candles.partition "
        "JOIN unnest($1::integer[], $2::bigint[]) AS wanted (timeframe_s, start_ns) USING (timeframe_s, start_ns)",
        frames,
        starts,
    )
    missing = sorted(set(wanted) - {tuple(row) for row in there})
    for timeframe_s in {frame for frame, _ in missing}:
        table = table_of(timeframe_s)
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", table):
            columns = ", ".join(f"{name} {TYPES[name]} NOT NULL" for name in COLUMNS)
            await connection.execute(
                f"CREATE TABLE {table} ({columns}, PRIMARY KEY (series, open_time, revision, origin)) "
                f"PARTITION BY RANGE (open_time); CREATE INDEX ON {table} USING brin (open_time)"
            )
    for timeframe_s, start in missing:
        # Made apart and attached: CREATE ... PARTITION OF would wait for every reader of the table.
        name = f"candle_{timeframe_s}_{_date(start)}"
        end = start + span_ns(timeframe_s)
        await connection.execute(
            f"CREATE TABLE candles.{name} (LIKE {table_of(timeframe_s)} INCLUDING ALL); "
            f"ALTER TABLE {table_of(timeframe_s)} ATTACH PARTITION candles.{name} "
            f"FOR VALUES FROM ({start}) TO ({end})"
        )
        await connection.execute("INSERT INTO candles.partition VALUES ($1, $2, $3, $4)", timeframe_s, start, end, name)


def _date(start_ns: int) -> str:
    return str(np.datetime64(start_ns // DAY_NS, "D")).replace("-", "")
