"""Candles in TimescaleDB's hypertables: chunks by day, and the server's own jobs compress, drop and sum up.

A chunk is what a partition is elsewhere. Besides what a store does by itself the server has standing orders: chunks
whose span is over are compressed by series, chunks far beyond what ``drop_before`` was last asked to keep are dropped
should nobody ask again, and of the minutes a continuous aggregate a day says how many rows came, how many of them
revised or gapped. A server whose licence or version refuses an order goes without it: no read depends on one.

Statements are of TimescaleDB 2.13 and later (https://docs.timescale.com/api/latest/). All of them were seen accepted,
with their results, by a build of 2.23 for WebAssembly, which has one session and no jobs that run by themselves; the
store's own suite runs on any server named in CANDLEWICK_TEST_TIMESCALE_URL, as the pipeline does.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import asyncpg

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import translating
from candlewick.adapters.candles.postgres.counting import open_times, recount
from candlewick.adapters.candles.postgres.schema import DAY_NS, TABLES, Kind, columns, span_ns, table_of
from candlewick.contracts.stream import GAPPED

_MINUTE_S = 60
_HOUR_NS = DAY_NS // 24
# A trade may revise a candle until a day after its close; what is compressed is dearer to change.
_COMPRESS_AFTER_NS = 2 * DAY_NS
# How far the server's own dropping stays behind the store's.
_SLACK_NS = 2 * DAY_NS
#: Time, as the hypertables count it.
NOW = (
    "CREATE OR REPLACE FUNCTION candles.now_ns() RETURNS bigint LANGUAGE sql STABLE AS "
    "'SELECT (extract(epoch FROM now()) * 1000000000)::bigint'"
)


def made(timeframe_s: int) -> list[str]:
    """Statements that make a timeframe's hypertable."""
    table = table_of(timeframe_s)
    return [
        NOW,
        f"CREATE TABLE {table} ({columns()})",
        f"SELECT create_hypertable('{table}', by_range('open_time', {span_ns(timeframe_s)}::bigint), "
        "create_default_indexes => false)",
        f"SELECT set_integer_now_func('{table}', 'candles.now_ns')",
    ]


def orders(timeframe_s: int) -> list[list[str]]:
    """Standing orders for a timeframe, each its statements."""
    table = table_of(timeframe_s)
    after = span_ns(timeframe_s) + _COMPRESS_AFTER_NS
    found = [
        [
            f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = 'series', "
            "timescaledb.compress_orderby = 'open_time, revision, origin')",
            f"SELECT add_compression_policy('{table}', compress_after => {after}::bigint, if_not_exists => true)",
        ]
    ]
    if timeframe_s == _MINUTE_S:
        found.append(summed_up(timeframe_s))
    return found


def summed_up(timeframe_s: int) -> list[str]:
    """A continuous aggregate of what came in, a row a series and day."""
    view = f"candles.daily_{timeframe_s}"
    return [
        f"CREATE MATERIALIZED VIEW {view} WITH (timescaledb.continuous) AS SELECT series, "
        f"time_bucket({DAY_NS}::bigint, open_time) AS day, count(*) AS records, min(open_time) AS first_ns, "
        "max(open_time) AS last_ns, sum(CASE WHEN revision > 0 THEN 1 ELSE 0 END) AS revised, "
        f"sum(CASE WHEN flags::integer & {int(GAPPED)} <> 0 THEN 1 ELSE 0 END) AS gapped, max(known_at) AS known_at "
        f"FROM {table_of(timeframe_s)} GROUP BY 1, 2 WITH NO DATA",
        f"SELECT add_continuous_aggregate_policy('{view}', start_offset => {7 * DAY_NS}::bigint, "
        f"end_offset => {_HOUR_NS}::bigint, schedule_interval => INTERVAL '10 minutes')",
    ]


def forgetting(timeframe_s: int, keep_ns: int) -> list[str]:
    """The standing order to drop chunks that end ``keep_ns`` ago."""
    table = table_of(timeframe_s)
    return [
        f"SELECT remove_retention_policy('{table}', if_exists => true)",
        f"SELECT add_retention_policy('{table}', drop_after => {keep_ns}::bigint)",
    ]


class Hypertables:
    """``schema.Layout`` where the database has the extension."""

    kind: Kind = "hypertables"
    sizes: str = (
        "SELECT timeframe_s, hypertable_size('candles.candle_' || timeframe_s) AS bytes "
        "FROM (SELECT DISTINCT timeframe_s FROM candles.series) AS known "
        "WHERE to_regclass('candles.candle_' || timeframe_s) IS NOT NULL"
    )

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known: set[int] = set()
        self._keep_ns: dict[int, int] = {}
        self._turn = asyncio.Lock()

    def forget(self) -> None:
        """Hypertables stay; their chunks come by themselves."""

    async def ensure(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Make the hypertables that are missing. Raises DatabaseUnavailable."""
        missing = {timeframe_s for timeframe_s, _ in wanted} - self._known
        if not missing:
            return
        async with self._turn:
            for timeframe_s in sorted(missing):
                async with self._connections.writing() as connection:
                    with translating(self._connections.where):
                        await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
                        if await connection.fetchval("SELECT to_regclass($1) IS NULL", table_of(timeframe_s)):
                            for statement in made(timeframe_s):
                                await connection.execute(statement)
                            for order in orders(timeframe_s):
                                await _ordered(connection, order)
                        await connection.execute("COMMIT")
                self._known.add(timeframe_s)

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        """Whole chunks are dropped, the one the instant lies in loses its older rows."""
        table, span = table_of(timeframe_s), span_ns(timeframe_s)
        start = before_ns // span * span
        async with self._connections.writing() as connection:
            with translating(self._connections.where):
                await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
                if await connection.fetchval("SELECT to_regclass($1) IS NULL", table):
                    return 0
                # Readers go on; appends wait, so that what is counted anew is what there is.
                await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
                left = await open_times(connection, table, before_ns)
                if left:
                    await connection.execute(f"SELECT drop_chunks('{table}', older_than => {start}::bigint)")
                    await connection.execute(f"DELETE FROM {table} WHERE open_time < $1", before_ns)
                    await _forget_spans(connection, timeframe_s, start)
                    await recount(connection, timeframe_s, table, start)
                await self._keep(connection, timeframe_s, before_ns)
                await connection.execute("COMMIT")
        return left

    async def _keep(self, connection: Any, timeframe_s: int, before_ns: int) -> None:
        """Leave the server the order to keep as much, and a little more, in future."""
        now = await connection.fetchval("SELECT candles.now_ns()")
        keep_ns = max(0, int(now) - before_ns) // DAY_NS * DAY_NS + _SLACK_NS
        if self._keep_ns.get(timeframe_s) == keep_ns:
            return
        await _ordered(connection, forgetting(timeframe_s, keep_ns))
        self._keep_ns[timeframe_s] = keep_ns

    async def settle(self) -> None:
        """Chunks that the server dropped are held no longer."""
        rows = await self._connections.once(
            "SELECT s.timeframe_s, min(c.range_start_integer) FROM (SELECT DISTINCT timeframe_s FROM candles.series) s "
            "JOIN timescaledb_information.chunks c ON c.hypertable_schema = 'candles' "
            "AND c.hypertable_name = 'candle_' || s.timeframe_s GROUP BY 1"
        )
        for timeframe_s, oldest in rows:
            async with self._connections.writing() as connection:
                with translating(self._connections.where):
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", TABLES)
                    await _forget_spans(connection, timeframe_s, oldest)
                    await connection.execute("COMMIT")


async def _forget_spans(connection: Any, timeframe_s: int, before_ns: int) -> None:
    """Of spans that begin before an instant nothing is held or packed any more."""
    for table in ("held", "packed"):
        await connection.execute(
            f"DELETE FROM candles.{table} USING candles.series WHERE id = series AND timeframe_s = $1 "
            "AND start_ns < $2",
            timeframe_s,
            before_ns,
        )


async def _ordered(connection: Any, statements: list[str]) -> None:
    """Give an order, or go without it where the server refuses: Apache's edition has no jobs, other versions other
    words."""
    await connection.execute("SAVEPOINT standing_order")
    try:
        for statement in statements:
            await connection.execute(statement)
    except (asyncpg.FeatureNotSupportedError, asyncpg.SyntaxOrAccessError, asyncpg.InvalidParameterValueError):
        await connection.execute("ROLLBACK TO SAVEPOINT standing_order")
    else:
        await connection.execute("RELEASE SAVEPOINT standing_order")
