"""What one writing transaction does: requests of several callers, one commit."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from candlewick.adapters._sqlite.reader import MARK_NS, checksum, size_of
from candlewick.adapters._sqlite.schema import epoch_of, first_offset
from candlewick.kernel.errors import Fenced

# One statement holds many rows: sqlite3 lets go of the interpreter lock at every step, and taking it back beside a busy
# event loop costs up to its 5 ms switch interval; one row a step would pay that for every record.
_CHUNKS = (64, 8, 1)
_INSERT = {n: "INSERT INTO record VALUES " + ",".join(["(?,?,?,?,?,?,?)"] * n) for n in _CHUNKS}
_GROWN = """INSERT INTO partition (log, records, bytes, last_id) VALUES (?, ?, ?, ?) ON CONFLICT (log) DO UPDATE SET
    records = records + excluded.records, bytes = bytes + excluded.bytes, last_id = excluded.last_id"""
_MOVED = """INSERT INTO group_position (grp, log, id) VALUES (?, ?, ?)
    ON CONFLICT (grp, log) DO UPDATE SET id = excluded.id"""

Step = Callable[[str], None]
Append = tuple[int, str, bytes, bytes | None]
"""(partition number, key, header, value)"""


@dataclass(slots=True)
class Positions:
    """Where a group goes on: partition number -> offset it has done. ``instance`` None: whoever owns them."""

    group: str
    offsets: dict[int, int]
    instance: int | None = None


@dataclass(slots=True)
class WriteRequest:
    """What becomes true together, or not at all.

    ``statements`` are (SQL, rows) run with executemany on this file (``stream_state`` and ``stream_cold`` are meant);
    ``run`` is called last inside the transaction and its result handed back in ``Written.value``; ``done`` is called
    with that result in the writer's thread, after the commit and in the order of commits. ``quiet`` requests wake
    nobody. ``outside`` runs ``run`` alone and outside any transaction (vacuum, checkpoints).
    """

    appends: Sequence[Append] = ()
    positions: Sequence[Positions] = ()
    statements: Sequence[tuple[str, Sequence[Sequence[Any]]]] = ()
    producer: tuple[str, int] | None = None
    run: Callable[[sqlite3.Connection], Any] | None = None
    done: Callable[[Any], None] | None = None
    quiet: bool = False
    outside: bool = False
    bytes: int = field(default=0, init=False)
    largest: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.appends:
            sizes = [size_of(key, header, value) for _, key, header, value in self.appends]
            self.bytes, self.largest = sum(sizes), max(sizes)
        for _, rows in self.statements:
            for row in rows:
                self.bytes += sum([len(item) for item in row if isinstance(item, bytes | str)])


@dataclass(frozen=True, slots=True)
class Written:
    """Where a request's records are: offsets ``first``, ``first + 1``, ... as given (0: none were appended)."""

    epoch: int
    first: int
    ts_append: int
    txn: int
    value: Any = None


def _fence(connection: sqlite3.Connection, request: WriteRequest) -> None:
    if request.producer is not None:
        name, epoch = request.producer
        row = connection.execute("SELECT epoch FROM producer WHERE transactional_id = ?", (name,)).fetchone()
        if row is None or row[0] != epoch:
            raise Fenced(f"a newer producer has taken the transactional id, was {name!r}")
    for positions in request.positions:
        if positions.instance is None:
            continue
        owned = {
            row[0]
            for row in connection.execute(
                "SELECT log FROM claim WHERE grp = ? AND instance = ?", (positions.group, positions.instance)
            )
        }
        if not owned.issuperset(positions.offsets):
            raise Fenced(f"the partitions are another member's now, committing for group {positions.group!r}")


def write(
    connection: sqlite3.Connection, requests: Sequence[WriteRequest], now_ns: int, step: Step
) -> list[Written | Exception]:
    """Run requests in one transaction: all that pass their fences are in it, the others get their Fenced.

    Raises sqlite3.Error, or what a request's own statements raised; then nothing of any request was kept.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        step("begun")
        epoch, next_id, txn, last_ts, mark_ts = connection.execute(
            "SELECT epoch, next_id, txn, last_ts, mark_ts FROM head"
        ).fetchone()
        txn += 1
        results: list[Written | Exception] = []
        rows: list[tuple[Any, ...]] = []
        grown: dict[int, list[int]] = {}
        first_new = next_id
        for request in requests:
            try:
                _fence(connection, request)
            except Fenced as fenced:
                results.append(fenced)
                continue
            first = 0
            if request.appends:
                if epoch_of(next_id + len(request.appends)) != epoch:
                    epoch += 1
                    next_id = first_offset(epoch)
                first = next_id
                for log, key, header, value in request.appends:
                    rows.append((next_id, log, now_ns, key, checksum(next_id, log, key, header, value), header, value))
                    grow = grown.get(log)
                    if grow is None:
                        grown[log] = [1, size_of(key, header, value), next_id]
                    else:
                        grow[0] += 1
                        grow[1] += size_of(key, header, value)
                        grow[2] = next_id
                    next_id += 1
            for positions in request.positions:
                connection.executemany(
                    _MOVED, [(positions.group, log, offset) for log, offset in positions.offsets.items()]
                )
            for sql, values in request.statements:
                connection.executemany(sql, values)
            value = request.run(connection) if request.run is not None else None
            results.append(Written(epoch, first, now_ns, txn, value))
        if rows:
            step("appending")
            _insert(connection, rows)
            connection.executemany(_GROWN, [(log, *grow) for log, grow in grown.items()])
            if now_ns - mark_ts >= MARK_NS or now_ns < last_ts:
                connection.execute("INSERT INTO time_mark VALUES (?, ?)", (first_new, now_ns))
                mark_ts = now_ns
            last_ts = now_ns
        connection.execute(
            "UPDATE head SET epoch = ?, next_id = ?, txn = ?, last_ts = ?, mark_ts = ?",
            (epoch, next_id, txn, last_ts, mark_ts),
        )
        step("committing")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    step("committed")
    return results


def _insert(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    at = 0
    for size, left in Counter(_pieces(len(rows))).items():
        for _ in range(left):
            connection.execute(_INSERT[size], [item for row in rows[at : at + size] for item in row])
            at += size


def _pieces(count: int) -> list[int]:
    pieces: list[int] = []
    for size in _CHUNKS:
        pieces += [size] * (count // size)
        count %= size
    return pieces
