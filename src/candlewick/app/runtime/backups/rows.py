"""Rows of any table of a service's database: read in blocks, put back, and told apart by a checksum.

The statements are those that SQLite and PostgreSQL share, so what one wrote the other reads.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence

import msgspec

from candlewick.ports.database import Column, Row, Table, Transaction, Value

BLOCK_ROWS = 10_000
_encode = msgspec.msgpack.Encoder().encode


class Checksum:
    """Of a set of rows: their SHA-256s summed modulo 2^256, so the order in which a database gives them is nothing to
    it, and a row that is there twice is not lost."""

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        self._sum += sum(int.from_bytes(hashlib.sha256(_encode(row)).digest(), "big") for row in rows)

    @property
    def text(self) -> str:
        return f"{self._sum % (1 << 256):064x}"


async def blocks(tx: Transaction, table: Table) -> AsyncIterator[list[Row]]:
    """Every row as the transaction sees it, at most ``BLOCK_ROWS`` at a time where the table has a key."""
    names = ", ".join(_quoted(column.name) for column in table.columns)
    whole = f"SELECT {names} FROM {_quoted(table.name)}"
    if not table.key:
        if rows := await tx.fetch(whole):
            yield _typed(rows, table.columns)
        return
    keys = ", ".join(map(_quoted, table.key))
    places = [[column.name for column in table.columns].index(name) for name in table.key]
    behind = f"({keys}) > ({', '.join(f':k{at}' for at in range(len(places)))})"
    last: Row | None = None
    while True:
        params: dict[str, Value] = {f"k{at}": last[place] for at, place in enumerate(places)} if last else {}
        where = f" WHERE {behind}" if last else ""
        rows = await tx.fetch(f"{whole}{where} ORDER BY {keys} LIMIT {BLOCK_ROWS}", params)
        if rows:
            last = rows[-1]
            yield _typed(rows, table.columns)
        if len(rows) < BLOCK_ROWS:
            return


async def put(tx: Transaction, table: Table, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Insert rows whose values stand in the order of ``columns``."""
    truths = {column.name for column in table.columns if column.kind == "truth"}
    names = ", ".join(_quoted(column.name) for column in columns)
    # Only a comparison is a truth in PostgreSQL and a 0 or 1 in SQLite.
    places = ", ".join(f":v{at} <> 0" if one.name in truths else f":v{at}" for at, one in enumerate(columns))
    await tx.execute_many(
        f"INSERT INTO {_quoted(table.name)} ({names}) VALUES ({places})",
        [{f"v{at}": value for at, value in enumerate(row)} for row in rows],
    )


async def checksum(tx: Transaction, table: Table) -> str:
    """Of the rows that the transaction sees."""
    found = Checksum()
    async for rows in blocks(tx, table):
        found.add(rows)
    return found.text


async def is_empty(tx: Transaction, table: Table) -> bool:
    return await tx.fetch_one(f"SELECT 1 FROM {_quoted(table.name)} LIMIT 1") is None


def _typed(rows: list[Row], columns: Sequence[Column]) -> list[Row]:
    """A whole number in a column of reals is one, wherever it is kept."""
    reals = [at for at, column in enumerate(columns) if column.kind == "real"]
    if not reals:
        return rows
    return [
        tuple(float(value) if at in reals and value is not None else value for at, value in enumerate(row))
        for row in rows
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
