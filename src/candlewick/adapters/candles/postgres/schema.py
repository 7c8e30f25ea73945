"""The tables of the candle store, whatever keeps the rows.

Everything lies in the schema ``candles``. A timeframe has a table of its own, cut by open time into spans of a day, or
for timeframes above 1 m of the fewest days (a power of two) that hold 1440 candles. ``held`` counts what a series has
in a span, so that a reader touches only those and nobody counts rows; ``packed`` has a copy of a finished span's rows
as one value, which is read instead of them as long as it holds as many.

How the rows are kept is settled once, by whoever opens an empty database first: as hypertables where the database has
the extension TimescaleDB, else as partitions of PostgreSQL's own.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal, Protocol

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import translating
from candlewick.adapters.candles.postgres.wire import COLUMNS, TYPES
from candlewick.kernel.clock import NS_PER_SECOND

#: Advisory lock of whoever makes or drops tables here.
TABLES = 0x43414E444C4511

DAY_NS = 86_400 * NS_PER_SECOND
_LEAST_ROWS = 1440

Kind = Literal["partitions", "hypertables"]
EXTENSION: Final = "timescaledb"

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
    """
    CREATE TABLE candles.layout (kind text NOT NULL);
    CREATE TABLE candles.packed (
        series integer NOT NULL REFERENCES candles.series, start_ns bigint NOT NULL, records bigint NOT NULL,
        data bytea NOT NULL, PRIMARY KEY (series, start_ns)
    );
    ALTER TABLE candles.packed ALTER data SET STORAGE EXTERNAL;
    """,
)


class Layout(Protocol):
    """How rows are kept and forgotten. ``sizes`` is a SELECT of (timeframe_s, bytes)."""

    kind: Kind
    sizes: str

    async def ensure(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Make what rows of (timeframe, start of span) need. Raises DatabaseUnavailable."""
        ...

    def forget(self) -> None:
        """Somebody dropped tables: look again."""
        ...

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        """Returns how many open times left, summed over the series."""
        ...

    async def settle(self) -> None:
        """Bring ``held`` and ``packed`` up to what the server forgot by itself."""
        ...


def span_ns(timeframe_s: int) -> int:
    """How much time one partition covers."""
    days = 1
    while days * 86_400 // timeframe_s < _LEAST_ROWS:
        days *= 2
    return days * DAY_NS


def table_of(timeframe_s: int) -> str:
    """The timeframe's partitioned table."""
    return f"candles.candle_{timeframe_s}"


def columns() -> str:
    """A candle table's columns and key, as CREATE TABLE wants them."""
    listed = ", ".join(f"{name} {TYPES[name]} NOT NULL" for name in COLUMNS)
    return f"{listed}, PRIMARY KEY (series, open_time, revision, origin)"


async def prepare(connections: Connections) -> Kind:
    """Bring the schema to this version, once, whoever comes first; returns how rows are kept. Raises
    DatabaseUnavailable."""
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
            kind: Kind | None = await connection.fetchval("SELECT kind FROM candles.layout")
            if kind is None:
                kind = await _chosen(connection)
                await connection.execute("INSERT INTO candles.layout VALUES ($1)", kind)
            await connection.execute("COMMIT")
            return kind


async def _chosen(connection: Any) -> Kind:
    """Rows that were there before there was a choice are in partitions."""
    if await connection.fetchval("SELECT true FROM candles.partition LIMIT 1"):
        return "partitions"
    has = await connection.fetchval("SELECT true FROM pg_extension WHERE extname = $1", EXTENSION)
    return "hypertables" if has else "partitions"


async def layout_of(url: str) -> str:
    """How a database keeps candles; empty where it keeps none yet. Makes nothing. Raises DatabaseUnavailable."""
    connections = Connections(url, size=1)
    await connections.open()
    try:
        ((is_there,),) = await connections.once("SELECT to_regclass('candles.layout') IS NOT NULL")
        rows = await connections.once("SELECT kind FROM candles.layout") if is_there else []
    finally:
        await connections.close()
    return str(rows[0][0]) if rows else ""
