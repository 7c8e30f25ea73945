"""Candles in PostgreSQL's own partitions: a day or more each, a BRIN index, retention by dropping.

A partition's primary key serves a series' windows, its BRIN index an instant over all series. ``candles.partition``
lists them.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import translating
from candlewick.adapters.candles.postgres.counting import open_times, recount
from candlewick.adapters.candles.postgres.schema import DAY_NS, TABLES, Kind, columns, span_ns, table_of

# A partition takes a few locks, made or dropped, until its transaction ends; the server's table has a few thousand.
_A_TRANSACTION = 32


class Partitions:
    """``schema.Layout``: makes what an append needs, and remembers what it saw."""

    kind: Kind = "partitions"
    sizes: str = (
        "SELECT timeframe_s, sum(pg_total_relation_size(to_regclass('candles.' || name)))::bigint AS bytes "
        "FROM candles.partition GROUP BY 1"
    )

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

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        """Whole partitions are dropped, the one the instant lies in loses its older rows."""
        left = 0
        while True:
            async with self._connections.writing() as connection:
                with translating(self._connections.where):
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
                    due = await connection.fetch(
                        "SELECT start_ns, end_ns, name FROM candles.partition "
                        "WHERE timeframe_s = $1 AND start_ns < $2 ORDER BY start_ns LIMIT $3",
                        timeframe_s,
                        before_ns,
                        _A_TRANSACTION,
                    )
                    whole = [row for row in due if row["end_ns"] <= before_ns]
                    if whole:
                        left += await _drop(connection, timeframe_s, whole)
                    elif due:
                        left += await _cut(connection, timeframe_s, due[0], before_ns)
                    await connection.execute("COMMIT")
            if not whole:
                return left

    async def settle(self) -> None:
        """Nothing goes but by ``drop_before``."""


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
            await connection.execute(
                f"CREATE TABLE {table} ({columns()}) PARTITION BY RANGE (open_time); "
                f"CREATE INDEX ON {table} USING brin (open_time)"
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


async def _drop(connection: Any, timeframe_s: int, due: list[Any]) -> int:
    # Taken first: whoever reads ends before, and nobody who appends waits for what this one holds.
    await connection.execute(f"LOCK TABLE {table_of(timeframe_s)} IN ACCESS EXCLUSIVE MODE")
    left = 0
    for row in due:
        left += await open_times(connection, f"candles.{row['name']}", row["end_ns"])
    names = ", ".join("candles." + row["name"] for row in due)
    await connection.execute(f"DROP TABLE {names}")
    starts = [row["start_ns"] for row in due]
    await connection.execute(
        "DELETE FROM candles.partition WHERE timeframe_s = $1 AND start_ns = ANY ($2::bigint[])", timeframe_s, starts
    )
    for table in ("held", "packed"):
        await connection.execute(
            f"DELETE FROM candles.{table} USING candles.series WHERE id = series AND timeframe_s = $1 "
            "AND start_ns = ANY ($2::bigint[])",
            timeframe_s,
            starts,
        )
    return left


async def _cut(connection: Any, timeframe_s: int, row: Any, before_ns: int) -> int:
    table, start = f"candles.{row['name']}", row["start_ns"]
    # Readers go on; appends wait, so that what is counted anew is what there is.
    await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
    left = await open_times(connection, table, before_ns)
    if left:
        await connection.execute(f"DELETE FROM {table} WHERE open_time < $1", before_ns)
        await recount(connection, timeframe_s, table, start)
    return left
