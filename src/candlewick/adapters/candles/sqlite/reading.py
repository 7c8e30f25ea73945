"""Reading a window of one series: blobs and tail rows in, one best row an open time out.

A read that asks for a number of rows finds from the counts beside the blobs how much time to look at, and looks
further only where repeated open times or ``as_of_ns`` left it short.
"""

import sqlite3

import numpy as np

from candlewick.adapters._candles.best import best, overlaid
from candlewick.adapters._candles.rows import (
    RECORD,
    Table,
    empty,
    from_records,
    joined,
    picked,
    to_columns,
)
from candlewick.adapters.candles.sqlite.blobs import Name, load
from candlewick.adapters.candles.sqlite.schema import span_ns
from candlewick.contracts.stream import CandleColumns
from candlewick.ports.candles import SeriesInfo

_EVER = (1 << 63) - 1
_NEVER = -(1 << 63)


class _Series:
    def __init__(self, connection: sqlite3.Connection, name: Name, found: tuple[int, int, int]) -> None:
        self.connection = connection
        self.name = name
        self.id, self.price_scale, self.size_scale = found
        self.span = span_ns(name.timeframe_s)

    def window(self, start_ns: int, end_ns: int, as_of_ns: int | None) -> Table:
        """The best rows with open times in [start_ns, end_ns)."""
        stored = self.connection.execute(
            "SELECT start, records, crc, data FROM blob "
            "WHERE series = ? AND start > ? AND start < ? AND last >= ? AND first < ? ORDER BY start",
            (self.id, max(start_ns - self.span, _NEVER), end_ns, start_ns, end_ns),
        ).fetchall()
        tail = self.connection.execute(
            "SELECT record FROM tail WHERE series = ? AND open_time >= ? AND open_time < ? ORDER BY open_time",
            (self.id, start_ns, end_ns),
        ).fetchall()
        recent = from_records(np.frombuffer(b"".join(row[0] for row in tail), RECORD))
        rows = load(self.name, stored, spare=len(tail))
        count = len(rows["open_time"]) - len(tail)
        times = rows["open_time"][:count]
        if count and (times[0] < start_ns or times[-1] >= end_ns):
            first, last = np.searchsorted(times, [start_ns, end_ns]).tolist()
            rows, count = picked(rows, slice(first, None)), last - first
        if as_of_ns is not None:
            return best(joined([_known(picked(rows, slice(0, count)), as_of_ns), _known(recent, as_of_ns)]))
        return overlaid(rows, count, recent)

    def end_of(self, n: int, start_ns: int, end_ns: int) -> int:
        """An instant before which at least ``n`` open times lie in the window, if it holds as many."""
        row = self.connection.execute(
            "SELECT open_time FROM tail WHERE series = ? AND open_time >= ? AND open_time < ? "
            "ORDER BY open_time LIMIT 1 OFFSET ?",
            (self.id, start_ns, end_ns, n - 1),
        ).fetchone()
        found = end_ns if row is None else int(row[0]) + 1
        counted = 0
        for start, times in self.connection.execute(
            "SELECT start, times FROM blob WHERE series = ? AND start > ? AND start < ? ORDER BY start",
            (self.id, max(start_ns - self.span, _NEVER), found),
        ):
            # Of the first one only a part may lie in the window.
            counted += times if start >= start_ns else 0
            if counted >= n:
                return min(found, int(start) + self.span)
        return found

    def start_of(self, n: int, end_ns: int) -> int:
        """An instant from which on at least ``n`` open times lie before ``end_ns``, if there are as many."""
        row = self.connection.execute(
            "SELECT open_time FROM tail WHERE series = ? AND open_time < ? ORDER BY open_time DESC LIMIT 1 OFFSET ?",
            (self.id, end_ns, n - 1),
        ).fetchone()
        found = _NEVER if row is None else int(row[0])
        counted = 0
        for start, times in self.connection.execute(
            "SELECT start, times FROM blob WHERE series = ? AND start < ? AND start > ? ORDER BY start DESC",
            (self.id, end_ns, max(found - self.span, _NEVER)),
        ):
            counted += times if start + self.span <= end_ns else 0
            if counted >= n:
                return max(found, int(start))
        return found

    def columns(self, rows: Table) -> CandleColumns:
        return to_columns(rows, self.name.timeframe_s, self.price_scale, self.size_scale)


def oldest(
    connection: sqlite3.Connection, name: Name, start_ns: int, end_ns: int, as_of_ns: int | None, limit: int | None
) -> CandleColumns:
    """The best rows of [start_ns, end_ns), at most ``limit`` of the oldest."""
    series = _found(connection, name)
    if series is None or end_ns <= start_ns or (limit is not None and limit <= 0):
        return _nothing(name, series)
    if limit is None:
        return series.columns(series.window(start_ns, end_ns, as_of_ns))
    parts: list[Table] = []
    missing, since = limit, start_ns
    while missing > 0 and since < end_ns:
        until = series.end_of(missing, since, end_ns)
        part = series.window(since, until, as_of_ns)
        parts.append(picked(part, slice(0, missing)))
        missing -= len(parts[-1]["open_time"])
        since = until
    return series.columns(joined(parts))


def newest(connection: sqlite3.Connection, name: Name, n: int, before_ns: int | None) -> CandleColumns:
    """The newest ``n`` best rows before an instant, oldest first."""
    series = _found(connection, name)
    if series is None or n <= 0:
        return _nothing(name, series)
    parts: list[Table] = []
    missing, until = n, _EVER if before_ns is None else before_ns
    while missing > 0 and until > _NEVER:
        since = series.start_of(missing, until)
        part = series.window(since, until, None)
        parts.append(picked(part, slice(max(0, len(part["open_time"]) - missing), None)))
        missing -= len(parts[-1]["open_time"])
        until = since
    return series.columns(joined(parts[::-1]))


def series(connection: sqlite3.Connection) -> list[SeriesInfo]:
    """What is stored, by exchange, symbol and timeframe. ``rows`` counts every revision."""
    found = connection.execute(
        "SELECT s.exchange, s.symbol, s.timeframe_s, "
        "  (SELECT min(first) FROM blob WHERE series = s.id), (SELECT max(last) FROM blob WHERE series = s.id), "
        "  (SELECT total(records) FROM blob WHERE series = s.id), "
        "  (SELECT total(length(data)) FROM blob WHERE series = s.id), "
        "  (SELECT min(open_time) FROM tail WHERE series = s.id), "
        "  (SELECT max(open_time) FROM tail WHERE series = s.id), "
        "  (SELECT count(*) FROM tail WHERE series = s.id) "
        "FROM series s ORDER BY s.exchange, s.symbol, s.timeframe_s"
    )
    out = []
    for exchange, symbol, timeframe_s, first, last, records, size, tail_first, tail_last, tail_rows in found:
        times = [time for time in (first, last, tail_first, tail_last) if time is not None]
        if times:
            rows, held = int(records) + tail_rows, int(size) + tail_rows * RECORD.itemsize
            out.append(SeriesInfo(exchange, symbol, timeframe_s, min(times), max(times), rows, held))
    return out


def _known(rows: Table, as_of_ns: int) -> Table:
    return picked(rows, rows["known_at"] <= as_of_ns)


def _found(connection: sqlite3.Connection, name: Name) -> _Series | None:
    row = connection.execute(
        "SELECT id, price_scale, size_scale FROM series WHERE exchange = ? AND symbol = ? AND timeframe_s = ?", name
    ).fetchone()
    return None if row is None else _Series(connection, name, row)


def _nothing(name: Name, series: _Series | None) -> CandleColumns:
    if series is None:
        return to_columns(empty(0), name.timeframe_s, 0, 0)
    return series.columns(empty(0))
