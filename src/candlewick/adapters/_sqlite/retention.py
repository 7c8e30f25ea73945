"""What leaves the log: by age, by size, by a newer record of the same key. Oldest first, in short transactions."""

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from candlewick.adapters._sqlite.faults import translated
from candlewick.adapters._sqlite.reader import before_time
from candlewick.adapters._sqlite.writer import WriteRequest
from candlewick.contracts.topics import dead_letters

if TYPE_CHECKING:
    from candlewick.adapters._sqlite.logfile import LogFile

# Rows a transaction deletes: about 5 ms of the write lock, so that appends are not held up.
_CHUNK = 1000
_SIZE = "length(key) + length(header) + coalesce(length(value), 0) + 48"
# Free pages are used again by appends; only what is more than 16 MB of them goes back to the disk, 4 MB a time.
_FREE_PAGES, _GIVE_BACK = 4096, 1024


def expire(log: "LogFile", now_ns: int) -> int:
    """Apply retention and compaction; returns how many records left. Raises LogCorrupt, LogUnavailable, StorageFull."""
    left = 0
    with contextlib.closing(log.connect()) as connection:
        try:
            for topic in log.topics:
                names = [topic.name, dead_letters(topic.name)]
                if topic.cleanup == "compact":
                    left += _compact(log, connection, list(log.numbers(topic.name)), now_ns)
                    names = names[1:]
                keep_s = log.options.retention_s
                if topic.retention_s:
                    keep_s = min(keep_s, topic.retention_s)
                before = before_time(connection, now_ns - int(keep_s * 1e9))
                for name in names:
                    left += _delete_through(log, connection, log.numbers(name), before)
            left += _shrink(log, connection)
        except sqlite3.Error as error:
            raise translated(error, "applying retention") from error
    log.write(WriteRequest(run=_forget_marks, quiet=True))
    _give_back(log)
    return left


def _delete_through(log: "LogFile", connection: sqlite3.Connection, numbers: Sequence[int], through: int) -> int:
    left = 0
    for number in numbers:
        while True:
            ids = [
                row[0]
                for row in connection.execute(
                    "SELECT id FROM record INDEXED BY record_of_log WHERE log = ? AND id <= ? ORDER BY id LIMIT ?",
                    (number, through, _CHUNK),
                )
            ]
            if ids:
                left += _delete(log, ids, hole=True)
            if len(ids) < _CHUNK:
                break
    return left


def _shrink(log: "LogFile", connection: sqlite3.Connection) -> int:
    """Oldest rows of all topics that are not compacted, until the log is within its bytes."""
    kept = {n for topic in log.topics if topic.cleanup == "compact" for n in log.numbers(topic.name)}
    (total,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM partition").fetchone()
    over, at, left = total - log.options.retention_bytes, 0, 0
    while over > 0:
        ids: list[int] = []
        found = connection.execute(
            f"SELECT id, log, {_SIZE} FROM record NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?", (at, _CHUNK)
        ).fetchall()
        for offset, number, size in found:
            at = offset
            if over <= 0:
                break
            if number not in kept:
                ids.append(offset)
                over -= size
        if ids:
            left += _delete(log, ids, hole=True)
        if not found:
            break
    return left


def _compact(log: "LogFile", connection: sqlite3.Connection, numbers: list[int], now_ns: int) -> int:
    left = 0
    for number in numbers:
        newest: dict[str, int] = {}
        older: list[int] = []
        dead: list[int] = []
        rows = connection.execute(
            "SELECT id, key, value IS NULL, ts_append FROM record WHERE log = ? ORDER BY id", (number,)
        )
        tombstones: dict[int, int] = {}
        for offset, key, is_tombstone, ts_append in rows:
            if key in newest:
                older.append(newest[key])
            newest[key] = offset
            if is_tombstone:
                tombstones[offset] = ts_append
        # A tombstone stays as long as anything may, so that every reader that saw the key hears of its end.
        limit = now_ns - int(log.options.retention_s * 1e9)
        dead = [offset for offset in newest.values() if tombstones.get(offset, limit) < limit]
        leaving = sorted(older + dead)
        for at in range(0, len(leaving), _CHUNK):
            left += _delete(log, leaving[at : at + _CHUNK], hole=False)
    return left


def _delete(log: "LogFile", ids: Sequence[int], *, hole: bool) -> int:
    def run(connection: sqlite3.Connection) -> int:
        gone: dict[int, list[int]] = {}
        for at in range(0, len(ids), 500):
            some = ids[at : at + 500]
            marks = ",".join("?" * len(some))
            for offset, number, size in connection.execute(
                f"DELETE FROM record WHERE id IN ({marks}) RETURNING id, log, {_SIZE}", some
            ).fetchall():
                entry = gone.setdefault(number, [0, 0, 0])
                entry[0] += 1
                entry[1] += size
                entry[2] = max(entry[2], offset)
        connection.executemany(
            """UPDATE partition SET records = records - ?, bytes = bytes - ?, gone_through = max(gone_through, ?)
                WHERE log = ?""",
            [(count, size, last if hole else 0, number) for number, (count, size, last) in gone.items()],
        )
        return sum([entry[0] for entry in gone.values()])

    return int(log.write(WriteRequest(run=run, quiet=True)).value)


def _forget_marks(connection: sqlite3.Connection) -> None:
    # The run that the oldest row lies in keeps its mark.
    connection.execute(
        """DELETE FROM time_mark WHERE first_id < (SELECT max(first_id) FROM time_mark
            WHERE first_id <= (SELECT coalesce(min(id), (SELECT next_id FROM head)) FROM record))"""
    )


def _give_back(log: "LogFile") -> None:
    while int(log.outside(_free_pages)) > _FREE_PAGES:
        log.outside(lambda connection: connection.execute(f"PRAGMA incremental_vacuum({_GIVE_BACK})").fetchall())


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def states(connection: sqlite3.Connection, logs: Iterable[range]) -> list[tuple[int, int, int | None]]:
    """For each topic's partition numbers: records, bytes, and when the oldest was appended (ns)."""
    result: list[tuple[int, int, int | None]] = []
    try:
        for numbers in logs:
            records, size = connection.execute(
                "SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM partition WHERE log BETWEEN ? AND ?",
                (numbers[0], numbers[-1]),
            ).fetchone()
            oldest = None
            if records:
                firsts = [
                    connection.execute("SELECT min(id) FROM record WHERE log = ?", (number,)).fetchone()[0]
                    for number in numbers
                ]
                first = min([offset for offset in firsts if offset is not None], default=None)
                if first is not None:
                    row = connection.execute("SELECT ts_append FROM record WHERE id = ?", (first,)).fetchone()
                    oldest = int(row[0]) if row else None
            result.append((int(records), int(size), oldest))
    except sqlite3.Error as error:
        raise translated(error, "describing it") from error
    return result
