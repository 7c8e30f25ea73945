"""Reading a series: what ``held`` says there is, fetched by COPY, one best row an open time.

A read of many partitions is several statements: each locks only what it touches, and lets go of it. Rows are only ever
added, so that changes no open time that was there when the read began.
"""

import asyncio
from typing import Any, NamedTuple

from candlewick.adapters._candles import blob
from candlewick.adapters._candles.best import best
from candlewick.adapters._candles.rows import FIELDS, Table, empty, joined, picked, to_columns
from candlewick.adapters._postgres.connections import Connections, through
from candlewick.adapters._postgres.errors import is_lost, translating
from candlewick.adapters.candles.postgres.schema import span_ns, table_of
from candlewick.adapters.candles.postgres.wire import NotCopy, decoded
from candlewick.adapters.candles.postgres.writing import Name
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import NAMES
from candlewick.ports.candles import CandlesCorrupt, SeriesInfo
from candlewick.ports.database import DatabaseCorrupt

# Each partition takes three locks for as long as the statement runs; the server's table has a few thousand.
_PARTITIONS_A_STATEMENT = 64
_EVER = (1 << 63) - 1
_NEVER = -(1 << 63)
_READ_S = 600.0


class Span(NamedTuple):
    """What a series has in one partition."""

    start_ns: int
    records: int
    first_ns: int
    last_ns: int
    is_packed: bool


class Reader:
    """Reads over one connection."""

    def __init__(self, connection: Any, where: str, name: Name, found: tuple[int, int, int]) -> None:
        self._connection = connection
        self._where = where
        self._name = name
        self._id, self._price_scale, self._size_scale = found

    async def spans(self, start_ns: int, end_ns: int, newest: int | None = None) -> list[Span]:
        """Partitions that hold rows of the window, oldest first; only the ``newest`` of them if given."""
        after = max(start_ns - span_ns(self._name.timeframe_s), _NEVER)
        rows = await self._connection.fetch(
            "SELECT start_ns, h.records, first_ns, last_ns, coalesce(p.records = h.records, false) "
            "FROM candles.held h LEFT JOIN candles.packed p USING (series, start_ns) WHERE series = $1 "
            "AND start_ns > $2 AND start_ns < $3 AND last_ns >= $4 AND first_ns < $3 ORDER BY start_ns DESC LIMIT $5",
            self._id,
            after,
            end_ns,
            start_ns,
            newest,
        )
        return [Span(*row) for row in rows[::-1]]

    async def rows(
        self, start_ns: int, end_ns: int, as_of_ns: int | None = None, *, most: int = 0, newest: bool = False
    ) -> Table:
        """All known rows of [start_ns, end_ns), oldest first; at most ``most`` from the older end, or from the newer
        one if ``newest``."""
        query = self._query(start_ns, end_ns, as_of_ns)
        if most:
            query += f"{' DESC' if newest else ''} LIMIT {most}"
        table = await self._decoded(start_ns, end_ns, await self._copied(start_ns, end_ns, query))
        return picked(table, slice(None, None, -1)) if newest else table

    async def _copied(self, start_ns: int, end_ns: int, query: str) -> list[bytes]:
        parts: list[bytes] = []

        async def keep(data: bytes) -> None:
            parts.append(data)

        try:
            with translating(self._where):
                await self._connection.copy_from_query(query, output=keep, format="binary", timeout=_READ_S)
        except DatabaseCorrupt as error:
            raise self._corrupt(start_ns, end_ns, error) from error
        return parts

    async def _decoded(self, start_ns: int, end_ns: int, parts: list[bytes]) -> Table:
        try:
            return await asyncio.to_thread(decoded, parts)
        except NotCopy as error:
            raise self._corrupt(start_ns, end_ns, error) from error

    def _query(self, start_ns: int, end_ns: int, as_of_ns: int | None) -> str:
        where = f"series = {self._id} AND open_time >= {start_ns} AND open_time < {end_ns}"
        if as_of_ns is not None:
            where += f" AND known_at <= {as_of_ns}"
        return f"SELECT {', '.join(FIELDS)} FROM {table_of(self._name.timeframe_s)} WHERE {where} ORDER BY open_time"

    async def window(self, start_ns: int, end_ns: int, as_of_ns: int | None) -> Table:
        """The best rows of [start_ns, end_ns)."""
        spans = await self.spans(start_ns, end_ns)
        if not spans:
            return empty(0)
        # One statement's rows are decoded on a thread while the next one's arrive.
        decoding: list[asyncio.Task[Table]] = []
        try:
            for is_packed, some in _runs(spans):
                if is_packed:
                    values = await self._packed([span.start_ns for span in some])
                    decoding.append(asyncio.ensure_future(self._unpacked(start_ns, end_ns, as_of_ns, values)))
                    continue
                first, last = max(start_ns, some[0].first_ns), min(end_ns, some[-1].last_ns + 1)
                parts = await self._copied(first, last, self._query(first, last, as_of_ns))
                decoding.append(asyncio.ensure_future(self._decoded(first, last, parts)))
            tables = await asyncio.gather(*decoding)
        finally:
            for task in decoding:
                task.cancel()
        return await asyncio.to_thread(lambda: best(joined(list(tables))))

    async def _packed(self, starts: list[int]) -> list[bytes]:
        rows = await self._connection.fetch(
            "SELECT data FROM candles.packed WHERE series = $1 AND start_ns = ANY ($2::bigint[]) ORDER BY start_ns",
            self._id,
            starts,
        )
        return [row[0] for row in rows]

    async def _unpacked(self, start_ns: int, end_ns: int, as_of_ns: int | None, values: list[bytes]) -> Table:
        def work() -> Table:
            table = blob.decoded(values)
            times = table["open_time"]
            is_asked = (times >= start_ns) & (times < end_ns)
            if as_of_ns is not None:
                is_asked &= table["known_at"] <= as_of_ns
            return table if is_asked.all() else picked(table, is_asked)

        try:
            return await asyncio.to_thread(work)
        except blob.NotABlob as error:
            raise self._corrupt(start_ns, end_ns, error) from error

    async def oldest(self, n: int, start_ns: int, end_ns: int, as_of_ns: int | None) -> Table:
        """The best rows of the ``n`` oldest open times of the window."""
        spans = await self.spans(start_ns, end_ns)
        parts = [empty(0)]
        missing, most, since = n, 0, start_ns
        while missing > 0 and spans and since < end_ns:
            taken = _enough(spans, missing)
            until = min(end_ns, spans[taken - 1].last_ns + 1)
            most = max(_with_room(missing), most)
            found = await self.rows(since, until, as_of_ns, most=most)
            if len(found["open_time"]) == most:
                # The last open time may have more rows behind the limit.
                until = int(found["open_time"][-1])
                found = picked(found, found["open_time"] < until)
                most = most * 2 if until == since else 0
            part = picked(best(found), slice(0, missing))
            parts.append(part)
            missing -= len(part["open_time"])
            since = until
            spans = [span for span in spans if span.last_ns >= since]
        return joined(parts)

    async def newest(self, n: int, end_ns: int) -> Table:
        """The best rows of the ``n`` newest open times before an instant."""
        parts = [empty(0)]
        missing, most, until = n, 0, end_ns
        while missing > 0:
            spans = await self.spans(_NEVER, until, newest=_PARTITIONS_A_STATEMENT)
            if not spans:
                break
            taken = _enough(spans[::-1], missing)
            since = spans[-taken].first_ns
            most = max(_with_room(missing), most)
            found = await self.rows(since, min(until, spans[-1].last_ns + 1), most=most, newest=True)
            if len(found["open_time"]) == most:
                since = int(found["open_time"][0]) + 1
                found = picked(found, found["open_time"] >= since)
                most = most * 2 if not len(found["open_time"]) else 0
                since = until if most else since
            part = best(found)
            part = picked(part, slice(max(0, len(part["open_time"]) - missing), None))
            parts.append(part)
            missing -= len(part["open_time"])
            until = since
        return joined(parts[::-1])

    def columns(self, rows: Table) -> CandleColumns:
        """At the series' scales, or larger ones that came while it was read."""
        if not len(rows["open_time"]):
            return to_columns(rows, self._name.timeframe_s, self._price_scale, self._size_scale)
        price_scale = max(self._price_scale, int(rows["price_scale"].max()))
        size_scale = max(self._size_scale, int(rows["size_scale"].max()))
        return to_columns(rows, self._name.timeframe_s, price_scale, size_scale)

    def _corrupt(self, start_ns: int, end_ns: int, error: Exception) -> CandlesCorrupt:
        name = self._name
        timeframe = NAMES.get(name.timeframe_s, f"{name.timeframe_s} s")
        return CandlesCorrupt(
            f"stored candles of {name.exchange}:{name.symbol} {timeframe} from {start_ns!r} to {end_ns!r} ns "
            f"are damaged: {error}",
            hint="Other days stay readable; restore the damaged partition from a backup or fetch it again",
        )


async def oldest(
    connections: Connections, name: Name, start_ns: int, end_ns: int, as_of_ns: int | None, limit: int | None
) -> CandleColumns:
    """The best rows of [start_ns, end_ns), at most ``limit`` of the oldest."""
    start_ns, end_ns = max(start_ns, _NEVER), min(end_ns, _EVER)

    async def read(reader: Reader) -> Table:
        if end_ns <= start_ns or (limit is not None and limit <= 0):
            return empty(0)
        if limit is None:
            return await reader.window(start_ns, end_ns, as_of_ns)
        return await reader.oldest(limit, start_ns, end_ns, as_of_ns)

    return await _read(connections, name, read)


async def newest(connections: Connections, name: Name, n: int, before_ns: int | None) -> CandleColumns:
    """The newest ``n`` best rows before an instant, oldest first."""
    return await _read(connections, name, lambda reader: reader.newest(n, _EVER if before_ns is None else before_ns))


async def series(connections: Connections, sizes: str) -> list[SeriesInfo]:
    """What is stored. A series' bytes are its share, by rows, of what its timeframe takes on disk (``sizes``), indexes
    included."""
    rows = await connections.once(
        f"WITH sizes AS ({sizes}), "
        "held AS (SELECT series, min(first_ns) AS first_ns, max(last_ns) AS last_ns, sum(records) AS records "
        "FROM candles.held GROUP BY 1) "
        "SELECT exchange, symbol, timeframe_s, first_ns, last_ns, records::bigint, greatest(1, (bytes * records "
        "/ sum(records) OVER (PARTITION BY timeframe_s))::bigint) "
        "FROM held JOIN candles.series ON id = series JOIN sizes USING (timeframe_s) ORDER BY 1, 2, 3"
    )
    return [SeriesInfo(*row) for row in rows]


async def _read(connections: Connections, name: Name, read: Any) -> CandleColumns:
    for left in range(connections.size, -1, -1):
        connection = await connections.take()
        try:
            with translating(connections.where):
                found = await connection.fetchrow(
                    "SELECT id, price_scale, size_scale FROM candles.series "
                    "WHERE exchange = $1 AND symbol = $2 AND timeframe_s = $3",
                    *name,
                )
                if found is None:
                    return to_columns(empty(0), name.timeframe_s, 0, 0)
                reader = Reader(connection, connections.where, name, tuple(found))
                return reader.columns(await read(reader))
        except Exception as error:
            if left and is_lost(error.__cause__ or error):
                continue
            raise
        finally:
            await through(connections.give_back(connection))
    raise AssertionError("unreachable")


def _runs(spans: list[Span]) -> list[tuple[bool, list[Span]]]:
    """Neighbours that are read alike, for one statement each."""
    runs: list[tuple[bool, list[Span]]] = []
    for span in spans:
        if not runs or runs[-1][0] != span.is_packed or len(runs[-1][1]) == _PARTITIONS_A_STATEMENT:
            runs.append((span.is_packed, []))
        runs[-1][1].append(span)
    return runs


def _enough(spans: list[Span], missing: int) -> int:
    """How many of the spans hold the missing rows, if each is read but for its first half at worst."""
    counted = 0
    for at, span in enumerate(spans[:_PARTITIONS_A_STATEMENT], 1):
        # Of the first one only a part may lie in the window.
        counted += span.records if at > 1 else 0
        if counted >= missing:
            return at
    return min(len(spans), _PARTITIONS_A_STATEMENT)


def _with_room(missing: int) -> int:
    """Rows to ask for, so that a few revisions need no second question."""
    return missing + missing // 8 + 16
