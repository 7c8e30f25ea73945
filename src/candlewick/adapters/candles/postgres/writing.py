"""Appending: few rows by one statement, many by COPY. Everything here runs inside the caller's transaction."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters._candles.rows import UNSIGNED, Table, joined, picked
from candlewick.adapters.candles.postgres.schema import span_ns, table_of
from candlewick.adapters.candles.postgres.wire import COLUMNS, HEADER, TRAILER, TYPES, encoded

# From here on COPY is cheaper than arrays of Python numbers.
_COPY_ROWS = 500
_CHUNK_ROWS = 1 << 14
_LOAD_S = 3600.0
_LIST = ", ".join(COLUMNS)


class Name(NamedTuple):
    """Which series."""

    exchange: str
    symbol: str
    timeframe_s: int


class Known(NamedTuple):
    """A series' number and scales."""

    id: int
    price_scale: int
    size_scale: int


class Group(NamedTuple):
    """Rows of one series."""

    name: Name
    price_scale: int
    size_scale: int
    rows: Table


async def series_of(connection: Any, groups: list[Group], cached: dict[Name, Known]) -> dict[Name, Known]:
    """Numbers of the groups' series, made where missing, with scales that hold the groups' rows."""
    found: dict[Name, Known] = {}
    for group in sorted(groups, key=lambda group: group.name):
        known = found.get(group.name) or cached.get(group.name)
        if known is None or known.price_scale < group.price_scale or known.size_scale < group.size_scale:
            row = await connection.fetchrow(
                "INSERT INTO candles.series AS s (exchange, symbol, timeframe_s, price_scale, size_scale) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (exchange, symbol, timeframe_s) DO UPDATE SET "
                "price_scale = greatest(s.price_scale, excluded.price_scale), "
                "size_scale = greatest(s.size_scale, excluded.size_scale) RETURNING id, price_scale, size_scale",
                *group.name,
                group.price_scale,
                group.size_scale,
            )
            known = Known(*row)
        found[group.name] = known
    return found


async def append(connection: Any, timeframe_s: int, groups: list[Group], series: dict[Name, Known]) -> int:
    """Keep rows of one timeframe; returns how many were new."""
    table = joined([group.rows for group in groups])
    ids = np.concatenate([np.full(len(g.rows["open_time"]), series[g.name].id, np.int32) for g in groups])
    table, ids = _by_identity(table, ids)
    if not len(ids):
        return 0
    if len(ids) < _COPY_ROWS:
        arrays = [_values(table, ids, name) for name in COLUMNS]
        source = ", ".join(f"${at}::{TYPES[name]}[]" for at, name in enumerate(COLUMNS, 1))
        return int(await connection.fetchval(_keeping(timeframe_s, f"unnest({source}) AS sent ({_LIST})"), *arrays))
    if await _is_new_ground(connection, timeframe_s, table, ids):
        await _copy(connection, table_of(timeframe_s), table, ids)
        await _count(connection, timeframe_s, table, ids)
        return len(ids)
    columns = ", ".join(f"{name} {TYPES[name]}" for name in COLUMNS)
    staged = f"staged_{timeframe_s}"
    await connection.execute(f"CREATE TEMPORARY TABLE {staged} ({columns}) ON COMMIT DROP")
    await _copy(connection, f"pg_temp.{staged}", table, ids)
    return int(await connection.fetchval(_keeping(timeframe_s, f"pg_temp.{staged}")))


async def mark(connection: Any, marks: dict[str, int]) -> None:
    """Set inbox marks."""
    names = sorted(marks)
    await connection.execute(
        "INSERT INTO candles.mark SELECT * FROM unnest($1::text[], $2::bigint[]) "
        "ON CONFLICT (name) DO UPDATE SET number = excluded.number",
        names,
        [marks[name] for name in names],
    )


def _keeping(timeframe_s: int, source: str) -> str:
    """Keep what is not there yet, count it a partition, and say how much it was. In the order of the keys, so that two
    who append the same rows wait for one another instead of dead-locking."""
    span = span_ns(timeframe_s)
    return (
        f"WITH new AS (INSERT INTO {table_of(timeframe_s)} ({_LIST}) SELECT {_LIST} FROM {source} "
        "ORDER BY series, open_time, revision, origin ON CONFLICT DO NOTHING RETURNING series, open_time), "
        f"counted AS (SELECT series, open_time - mod(mod(open_time, {span}) + {span}, {span}) AS start_ns, "
        "count(*) AS records, min(open_time) AS first_ns, max(open_time) AS last_ns FROM new GROUP BY 1, 2), "
        "told AS (INSERT INTO candles.held AS h SELECT * FROM counted ORDER BY series, start_ns "
        f"{_COUNT_CONFLICT}) SELECT coalesce(sum(records), 0) FROM counted"
    )


_COUNT_CONFLICT = (
    "ON CONFLICT (series, start_ns) DO UPDATE SET records = h.records + excluded.records, "
    "first_ns = least(h.first_ns, excluded.first_ns), last_ns = greatest(h.last_ns, excluded.last_ns)"
)


async def _is_new_ground(connection: Any, timeframe_s: int, table: Table, ids: NDArray[Any]) -> bool:
    """True if the series have nothing in these partitions, so that nothing can be there twice. Somebody who appends
    the same rows this instant is caught by the primary key."""
    at = _firsts(timeframe_s, table, ids)
    found = await connection.fetchval(
        "SELECT true FROM candles.held JOIN unnest($1::integer[], $2::bigint[]) AS sent (series, start_ns) "
        "USING (series, start_ns) LIMIT 1",
        ids[at].tolist(),
        _starts(timeframe_s, table)[at].tolist(),
    )
    return found is None


async def _count(connection: Any, timeframe_s: int, table: Table, ids: NDArray[Any]) -> None:
    at = _firsts(timeframe_s, table, ids)
    ends = np.append(at[1:], len(ids))
    columns = (
        ids[at],
        _starts(timeframe_s, table)[at],
        ends - at,
        table["open_time"][at],
        table["open_time"][ends - 1],
    )
    await connection.execute(
        "INSERT INTO candles.held AS h SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], "
        f"$5::bigint[]) {_COUNT_CONFLICT}",
        *(column.tolist() for column in columns),
    )


def _firsts(timeframe_s: int, table: Table, ids: NDArray[Any]) -> NDArray[Any]:
    """Where each (series, partition) begins in rows sorted by identity."""
    starts = _starts(timeframe_s, table)
    is_first = np.ones(len(ids), np.bool_)
    is_first[1:] = (starts[1:] != starts[:-1]) | (ids[1:] != ids[:-1])
    return np.flatnonzero(is_first)


def _starts(timeframe_s: int, table: Table) -> NDArray[Any]:
    span = span_ns(timeframe_s)
    starts: NDArray[Any] = table["open_time"] // span * span
    return starts


async def _copy(connection: Any, target: str, table: Table, ids: NDArray[Any]) -> None:
    async def records() -> AsyncIterator[bytes]:
        yield HEADER
        for at in range(0, len(ids), _CHUNK_ROWS):
            yield await asyncio.to_thread(encoded, table, ids, slice(at, at + _CHUNK_ROWS))
        yield TRAILER

    schema, name = target.split(".")
    await connection.copy_to_table(
        name, schema_name=schema, source=records(), columns=list(COLUMNS), format="binary", timeout=_LOAD_S
    )


def _by_identity(table: Table, ids: NDArray[Any]) -> tuple[Table, NDArray[Any]]:
    """Sorted by (series, open_time, revision, origin); of equal identities the first one stays."""
    keys = (ids, table["open_time"], table["revision"], table["origin"])
    order = np.lexsort(keys[::-1])
    is_new = np.ones(len(order), np.bool_)
    ordered = [key[order] for key in keys]
    is_new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in ordered])
    chosen = order[is_new]
    return picked(table, chosen), ids[chosen]


def _values(table: Table, ids: NDArray[Any], name: str) -> list[int]:
    column = ids if name == "series" else table[name]
    values: list[int] = (column.view(np.int64) if name in UNSIGNED else column).tolist()
    return values
