"""``ports.candles`` on a PostgreSQL database: a row a candle, tables cut by day, bulk in and out by COPY [15]."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np

from candlewick.adapters._candles.rows import checked, from_records
from candlewick.adapters._postgres.commits import NUMBER, commit
from candlewick.adapters._postgres.connections import Connections, through
from candlewick.adapters._postgres.errors import sqlstate, translating
from candlewick.adapters.candles.postgres import packing, reading, writing
from candlewick.adapters.candles.postgres.hypertables import Hypertables
from candlewick.adapters.candles.postgres.partitions import Partitions
from candlewick.adapters.candles.postgres.replica import Replica
from candlewick.adapters.candles.postgres.schema import Layout, prepare, span_ns
from candlewick.adapters.candles.postgres.writing import Group, Known, Name
from candlewick.contracts.stream import CandleColumns
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.ports.candles import SeriesInfo
from candlewick.ports.database import DatabaseUnavailable

T = TypeVar("T")

# No partition for the row; the key is there already, where none was when COPY began.
_MEANWHILE = frozenset({"23514", "23505"})
_TRIES = 5


class PostgresCandleStore:
    """Several processes may hold stores on one database.

    With ``replica_url`` reads go to that standby as long as what it shows was the whole truth at most
    ``max_staleness_s`` ago and holds what this store appended; else, and when it fails, to the primary. ``on_step`` is
    told, inside the open transaction, of ``storing``; tests kill there.
    """

    def __init__(
        self,
        url: str,
        *,
        replica_url: str | None = None,
        max_staleness_s: float = 2.0,
        connections: int = 8,
        busy_timeout_s: float = 5.0,
        settle_timeout_s: float = 15.0,
        name: str = "candlewick candles",
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        def pool(to: str) -> Connections:
            return Connections(to, size=connections, lock_timeout_s=busy_timeout_s, command_timeout_s=600.0, name=name)

        self._connections = pool(url)
        self._replica = Replica(self._connections, pool(replica_url), max_staleness_s) if replica_url else None
        self._settle_timeout_s = settle_timeout_s
        self._layout: Layout = Partitions(self._connections)
        self._series: dict[Name, Known] = {}
        self._step = on_step

    async def open(self) -> None:
        await self._connections.open()
        kind = await prepare(self._connections)
        self._layout = (Hypertables if kind == "hypertables" else Partitions)(self._connections)

    @property
    def layout(self) -> str:
        """How an open store keeps its rows: ``partitions``, or ``hypertables`` where the database had TimescaleDB when
        it was opened first."""
        return self._layout.kind

    async def close(self) -> None:
        if self._replica is not None:
            await self._replica.close()
        await self._connections.close()

    def abandon(self) -> None:
        """Drop every connection without a word, as a killed process does."""
        self._connections.abandon()
        if self._replica is not None:
            self._replica.connections.abandon()

    async def append(self, exchange: str, symbol: str, rows: CandleColumns) -> int:
        return await self.append_many([(exchange, symbol, rows)])

    async def append_many(
        self, batches: list[tuple[str, str, CandleColumns]], *, mark: dict[str, int] | None = None
    ) -> int:
        """Raises NotFinal, BadCandles, StorageFull, DatabaseUnavailable; nothing of the call is kept then."""
        groups = _grouped(batches)
        if not any(groups.values()) and not mark:
            return 0
        wanted = {
            (timeframe_s, start)
            for timeframe_s, some in groups.items()
            for group in some
            for start in np.unique(group.rows["open_time"] // span_ns(timeframe_s) * span_ns(timeframe_s)).tolist()
        }
        for _ in range(_TRIES):
            await self._layout.ensure(wanted)
            try:
                return await through(self._append(groups, mark))
            except Exception as error:
                if sqlstate(error.__cause__ or error) not in _MEANWHILE:
                    raise
                self._layout.forget()
        raise DatabaseUnavailable(f"the same candles keep changing meanwhile, was {self._connections.where!r}")

    async def _append(self, groups: dict[int, list[Group]], mark: dict[str, int] | None) -> int:
        async with self._connections.writing() as connection:
            with translating(self._connections.where):
                number = await connection.fetchval(f"SELECT {NUMBER}")
                series = await writing.series_of(
                    connection, [g for some in groups.values() for g in some], self._series
                )
                new = 0
                for timeframe_s in sorted(groups):
                    new += await writing.append(connection, timeframe_s, groups[timeframe_s], series)
                if mark:
                    await writing.mark(connection, mark)
                self._step("storing")
                await commit(self._connections, connection, number, self._settle_timeout_s)
        self._series.update(series)
        if self._replica is not None:
            self._replica.wrote()
        return new

    async def marks(self) -> dict[str, int]:
        return dict(await self._connections.once("SELECT name, number FROM candles.mark"))

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
        """Raises CandlesCorrupt when a partition of the window is damaged."""
        name = Name(exchange, symbol, timeframe_s)
        return await self._read(lambda at: reading.oldest(at, name, start_ns, end_ns, as_of_ns, limit))

    async def last(
        self, exchange: str, symbol: str, timeframe_s: int, n: int, *, before_ns: int | None = None
    ) -> CandleColumns:
        """Raises CandlesCorrupt when a partition of the window is damaged."""
        name = Name(exchange, symbol, timeframe_s)
        return await self._read(lambda at: reading.newest(at, name, n, before_ns))

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        """Waits for the reads that run and lets the next ones wait while partitions are dropped."""
        try:
            return await through(self._layout.drop_before(timeframe_s, before_ns))
        finally:
            self._layout.forget()
            if self._replica is not None:
                self._replica.wrote()

    async def fold(self, now_ns: int) -> int:
        """No row moves, so 0: it lies in its day's table from the first. Days that are over get a copy of their rows as
        one value, which is what reads of long windows fetch."""
        await self._layout.settle()
        await packing.pack(self._connections, now_ns)
        return 0

    async def series(self) -> list[SeriesInfo]:
        return await self._read(lambda at: reading.series(at, self._layout.sizes))

    async def check(self) -> str | None:
        try:
            ((is_standby,),) = await self._connections.once("SELECT pg_is_in_recovery() FROM candles.version LIMIT 1")
        except CandlewickError as error:
            return str(error)
        return f"the server is a standby and takes no writes, was {self._connections.where!r}" if is_standby else None

    async def _read(self, read: Callable[[Connections], Awaitable[T]]) -> T:
        replica = self._replica
        if replica is not None and await replica.is_fresh():
            try:
                return await read(replica.connections)
            except Retryable:
                # Gone, or its replay had to cancel the query: the primary answers.
                replica.failed()
        return await read(self._connections)


def _grouped(batches: list[tuple[str, str, CandleColumns]]) -> dict[int, list[Group]]:
    """Rows by timeframe and series. Raises NotFinal, BadCandles."""
    groups: dict[int, list[Group]] = {}
    for exchange, symbol, columns in batches:
        records = checked(columns)
        for timeframe_s in np.unique(columns.timeframe).tolist():
            mine: Any = records if len(records) == 1 else records[columns.timeframe == timeframe_s]
            name = Name(exchange, symbol, timeframe_s)
            groups.setdefault(timeframe_s, []).append(
                Group(name, columns.price_scale, columns.size_scale, from_records(mine))
            )
    return groups
