"""The tables of the candle store and their history, counted in SQLite's ``user_version``."""

from candlewick.adapters._sqlite.steps import preparing
from candlewick.kernel.clock import NS_PER_SECOND

# 8 KiB pages read a year of day blobs twice as fast as the default 4 KiB (7 against 13 ms); larger ones gain nothing
# and make every commit of the tail larger.
PAGE_SIZE = 8192

_STEPS = (
    """
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, exchange TEXT NOT NULL, symbol TEXT NOT NULL, timeframe_s INTEGER NOT NULL,
        price_scale INTEGER NOT NULL, size_scale INTEGER NOT NULL,
        UNIQUE (exchange, symbol, timeframe_s)
    );
    CREATE TABLE tail (
        series INTEGER NOT NULL, open_time INTEGER NOT NULL, revision INTEGER NOT NULL, origin INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (series, open_time, revision, origin)
    ) WITHOUT ROWID;
    CREATE TABLE blob (
        series INTEGER NOT NULL, start INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        records INTEGER NOT NULL, times INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (series, start)
    );
    CREATE TABLE mark (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
    """,
)

prepare = preparing("candle store", _STEPS)

DAY_NS = 86_400 * NS_PER_SECOND
_HOUR_NS = 3_600 * NS_PER_SECOND
_LEAST_RECORDS = 1440


def span_ns(timeframe_s: int) -> int:
    """How much time one blob covers: an hour below 1 m, else the fewest days (a power of two) that hold 1440 candles,
    so that a year is read in a few hundred blobs at most and a late candle rewrites some 60 kB."""
    if timeframe_s < 60:
        return _HOUR_NS
    days = 1
    while days * 86_400 // timeframe_s < _LEAST_RECORDS:
        days *= 2
    return days * DAY_NS
