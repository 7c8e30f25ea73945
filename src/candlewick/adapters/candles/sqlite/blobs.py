"""Writing and checking the blobs. Everything here runs inside a transaction on the store's thread."""

import sqlite3
import zlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters._candles.blob import NotABlob, decoded, encoded
from candlewick.adapters._candles.rows import (
    RECORD,
    Table,
    by_identity,
    distinct_times,
    from_records,
    joined,
    picked,
)
from candlewick.adapters.candles.sqlite.schema import span_ns
from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.ports.candles import CandlesCorrupt


class Name(NamedTuple):
    """Which series."""

    exchange: str
    symbol: str
    timeframe_s: int


class Merged(NamedTuple):
    """What ``merge`` did: rows not known before, and rows that left the tail."""

    added: int
    absorbed: int


def load(name: Name, stored: list[tuple[int, int, int, bytes]], spare: int = 0) -> Table:
    """The rows of blobs given as (start, records, crc, data), and room for ``spare`` more. Raises CandlesCorrupt."""
    for start, _, crc, data in stored:
        if zlib.crc32(data) != crc:
            raise _corrupt(name, start, "the checksum is wrong")
    try:
        table = decoded([row[3] for row in stored], spare)
    except NotABlob as error:
        raise _corrupt(name, stored[error.index][0], str(error)) from error
    expected, found = sum(row[1] for row in stored), len(table["open_time"]) - spare
    if found != expected:
        raise _corrupt(name, stored[0][0], f"{expected} rows expected, was {found!r}")
    return table


def merge(
    connection: sqlite3.Connection,
    name: Name,
    series: int,
    start: int,
    records: NDArray[Any] | None,
    *,
    until: int | None = None,
) -> Merged:
    """Bring the span's tail rows (open time < ``until``) and ``records`` into its blob. Raises CandlesCorrupt."""
    end = start + span_ns(name.timeframe_s)
    if until is not None:
        end = min(end, until)
    window = (series, start, end)
    tail = connection.execute(
        "SELECT record FROM tail WHERE series = ? AND open_time >= ? AND open_time < ?", window
    ).fetchall()
    before = [part for part in (_stored(connection, name, series, start), _table(tail)) if part is not None]
    known = 0
    if before:
        together = by_identity(joined(before))
        known = len(together["open_time"])
        before = [together]
    if records is not None and len(records):
        before.append(from_records(records))
    rows = by_identity(joined(before))
    _store(connection, series, start, rows)
    if tail:
        connection.execute("DELETE FROM tail WHERE series = ? AND open_time >= ? AND open_time < ?", window)
    return Merged(len(rows["open_time"]) - known, len(tail))


def not_in(connection: sqlite3.Connection, name: Name, series: int, start: int, records: NDArray[Any]) -> NDArray[Any]:
    """Those records whose identity the span's blob does not hold. Raises CandlesCorrupt."""
    stored = _stored(connection, name, series, start)
    if stored is None:
        return records
    times = stored["open_time"]
    is_new = np.ones(len(records), np.bool_)
    for i, record in enumerate(records):
        first, last = np.searchsorted(times, [record["open_time"], record["open_time"] + 1])
        same = stored["revision"][first:last] == record["revision"]
        same &= stored["origin"][first:last] == record["origin"]
        is_new[i] = not same.any()
    return records[is_new]


def drop_before(connection: sqlite3.Connection, series: int, timeframe_s: int, before_ns: int) -> int:
    """Forget the rows before an instant; returns how many open times left. A damaged blob leaves with the rest when
    all of it is due; one that is only partly due stays until then."""
    span = span_ns(timeframe_s)
    found = connection.execute("SELECT exchange, symbol, timeframe_s FROM series WHERE id = ?", (series,)).fetchone()
    name = Name(*found)
    due = connection.execute(
        "SELECT start, times FROM blob WHERE series = ? AND first < ? ORDER BY start", (series, before_ns)
    ).fetchall()
    in_tail = {
        time
        for (time,) in connection.execute(
            "SELECT DISTINCT open_time FROM tail WHERE series = ? AND open_time < ?", (series, before_ns)
        )
    }
    left = len(in_tail)
    for start, times in due:
        is_whole = start + span <= before_ns
        beside = sorted(time for time in in_tail if start <= time < start + span)
        rows = None
        if beside or not is_whole:
            try:
                rows = _stored(connection, name, series, start)
            except CandlesCorrupt:
                if not is_whole:
                    continue
        if rows is None:
            left += times
        else:
            gone = np.unique(rows["open_time"][rows["open_time"] < before_ns])
            left += int(np.count_nonzero(~np.isin(gone, beside)))
        connection.execute("DELETE FROM blob WHERE series = ? AND start = ?", (series, start))
        if rows is not None and not is_whole:
            _store(connection, series, start, picked(rows, rows["open_time"] >= before_ns))
    connection.execute("DELETE FROM tail WHERE series = ? AND open_time < ?", (series, before_ns))
    return left


def discard_damaged(connection: sqlite3.Connection, name: Name, at_ns: int) -> bool:
    """Delete the blob that holds an instant if it cannot be read."""
    row = connection.execute(
        "SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe_s = ?", name
    ).fetchone()
    if row is None:
        return False
    span = span_ns(name.timeframe_s)
    start = at_ns // span * span
    try:
        _stored(connection, name, row[0], start)
    except CandlesCorrupt:
        connection.execute("DELETE FROM blob WHERE series = ? AND start = ?", (row[0], start))
        return True
    return False


def _stored(connection: sqlite3.Connection, name: Name, series: int, start: int) -> Table | None:
    row = connection.execute(
        "SELECT start, records, crc, data FROM blob WHERE series = ? AND start = ?", (series, start)
    ).fetchone()
    return None if row is None else load(name, [row])


def _table(tail: list[tuple[bytes]]) -> Table | None:
    return from_records(np.frombuffer(b"".join(row[0] for row in tail), RECORD)) if tail else None


def _store(connection: sqlite3.Connection, series: int, start: int, rows: Table) -> None:
    times = rows["open_time"]
    if not len(times):
        connection.execute("DELETE FROM blob WHERE series = ? AND start = ?", (series, start))
        return
    data = encoded(rows)
    connection.execute(
        "INSERT INTO blob VALUES (:series, :start, :first, :last, :records, :times, :crc, :data) "
        "ON CONFLICT (series, start) DO UPDATE SET first = excluded.first, last = excluded.last, "
        "records = excluded.records, times = excluded.times, crc = excluded.crc, data = excluded.data",
        {
            "series": series,
            "start": start,
            "first": int(times[0]),
            "last": int(times[-1]),
            "records": len(times),
            "times": distinct_times(times),
            "crc": zlib.crc32(data),
            "data": data,
        },
    )


def _corrupt(name: Name, start: int, why: str) -> CandlesCorrupt:
    first = datetime.fromtimestamp(start // NS_PER_SECOND, UTC)
    last = datetime.fromtimestamp((start + span_ns(name.timeframe_s) - 1) // NS_PER_SECOND, UTC)
    timeframe = NAMES.get(name.timeframe_s, f"{name.timeframe_s} s")
    days = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    return CandlesCorrupt(
        f"stored candles of {name.exchange}:{name.symbol} {timeframe} on {days} are damaged: {why}",
        hint="Other days stay readable; discard the damaged ones and fetch them again",
    )
