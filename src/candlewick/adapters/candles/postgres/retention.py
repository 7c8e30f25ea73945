"""Forgetting: whole partitions are dropped, the one the instant lies in loses its older rows."""

from typing import Any

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import translating
from candlewick.adapters.candles.postgres.schema import TABLES, table_of

# Dropping takes every lock there is on a partition; so many leave room in the server's table for everybody else.
_A_TRANSACTION = 32


async def drop_before(connections: Connections, timeframe_s: int, before_ns: int) -> int:
    """Returns how many open times left, summed over the series."""
    left = 0
    while True:
        async with connections.writing() as connection:
            with translating(connections.where):
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


async def _drop(connection: Any, timeframe_s: int, due: list[Any]) -> int:
    # Taken first: whoever reads ends before, and nobody who appends waits for what this one holds.
    await connection.execute(f"LOCK TABLE {table_of(timeframe_s)} IN ACCESS EXCLUSIVE MODE")
    left = 0
    for row in due:
        left += await _open_times(connection, f"candles.{row['name']}", row["end_ns"])
    names = ", ".join("candles." + row["name"] for row in due)
    await connection.execute(f"DROP TABLE {names}")
    starts = [row["start_ns"] for row in due]
    await connection.execute(
        "DELETE FROM candles.partition WHERE timeframe_s = $1 AND start_ns = ANY ($2::bigint[])", timeframe_s, starts
    )
    await connection.execute(
        "DELETE FROM candles.held USING candles.series WHERE id = series AND timeframe_s = $1 "
        "AND start_ns = ANY ($2::bigint[])",
        timeframe_s,
        starts,
    )
    return left


async def _cut(connection: Any, timeframe_s: int, row: Any, before_ns: int) -> int:
    table, start = f"candles.{row['name']}", row["start_ns"]
    # Readers go on; appends wait, so that what is counted anew is what there is.
    await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
    left = await _open_times(connection, table, before_ns)
    if left:
        await connection.execute(f"DELETE FROM {table} WHERE open_time < $1", before_ns)
        await connection.execute(
            "DELETE FROM candles.held USING candles.series WHERE id = series AND timeframe_s = $1 AND start_ns = $2",
            timeframe_s,
            start,
        )
        await connection.execute(
            "INSERT INTO candles.held SELECT series, $1::bigint, count(*), min(open_time), max(open_time) "
            f"FROM {table} GROUP BY series",
            start,
        )
    return left


async def _open_times(connection: Any, table: str, before_ns: int) -> int:
    counted = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT DISTINCT series, open_time FROM {table} WHERE open_time < $1) AS gone", before_ns
    )
    return int(counted)
