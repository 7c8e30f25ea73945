"""Operator state in the log's file, with a cache in front: what this process wrote it need not read again."""

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from candlewick.adapters._sqlite.faults import translated

_COLD_BYTES = 32 << 20
# One statement holds many rows, because the interpreter lock is let go and taken back at every step of SQLite.
_CHUNKS = (32, 4, 1)
_ENTRY_OVERHEAD = 200

Statement = tuple[str, Sequence[Sequence[Any]]]
_HOT = "INSERT INTO stream_state VALUES {} ON CONFLICT (operator, log, key) DO UPDATE SET hot = excluded.hot"
_COLD = "INSERT INTO stream_cold VALUES {} ON CONFLICT (operator, log, key, name) DO UPDATE SET value = excluded.value"
_FORGET = "DELETE FROM stream_cold WHERE (operator, log, key, name) IN (VALUES {})"

Place = tuple[int, str]  # partition number, key


class OperatorState:
    """Hot and cold state by (partition number, key). Changes are visible at once and drained with each round.

    A cached cold entry is let go of only once the round that wrote it was committed.
    """

    def __init__(self, operator: str) -> None:
        self._operator = operator
        self._hot: dict[Place, bytes | None] = {}
        self._cold: OrderedDict[tuple[int, str, bytes], tuple[bytes | None, int]] = OrderedDict()
        self._cold_bytes = 0
        self._dirty_hot: set[Place] = set()
        self._dirty_cold: set[tuple[int, str, bytes]] = set()
        self._round = 1
        self._committed = 0

    def hot(self, connection: sqlite3.Connection, place: Place) -> bytes | None:
        """The state of a key, None when it has none."""
        try:
            return self._hot[place]
        except KeyError:
            row = self._one(
                connection, "SELECT hot FROM stream_state WHERE operator = ? AND log = ? AND key = ?", place
            )
            self._hot[place] = row
            return row

    def cold(
        self, connection: sqlite3.Connection, place: Place, names: Sequence[bytes]
    ) -> Mapping[bytes, bytes | None]:
        """The entries of these names."""
        return {name: self._entry(connection, (*place, name)) for name in names}

    def _entry(self, connection: sqlite3.Connection, entry: tuple[int, str, bytes]) -> bytes | None:
        known = self._cold.get(entry)
        if known is not None:
            return known[0]
        sql = "SELECT value FROM stream_cold WHERE operator = ? AND log = ? AND key = ? AND name = ?"
        return self._one(connection, sql, entry)

    def _one(self, connection: sqlite3.Connection, sql: str, place: tuple[Any, ...]) -> bytes | None:
        try:
            row = connection.execute(sql, (self._operator, *place)).fetchone()
        except sqlite3.Error as error:
            raise translated(error, "reading operator state") from error
        return None if row is None else bytes(row[0])

    def put(self, place: Place, hot: bytes, cold: Mapping[bytes, bytes | None]) -> None:
        """What one message did."""
        self._hot[place] = hot
        self._dirty_hot.add(place)
        for name, value in cold.items():
            entry = (*place, name)
            before = self._cold.pop(entry, None)
            if before is not None:
                self._cold_bytes -= _size(before[0])
            self._cold[entry] = (value, self._round)
            self._cold_bytes += _size(value)
            self._dirty_cold.add(entry)

    def drain(self) -> list[Statement]:
        """The changes of this round as statements; the next round begins."""
        hot = [(self._operator, *place, self._hot[place]) for place in sorted(self._dirty_hot)]
        kept: list[tuple[Any, ...]] = []
        gone: list[tuple[Any, ...]] = []
        for entry in sorted(self._dirty_cold):
            value = self._cold[entry][0]
            if value is None:
                gone.append((self._operator, *entry))
            else:
                kept.append((self._operator, *entry, value))
        self._dirty_hot.clear()
        self._dirty_cold.clear()
        self._round += 1
        return [*_chunked(_HOT, hot), *_chunked(_COLD, kept), *_chunked(_FORGET, gone)]

    def committed(self, rounds: int) -> None:
        """The oldest ``rounds`` rounds not yet committed are; what they cached may leave."""
        self._committed += rounds
        while self._cold_bytes > _COLD_BYTES and self._cold:
            entry = next(iter(self._cold))
            value, written = self._cold[entry]
            if written > self._committed:
                break
            del self._cold[entry]
            self._cold_bytes -= _size(value)

    def forget(self) -> None:
        """Believe nothing but the file: after a failed commit, or when partitions went away."""
        self._hot.clear()
        self._cold.clear()
        self._cold_bytes = 0
        self._dirty_hot.clear()
        self._dirty_cold.clear()
        self._committed = self._round - 1


def _size(value: bytes | None) -> int:
    return _ENTRY_OVERHEAD + (len(value) if value is not None else 0)


def _chunked(sql: str, rows: list[tuple[Any, ...]]) -> list[Statement]:
    statements: list[Statement] = []
    at = 0
    for size in _CHUNKS:
        count = (len(rows) - at) // size
        if count:
            values = ",".join(["(" + ",".join("?" * len(rows[0])) + ")"] * size)
            groups = [rows[at + i * size : at + (i + 1) * size] for i in range(count)]
            flat = [[item for row in group for item in row] for group in groups]
            statements.append((sql.format(values), flat))
            at += count * size
    return statements
