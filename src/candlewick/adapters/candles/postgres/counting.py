"""What ``held`` and ``packed`` say of rows that go."""

from typing import Any

from candlewick.adapters.candles.postgres.schema import span_ns


async def recount(connection: Any, timeframe_s: int, table: str, start_ns: int) -> None:
    """Count anew what ``table`` has of the span that begins at ``start_ns``."""
    for name in ("held", "packed"):
        # A copy of rows that went must not be taken for one of those that may come in their place.
        await connection.execute(
            f"DELETE FROM candles.{name} USING candles.series WHERE id = series AND timeframe_s = $1 AND start_ns = $2",
            timeframe_s,
            start_ns,
        )
    await connection.execute(
        "INSERT INTO candles.held SELECT series, $1::bigint, count(*), min(open_time), max(open_time) "
        f"FROM {table} WHERE open_time >= $1 AND open_time < $2 GROUP BY series",
        start_ns,
        start_ns + span_ns(timeframe_s),
    )


async def open_times(connection: Any, table: str, before_ns: int) -> int:
    counted = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT DISTINCT series, open_time FROM {table} WHERE open_time < $1) AS gone", before_ns
    )
    return int(counted)
