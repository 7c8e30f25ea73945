"""``ports.candles`` on one SQLite file: a tail table that takes every append, day blobs that reads are fast on [15].

A read is the union of the blobs and the tail rows of its window; where a row lies changes nothing about it. Folding
moves the tail rows of finished days into their blob, one blob a transaction at the least. An append that brings many
rows of one blob's span at once writes the blob directly.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np

from candlewick.adapters._candles.rows import RECORD, checked
from candlewick.adapters._sqlite.thread import SqliteThread
from candlewick.adapters.candles.sqlite import blobs, reading
from candlewick.adapters.candles.sqlite.blobs import Name
from candlewick.adapters.candles.sqlite.schema import DAY_NS, PAGE_SIZE, prepare, span_ns
from candlewick.contracts.stream import CandleColumns
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.candles import CandlesCorrupt, SeriesInfo

Fold = Callable[[sqlite3.Connection], tuple[int, tuple[int, int] | None]]

# From here on writing the blob is cheaper than the tail rows and their folding later.
_DIRECT_ROWS = 256
# One fold transaction holds the write lock for some 10 ms.
_SPANS_A_TRANSACTION = 8

_Batch = tuple[str, str, int, int, int, np.ndarray]


class SqliteCandleStore:
    """Several processes may hold stores on one file. ``durable`` makes every append wait for the disk; without it a
    power loss, never a killed process, may take the last ones. ``max_pages`` bounds the file (8 KiB pages). ``on_step``
    is told, inside the open transaction, of ``storing`` and ``folding``; tests kill there."""

    def __init__(
        self,
        path: Path,
        *,
        durable: bool = False,
        busy_timeout_s: float = 5.0,
        max_pages: int | None = None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._step = on_step
        self._thread = SqliteThread(
            path, durable=durable, busy_timeout_s=busy_timeout_s, page_size=PAGE_SIZE, max_pages=max_pages
        )

    async def open(self) -> None:
        await self._thread.open(prepare)

    async def close(self) -> None:
        await self._thread.close()

    async def append(self, exchange: str, symbol: str, rows: CandleColumns) -> int:
        return await self.append_many([(exchange, symbol, rows)])

    async def append_many(
        self, batches: list[tuple[str, str, CandleColumns]], *, mark: dict[str, int] | None = None
    ) -> int:
        """Raises NotFinal, BadCandles, StorageFull, DatabaseUnavailable; nothing of the call is kept then."""
        groups: list[_Batch] = []
        for exchange, symbol, columns in batches:
            records = checked(columns)
            for timeframe_s in np.unique(columns.timeframe).tolist():
                mine = records if len(records) == 1 else records[columns.timeframe == timeframe_s]
                groups.append((exchange, symbol, timeframe_s, columns.price_scale, columns.size_scale, mine))

        def appending(connection: sqlite3.Connection) -> int:
            new = sum(_append(connection, *group) for group in groups)
            if mark:
                connection.executemany(
                    "INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number",
                    mark.items(),
                )
            self._step("storing")
            return new

        return await self._thread.write(appending)

    async def marks(self) -> dict[str, int]:
        return await self._thread.read(lambda connection: dict(connection.execute("SELECT name, number FROM mark")))

    async def range(
        self,
        exchange: str,
        symbol: str,
        timeframe_s: int,
        start_ns: int,
        end_ns: int,
        *,
        as_of_ns: int | None = None,
        limit: int | None = None,
    ) -> CandleColumns:
        """Raises CandlesCorrupt when a blob of the window is damaged."""
        name = Name(exchange, symbol, timeframe_s)
        return await self._thread.read(
            lambda connection: reading.oldest(connection, name, start_ns, end_ns, as_of_ns, limit)
        )

    async def last(
        self, exchange: str, symbol: str, timeframe_s: int, n: int, *, before_ns: int | None = None
    ) -> CandleColumns:
        """Raises CandlesCorrupt when a blob of the window is damaged."""
        name = Name(exchange, symbol, timeframe_s)
        return await self._thread.read(lambda connection: reading.newest(connection, name, n, before_ns))

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        def dropping(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT id FROM series WHERE timeframe_s = ?", (timeframe_s,)).fetchall()
            return sum(blobs.drop_before(connection, series, timeframe_s, before_ns) for (series,) in found)

        return await self._thread.write(dropping)

    async def fold(self, now_ns: int) -> int:
        """A damaged blob keeps its new rows in the tail; the other ones are folded, then CandlesCorrupt is raised."""
        today_ns = now_ns // DAY_NS * DAY_NS
        moved, damage = 0, list[CandlesCorrupt]()
        after: tuple[int, int] = (0, -(1 << 63))
        while True:
            step = _fold_some(after, today_ns, damage)
            count, next_after = await self._thread.write(self._watched(step))
            moved += count
            if next_after is None:
                break
            after = next_after
        if damage:
            raise damage[0]
        return moved

    def _watched(self, fold: Fold) -> Fold:
        def folding(connection: sqlite3.Connection) -> tuple[int, tuple[int, int] | None]:
            done = fold(connection)
            if done[0]:
                self._step("folding")
            return done

        return folding

    async def series(self) -> list[SeriesInfo]:
        return await self._thread.read(reading.series)

    async def check(self) -> str | None:
        try:
            await self._thread.read(lambda connection: connection.execute("SELECT count(*) FROM series").fetchone())
        except CandlewickError as error:
            return str(error)
        return None

    async def discard_damaged(self, exchange: str, symbol: str, timeframe_s: int, at_ns: int) -> bool:
        """Forget the blob that holds the instant ``at_ns`` if it fails its checksum, so that what it held can be
        fetched again; True if there was such a blob. A sound blob stays."""
        name = Name(exchange, symbol, timeframe_s)
        return await self._thread.write(lambda connection: blobs.discard_damaged(connection, name, at_ns))


def _append(
    connection: sqlite3.Connection,
    exchange: str,
    symbol: str,
    timeframe_s: int,
    price_scale: int,
    size_scale: int,
    records: np.ndarray,
) -> int:
    name = Name(exchange, symbol, timeframe_s)
    series = _series(connection, name, price_scale, size_scale)
    span = span_ns(timeframe_s)
    starts = records["open_time"] // span * span
    new = 0
    for start in np.unique(starts).tolist():
        mine = records if starts[0] == starts[-1] == start and len(records) < 3 else records[starts == start]
        new += _append_span(connection, name, series, start, mine)
    return new


def _append_span(connection: sqlite3.Connection, name: Name, series: int, start: int, records: np.ndarray) -> int:
    times = records["open_time"]
    key = (series, start)
    known = connection.execute("SELECT first, last FROM blob WHERE series = ? AND start = ?", key).fetchone()
    try:
        if len(records) >= _DIRECT_ROWS:
            return blobs.merge(connection, name, series, start, records).added
        if known is not None and times.min() <= known[1] and times.max() >= known[0]:
            records = blobs.not_in(connection, name, series, start, records)
    except CandlesCorrupt:
        # What arrives is kept whatever became of its neighbours; identities are settled when the blob is mended.
        pass
    data = records.tobytes()
    size = RECORD.itemsize
    cursor = connection.executemany(
        "INSERT OR IGNORE INTO tail VALUES (?, ?, ?, ?, ?)",
        (
            (series, time, revision, origin, data[i * size : (i + 1) * size])
            for i, (time, revision, origin) in enumerate(
                zip(
                    records["open_time"].tolist(), records["revision"].tolist(), records["origin"].tolist(), strict=True
                )
            )
        ),
    )
    return max(cursor.rowcount, 0)


def _series(connection: sqlite3.Connection, name: Name, price_scale: int, size_scale: int) -> int:
    row = connection.execute(
        "SELECT id, price_scale, size_scale FROM series WHERE exchange = ? AND symbol = ? AND timeframe_s = ?", name
    ).fetchone()
    if row is None:
        cursor = connection.execute(
            "INSERT INTO series (exchange, symbol, timeframe_s, price_scale, size_scale) VALUES (?, ?, ?, ?, ?)",
            (*name, price_scale, size_scale),
        )
        return int(cursor.lastrowid or 0)
    if price_scale > row[1] or size_scale > row[2]:
        connection.execute(
            "UPDATE series SET price_scale = max(price_scale, ?), size_scale = max(size_scale, ?) WHERE id = ?",
            (price_scale, size_scale, row[0]),
        )
    return int(row[0])


def _fold_some(after: tuple[int, int], today_ns: int, damage: list[CandlesCorrupt]) -> Fold:
    """Fold the next few spans behind ``after`` (series, open time); says how many rows moved and where it stopped."""

    def folding(connection: sqlite3.Connection) -> tuple[int, tuple[int, int] | None]:
        moved = 0
        series, since = after
        for _ in range(_SPANS_A_TRANSACTION):
            row = connection.execute(
                "SELECT s.id, s.exchange, s.symbol, s.timeframe_s, "
                "  (SELECT min(t.open_time) FROM tail t WHERE t.series = s.id AND t.open_time >= ?) AS oldest "
                "FROM series s WHERE s.id = ? AND oldest < ?",
                (since, series, today_ns),
            ).fetchone()
            if row is None:
                following = connection.execute("SELECT min(id) FROM series WHERE id > ?", (series,)).fetchone()[0]
                if following is None:
                    return moved, None
                series, since = following, -(1 << 63)
                continue
            span = span_ns(row[3])
            start = row[4] // span * span
            try:
                moved += blobs.merge(connection, Name(*row[1:4]), series, start, None, until=today_ns).absorbed
            except CandlesCorrupt as error:
                damage.append(error)
            since = start + span
        return moved, (series, since)

    return folding
