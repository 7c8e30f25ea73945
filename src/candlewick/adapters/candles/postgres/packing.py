"""A finished span's rows as one value beside them, so that a year is read as some hundred values.

The rows stay, and stay the truth. A copy counts as long as it holds as many rows as ``held`` counts, since rows are
only ever added to a span; where some are taken away, the copies of their span go in the same transaction. It is made
under the lock of whoever takes rows away.
"""

import asyncio
from typing import Any

from candlewick.adapters._candles.blob import encoded
from candlewick.adapters._candles.rows import by_identity
from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import translating
from candlewick.adapters.candles.postgres.reading import Reader
from candlewick.adapters.candles.postgres.schema import TABLES, span_ns
from candlewick.adapters.candles.postgres.writing import Name

# Whoever makes or drops tables waits so long at most.
_A_TRANSACTION = 16


async def pack(connections: Connections, now_ns: int) -> int:
    """Copy the spans that are over and have no copy of all their rows; returns how many rows were copied."""
    copied, behind = 0, (0, -(1 << 63))
    while True:
        due = await _due(connections, now_ns, behind)
        if not due:
            return copied
        async with connections.writing() as connection:
            with translating(connections.where):
                await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
                for row in due:
                    copied += await _pack(connection, connections.where, row)
                await connection.execute("COMMIT")
        behind = due[-1]["series"], due[-1]["start_ns"]


async def _due(connections: Connections, now_ns: int, behind: tuple[int, int]) -> list[Any]:
    spans = await connections.once("SELECT DISTINCT timeframe_s FROM candles.series")
    frames = [row[0] for row in spans]
    return await connections.once(
        "SELECT series, start_ns, exchange, symbol, timeframe_s, price_scale, size_scale FROM candles.held h "
        "JOIN candles.series ON id = series JOIN unnest($1::integer[], $2::bigint[]) AS over (timeframe_s, last_start) "
        "USING (timeframe_s) LEFT JOIN candles.packed p USING (series, start_ns) "
        "WHERE start_ns <= last_start AND p.records IS DISTINCT FROM h.records AND (series, start_ns) > ($3, $4) "
        "ORDER BY series, start_ns LIMIT $5",
        frames,
        [now_ns - span_ns(timeframe_s) for timeframe_s in frames],
        *behind,
        _A_TRANSACTION,
    )


async def _pack(connection: Any, where: str, row: Any) -> int:
    name = Name(row["exchange"], row["symbol"], row["timeframe_s"])
    reader = Reader(connection, where, name, (row["series"], row["price_scale"], row["size_scale"]))
    start = row["start_ns"]
    table = await reader.rows(start, start + span_ns(name.timeframe_s))
    data = await asyncio.to_thread(lambda: encoded(by_identity(table)))
    records = len(table["open_time"])
    await connection.execute(
        "INSERT INTO candles.packed VALUES ($1, $2, $3, $4) ON CONFLICT (series, start_ns) "
        "DO UPDATE SET records = excluded.records, data = excluded.data",
        row["series"],
        start,
        records,
        data,
    )
    return records
