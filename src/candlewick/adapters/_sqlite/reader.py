"""Reading: rows of some partitions in commit order, on behind a place, past what is damaged."""

import sqlite3
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from candlewick.adapters._sqlite.faults import translated
from candlewick.ports.log import LogCorrupt

# Below this distance to the end a scan by row id, skipping other topics' rows, beats one seek per partition.
_NEAR = 4096
_WIDEST = 1 << 20
_WALK = 1024
_COLUMNS = "id, log, ts_append, key, crc, header, value"
_OVERHEAD = 48


class Row(msgspec.Struct, frozen=True, gc=False):
    """One record as the file has it. ``log`` is the partition's number in this file (``LogFile.place`` names it)."""

    offset: int
    log: int
    ts_append: int
    key: str
    header: bytes
    value: bytes | None

    @property
    def size(self) -> int:
        """Bytes this row counts for in bounds and retention."""
        return size_of(self.key, self.header, self.value)


def size_of(key: str, header: bytes, value: bytes | None) -> int:
    """Bytes a record counts for: its content and a flat 48 for the row."""
    return len(key) + len(header) + (len(value) if value is not None else 0) + _OVERHEAD


def checksum(offset: int, log: int, key: str, header: bytes, value: bytes | None) -> int:
    """CRC-32 of the content, turned by place, so that a row that surfaces elsewhere does not pass either."""
    crc = zlib.crc32(header, zlib.crc32(key.encode()))
    crc = zlib.crc32(value, crc) if value is not None else ~crc
    return (crc ^ (offset * 2654435761) ^ (log * 40503)) & 0xFFFFFFFF


def _ranges(logs: Iterable[int]) -> str:
    parts: list[list[int]] = []
    for log in sorted(logs):
        if parts and parts[-1][1] + 1 == log:
            parts[-1][1] = log
        else:
            parts.append([log, log])
    return " OR ".join([f"log BETWEEN {a} AND {b}" for a, b in parts]) or "0"


class Cursor:
    """A reading place in some partitions: rows come in commit order over all, each partition from its own place.

    Holds no connection: ``read`` takes one, so that a cursor may wander between threads (not two at once). A damaged
    row is raised as LogCorrupt once, after the rows before it were given; the next read goes on behind it.
    """

    def __init__(self, places: Mapping[int, int]) -> None:
        """``places``: partition number -> offset to read on behind (0: from the oldest)."""
        self._window = _NEAR
        self._broken: LogCorrupt | None = None
        self._index_broken = False
        self._pending: list[int] = []
        self._frontier = 0
        self._set(dict(places))

    def places(self) -> dict[int, int]:
        """Per partition the offset of the last row given (or where it was told to begin)."""
        return dict(self._after)

    def place(self, log: int) -> int:
        """The offset that reading of one partition goes on behind."""
        return self._after[log]

    def move(self, places: Mapping[int, int]) -> None:
        """Read these partitions on behind other places; partitions not held so far are added."""
        self._set({**{log: max(at, self._frontier) for log, at in self._after.items()}, **places})

    def drop(self, logs: Iterable[int]) -> None:
        """Read these partitions no more."""
        gone = set(logs)
        self._set({log: max(at, self._frontier) for log, at in self._after.items() if log not in gone})

    def _set(self, after: dict[int, int]) -> None:
        # Everything up to the frontier has been looked at; a partition that goes back takes it along.
        self._after = after
        self._frontier = min(after.values(), default=0)
        self._pending.clear()
        self._sql = _ranges(after)

    def read(self, connection: sqlite3.Connection, max_records: int, max_bytes: int) -> list[Row]:
        """The next rows, none when there are none now. At least one when there is one, whatever ``max_bytes``.

        Raises LogCorrupt for a damaged place (then goes on behind it), LogUnavailable.
        """
        rows: list[Row] = []
        if max_records > 0 and self._broken is None:
            try:
                (end,) = connection.execute("SELECT max(id) FROM record").fetchone()
                while not rows and not self._is_damaged() and end is not None and self._frontier < end:
                    self._read(connection, max_records, max_bytes, end, rows)
            except sqlite3.Error as error:
                fault = translated(error, "reading it")
                if not isinstance(fault, LogCorrupt):
                    raise fault from error
                self._pending.clear()
                if self._read_singly(connection, max_records, rows):
                    self._broken = fault
                    self._frontier = next_readable(connection, self._frontier) - 1
        if not rows and self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        return rows

    def _is_damaged(self) -> bool:
        return self._broken is not None

    def _read(
        self, connection: sqlite3.Connection, max_records: int, max_bytes: int, end: int, rows: list[Row]
    ) -> None:
        if not self._pending and (end - self._frontier <= _NEAR or self._index_broken):
            self._skip_gap(connection, end)
            high = min(end, self._frontier + _NEAR)
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM record NOT INDEXED WHERE id >= ? AND id <= ? AND ({self._sql}) ORDER BY id",
                # "Behind n" would seek n itself, on the damaged page just stepped over.
                (self._frontier + 1, high),
            )
            if self._take(found, max_records, max_bytes, rows):
                self._frontier = high
            return
        if not self._pending:
            try:
                self._gather(connection, max_records, end)
            except sqlite3.Error as error:
                fault = translated(error, "reading its index")
                if not isinstance(fault, LogCorrupt):
                    raise
                self._index_broken, self._broken = True, fault
                return
        ids = self._pending[:max_records]
        if not ids:
            return
        if ids[-1] - ids[0] < 3 * len(ids):
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM record NOT INDEXED WHERE id >= ? AND id <= ? AND ({self._sql}) ORDER BY id",
                (ids[0], ids[-1]),
            )
        else:
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM record WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
                (msgspec.json.encode(ids).decode(),),
            )
        if self._take(found, max_records, max_bytes, rows):
            self._frontier = max(self._frontier, ids[-1])
        del self._pending[: bisect_left(self._pending, self._frontier + 1)]

    def _read_singly(self, connection: sqlite3.Connection, max_records: int, rows: list[Row]) -> bool:
        """Row by row up to the damage: whether it was met. (A failing step takes the row before it along.)"""
        while len(rows) < max_records and not self._is_damaged():
            try:
                found = connection.execute(
                    f"SELECT {_COLUMNS} FROM record NOT INDEXED WHERE id >= ? AND ({self._sql}) ORDER BY id LIMIT 1",
                    (self._frontier + 1,),
                )
                before = self._frontier
                self._take(found, len(rows) + 1, 1 << 62, rows)
            except sqlite3.Error:
                return True
            if self._frontier == before:
                return True
        return False

    def _take(self, found: sqlite3.Cursor, max_records: int, max_bytes: int, rows: list[Row]) -> bool:
        """Whether ``found`` was used up; else the frontier stands at the last row taken."""
        after, used = self._after, 0
        try:
            for offset, log, ts_append, key, crc, header, value in found:
                if offset <= after[log]:
                    self._frontier = offset
                    continue
                size = size_of(key, header, value)
                if rows and (len(rows) >= max_records or used + size > max_bytes):
                    return False
                self._frontier = offset
                after[log] = offset
                if checksum(offset, log, key, header, value) != crc:
                    self._broken = LogCorrupt(f"record {offset} of partition number {log} does not match its checksum")
                    return False
                rows.append(Row(offset, log, ts_append, key, header, value))
                used += size
        finally:
            found.close()
        return True

    def _gather(self, connection: sqlite3.Connection, wanted: int, end: int) -> None:
        """Fill ``_pending`` with the next row ids by the partitions' index, some ``wanted`` of each at most."""
        while not self._pending and self._frontier < end:
            self._skip_gap(connection, end)
            high = min(end, self._frontier + self._window)
            ids: list[int] = []
            for log, at in self._after.items():
                low = max(at, self._frontier)
                if low < high:
                    found = connection.execute(
                        "SELECT id FROM record INDEXED BY record_of_log WHERE log = ? AND id > ? AND id <= ? LIMIT ?",
                        (log, low, high, wanted),
                    ).fetchall()
                    ids += [row[0] for row in found]
                    if len(found) == wanted:
                        # This partition has more: nothing behind its last is known to be complete.
                        high = ids[-1]
            self._pending = sorted([offset for offset in ids if offset <= high])
            if not self._pending:
                self._frontier = high
            if len(self._pending) < 2 * wanted:
                self._window = min(self._window * 4, _WIDEST)
            elif len(self._pending) > 8 * wanted:
                self._window = max(_NEAR, self._window // 2)

    def _skip_gap(self, connection: sqlite3.Connection, end: int) -> None:
        """Ids between two epochs, or those that retention took, are no rows to look at."""
        (first,) = connection.execute("SELECT min(id) FROM record WHERE id >= ?", (self._frontier + 1,)).fetchone()
        self._frontier = max(self._frontier, (first if first is not None else end + 1) - 1)


def next_readable(connection: sqlite3.Connection, after: int) -> int:
    """The first row id that can be loaded behind the first damaged one behind ``after``; else the end of the ids.

    The damage is walked id by id; where it is long (an inner page hides thousands of rows, or an epoch ends in it) by
    doubled steps, and back by halves to its border. ``after + 1`` when there is no damage to be met.
    """

    def seek(at: int) -> int | None:
        try:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM record NOT INDEXED WHERE id >= ? ORDER BY id LIMIT 1", (at,)
            ).fetchone()
        except sqlite3.Error:
            return None
        return int(row[0]) if row is not None else last

    last = head_of(connection) + 1
    at = after + 1
    while (found := seek(at)) is not None:
        if found >= last:
            return after + 1
        at = found + 1
    for candidate in range(at + 1, min(at + _WALK, last)):
        if (found := seek(candidate)) is not None:
            return found
    bad, step = at, _WALK
    while (good := min(bad + step, last)) < last and seek(good) is None:
        bad, step = good, step * 2
    while good - bad > 1:
        middle = (bad + good) // 2
        if seek(middle) is None:
            bad = middle
        else:
            good = middle
    found = seek(good)
    return found if found is not None else last


def end_of(connection: sqlite3.Connection, logs: Sequence[int]) -> dict[int, int]:
    """Partition number -> its newest offset; partitions that never had a record are absent. Raises LogCorrupt."""
    try:
        found = connection.execute(f"SELECT log, last_id FROM partition WHERE {_ranges(logs)}")
        return dict(found.fetchall())
    except sqlite3.Error as error:
        raise translated(error, "reading its ends") from error


def gone_through(connection: sqlite3.Connection, log: int) -> int:
    """The newest offset of a partition that retention has taken, 0 when none was."""
    row = connection.execute("SELECT gone_through FROM partition WHERE log = ?", (log,)).fetchone()
    return int(row[0]) if row else 0


def before_time(connection: sqlite3.Connection, ts_ns: int) -> int:
    """The offset to read on behind so that the first row is the first appended at or after ``ts_ns``; exact.

    Append times rise between two marks and a run spans at most a second (writer.py), so the first run that can hold
    ``ts_ns`` is the first whose mark is later than a second before it; the row itself is found by a scan from there.
    """
    try:
        mark = connection.execute(
            "SELECT first_id FROM time_mark WHERE ts > ? ORDER BY first_id LIMIT 1", (ts_ns - MARK_NS,)
        ).fetchone()
        if mark is not None:
            row = connection.execute(
                "SELECT id FROM record NOT INDEXED WHERE id >= ? AND ts_append >= ? ORDER BY id LIMIT 1",
                (mark[0], ts_ns),
            ).fetchone()
            if row is not None:
                return int(row[0]) - 1
        return int(connection.execute("SELECT next_id FROM head").fetchone()[0]) - 1
    except sqlite3.Error as error:
        raise translated(error, "seeking by time") from error


MARK_NS = 1_000_000_000


def head_of(connection: sqlite3.Connection) -> int:
    """The last offset given to any partition. Raises LogCorrupt, LogUnavailable."""
    try:
        return int(connection.execute("SELECT next_id FROM head").fetchone()[0]) - 1
    except sqlite3.Error as error:
        raise translated(error, "looking for its end") from error


def count_behind(connection: sqlite3.Connection, places: Mapping[int, int]) -> int:
    """How many rows lie behind these places."""
    try:
        return sum(
            [
                connection.execute("SELECT count(*) FROM record WHERE log = ? AND id > ?", place).fetchone()[0]
                for place in places.items()
            ]
        )
    except sqlite3.Error as error:
        raise translated(error, "counting") from error


def verify(connection: sqlite3.Connection) -> list[LogCorrupt]:
    """Every damaged place in the file: each row against its checksum, then the file's own structure."""
    found: list[LogCorrupt] = []
    try:
        cursor = Cursor(dict.fromkeys([row[0] for row in connection.execute("SELECT log FROM partition")], 0))
        while True:
            try:
                if not cursor.read(connection, 1000, 8 << 20):
                    break
            except LogCorrupt as error:
                found.append(error)
        for (line,) in connection.execute("PRAGMA quick_check(20)"):
            if line != "ok":
                found.append(LogCorrupt(f"the log's file is damaged: {line}"))
    except sqlite3.Error as error:
        found.append(LogCorrupt(f"the log's file is damaged: {error}"))
    return found
