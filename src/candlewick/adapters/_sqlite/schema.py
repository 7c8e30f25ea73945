"""The log file's tables, how a connection to it is set up, and how it is opened and closed for good.

Offsets. All partitions draw from one sequence: a record's offset is its row id, ``epoch << 36 | n``. So offsets of a
partition increase with holes, rows lie in commit order, and a new epoch lies beyond every offset ever given by
construction. What must survive a lost WAL is then only the epoch's number: an opening process that finds no clean
close takes the next epoch and brings it into the main file (synchronous FULL, checkpoint) before anything is appended.

Measured (4 kB pages, batches of 100; rows of 10 kB / 200 B): row id and an index on the partition 19-24 k / 80-98 k
rows/s; (partition, offset) WITHOUT ROWID 7-8 k / 46-59 k; pages of 8 and 16 kB 6-15 k / 30-70 k. Incremental vacuum
costs nothing that can be seen.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from candlewick.adapters._sqlite.faults import translated
from candlewick.adapters._sqlite.presence import Presence
from candlewick.contracts.topics import Topic, dead_letters
from candlewick.kernel.errors import Conflict
from candlewick.ports.log import LogCorrupt, LogUnavailable

FORMAT = 1
EPOCH_BITS = 36
# log number = topic number << 10 | partition, so that one topic's partitions are one range.
PARTITION_BITS = 10
MAX_PARTITIONS = 1 << PARTITION_BITS

_TABLES = (
    # One row: what every writing transaction reads first and writes last.
    """CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, epoch INTEGER NOT NULL,
        next_id INTEGER NOT NULL, txn INTEGER NOT NULL, last_ts INTEGER NOT NULL, mark_ts INTEGER NOT NULL,
        instance INTEGER NOT NULL, groups INTEGER NOT NULL,
        clean INTEGER NOT NULL)""",
    "CREATE TABLE topic (topic INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL)",
    # Per partition with records: how many are kept, their bytes, the newest ever, the newest that left by retention.
    """CREATE TABLE partition (log INTEGER PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
        last_id INTEGER NOT NULL, gone_through INTEGER NOT NULL DEFAULT 0)""",
    # crc: CRC-32 of key, header and value, bound to row id and partition (reader.py).
    """CREATE TABLE record (id INTEGER PRIMARY KEY, log INTEGER NOT NULL, ts_append INTEGER NOT NULL,
        key TEXT NOT NULL, crc INTEGER NOT NULL, header BLOB NOT NULL, value BLOB)""",
    "CREATE INDEX record_of_log ON record (log)",
    # A row about every second of appends and at every backward step of the clock: a run of rising times begins here.
    "CREATE TABLE time_mark (first_id INTEGER PRIMARY KEY, ts INTEGER NOT NULL)",
    """CREATE TABLE group_position (grp TEXT NOT NULL, log INTEGER NOT NULL, id INTEGER NOT NULL,
        PRIMARY KEY (grp, log)) WITHOUT ROWID""",
    """CREATE TABLE member (instance INTEGER PRIMARY KEY, grp TEXT NOT NULL, name TEXT NOT NULL, topics TEXT NOT NULL,
        lease_until INTEGER NOT NULL, UNIQUE (grp, name))""",
    """CREATE TABLE claim (grp TEXT NOT NULL, log INTEGER NOT NULL, instance INTEGER NOT NULL,
        PRIMARY KEY (grp, log)) WITHOUT ROWID""",
    "CREATE TABLE producer (transactional_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE stream_state (operator TEXT NOT NULL, log INTEGER NOT NULL, key TEXT NOT NULL, hot BLOB NOT NULL,
        PRIMARY KEY (operator, log, key))""",
    """CREATE TABLE stream_cold (operator TEXT NOT NULL, log INTEGER NOT NULL, key TEXT NOT NULL, name BLOB NOT NULL,
        value BLOB NOT NULL, PRIMARY KEY (operator, log, key, name))""",
)


def first_offset(epoch: int) -> int:
    """The smallest offset of an epoch."""
    return (epoch << EPOCH_BITS) | 1


def epoch_of(offset: int) -> int:
    """The epoch an offset belongs to."""
    return offset >> EPOCH_BITS


def connect(path: Path, *, writer: bool, durable: bool = False, max_pages: int | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are written out. Usable from any one thread at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=0)
    try:
        connection.execute("PRAGMA busy_timeout=5000")
        if writer:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            # Setting it, even to what it is, asks for a lock that other processes may hold.
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("PRAGMA cache_size=-16000")
            connection.execute("PRAGMA wal_autocheckpoint=2000")
            connection.execute(f"PRAGMA journal_size_limit={64 << 20}")
            if max_pages is not None:
                connection.execute(f"PRAGMA max_page_count={max_pages}")
        else:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, "opening it") from error
    return connection


def open_writer(
    path: Path, presence: Presence, topics: Sequence[Topic], *, durable: bool, max_pages: int | None
) -> sqlite3.Connection:
    """The write connection, the tables there, the epoch settled. The caller stays present until ``close_writer``.

    Raises LogCorrupt (not a log, or damaged beyond opening), Conflict (another format, or a topic whose partition
    count differs), LogUnavailable, StorageFull.
    """
    with presence.door():
        alone = presence.alone()
        try:
            connection = connect(path, writer=True, durable=durable, max_pages=max_pages)
        except sqlite3.Error as error:
            raise translated(error, "opening it") from error
        try:
            _settle(connection, alone, topics)
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, "opening it") from error
        except BaseException:
            connection.close()
            raise
        presence.stay()
    return connection


def _settle(connection: sqlite3.Connection, alone: bool, topics: Sequence[Topic]) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'head'").fetchone() is None:
            for table in _TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO head VALUES (1, ?, 1, ?, 0, 0, 0, 0, 0, 1)", (FORMAT, first_offset(1)))
        row = connection.execute("SELECT format, epoch, clean FROM head").fetchone()
        if row is None:
            raise LogCorrupt("the log's file has lost its head row")
        found, epoch, clean = row
        if found != FORMAT:
            raise Conflict(
                f"the log's file must have format {FORMAT}, was {found!r}",
                hint="Open it with the version that wrote it",
            )
        _know(connection, topics)
        if alone:
            if not clean:
                epoch += 1
                connection.execute("UPDATE head SET epoch = ?, next_id = ?", (epoch, first_offset(epoch)))
            # Whoever was a member is gone; leases are in a clock that a reboot resets.
            connection.execute("DELETE FROM member")
            connection.execute("DELETE FROM claim")
        connection.execute("UPDATE head SET clean = 0, txn = txn + 1")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if alone:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise LogUnavailable(
                "another program holds the log's file open, so that its new epoch cannot be made safe",
                hint="Close whatever reads it beside Candlewick and start again",
            )


def _know(connection: sqlite3.Connection, topics: Sequence[Topic]) -> None:
    known = dict(connection.execute("SELECT name, partitions FROM topic").fetchall())
    for topic in topics:
        if not 0 < topic.partitions <= MAX_PARTITIONS:
            raise Conflict(f"topic {topic.name} must have 1 to {MAX_PARTITIONS} partitions, was {topic.partitions!r}")
        for name in (topic.name, dead_letters(topic.name)):
            count = known.get(name)
            if count is None:
                connection.execute("INSERT INTO topic (name, partitions) VALUES (?, ?)", (name, topic.partitions))
            elif count != topic.partitions:
                raise Conflict(
                    f"topic {name} must keep its {count} partitions, was {topic.partitions!r}",
                    hint="A topic's partition count never changes in place: give the topic a new name",
                )


def close_writer(connection: sqlite3.Connection, presence: Presence) -> None:
    """Mark a clean end when nobody else has the log open, and let go of it in any case."""
    try:
        with presence.door():
            if presence.alone():
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("UPDATE head SET clean = 1")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            presence.leave()
    except sqlite3.Error as error:
        connection.close()
        presence.leave()
        raise translated(error, "closing it") from error
