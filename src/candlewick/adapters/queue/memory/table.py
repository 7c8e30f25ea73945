"""The commands' table. Every function runs inside a transaction on the file's thread.

A delivery is (owner, deliveries): whoever is not both any more changes nothing.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from candlewick.adapters._sqlite.steps import preparing
from candlewick.ports.queue import Command

_STEPS = (
    """
    CREATE TABLE command (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
        body BLOB NOT NULL, headers BLOB NOT NULL, deliveries INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'ready', reason TEXT,
        owner TEXT NOT NULL DEFAULT '00000000000000000000000000000000',
        until_ns INTEGER NOT NULL DEFAULT 4611686018427387904
    );
    CREATE INDEX command_state ON command (queue, state, seq);
    CREATE TABLE reserve (id INTEGER PRIMARY KEY, room BLOB NOT NULL);
    """,
)
prepare = preparing("command queue", _STEPS)

# A row is as large before as after it was taken (owner and time are there from the start), and this much room is kept
# for its index entry: a full file that could not be worked off would stay full for ever.
_NOBODY = "0" * 32
_RESERVE_BYTES = 64 << 10
_COLUMNS = "id, name, body, headers, deliveries"


def send(connection: sqlite3.Connection, queue: str, command: Command) -> None:
    """Keep a command, behind the room that working commands off needs."""
    if connection.execute("SELECT 1 FROM reserve").fetchone() is None:
        connection.execute("INSERT INTO reserve VALUES (1, zeroblob(?))", (_RESERVE_BYTES,))
    connection.execute(
        "INSERT INTO command (queue, id, name, body, headers) VALUES (?, ?, ?, ?, ?)",
        (queue, command.id, command.name, command.body, msgspec.json.encode(dict(command.headers))),
    )


def spend_reserve(connection: sqlite3.Connection) -> None:
    """Make room for taking and settling commands in a file that is full; the next ``send`` sets it aside again."""
    connection.execute("DELETE FROM reserve")


def waits(connection: sqlite3.Connection, queue: str, now_ns: int) -> bool:
    """Whether a command is ready, or one whose time to acknowledge has passed."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM command WHERE queue = :queue AND state = 'ready') OR EXISTS "
        "(SELECT 1 FROM command WHERE queue = :queue AND state = 'taken' AND until_ns <= :now)",
        {"queue": queue, "now": now_ns},
    ).fetchone()
    return bool(row[0])


def owners(connection: sqlite3.Connection, queue: str) -> list[str]:
    """Who holds deliveries."""
    rows = connection.execute("SELECT DISTINCT owner FROM command WHERE queue = ? AND state = 'taken'", (queue,))
    return [row[0] for row in rows]


def take(
    connection: sqlite3.Connection,
    queue: str,
    owner: str,
    count: int,
    now_ns: int,
    until_ns: int,
    max_deliveries: int,
    is_dead: Callable[[str], bool],
) -> list[tuple[int, Command]]:
    """Take back what lapsed, then deliver the oldest ready commands."""
    dead = [one for one in owners(connection, queue) if one != owner and is_dead(one)]
    marks = ", ".join("?" * len(dead)) or "NULL"
    lapsed = connection.execute(
        f"SELECT seq FROM command WHERE queue = ? AND state = 'taken' AND (until_ns <= ? OR owner IN ({marks}))",
        (queue, now_ns, *dead),
    ).fetchall()
    _release(connection, (row[0] for row in lapsed), max_deliveries, "not acknowledged in time, or its worker died")
    rows = connection.execute(
        f"SELECT seq, {_COLUMNS} FROM command WHERE queue = ? AND state = 'ready' ORDER BY seq LIMIT ?", (queue, count)
    ).fetchall()
    for seq, *_ in rows:
        connection.execute(
            "UPDATE command SET state = 'taken', owner = ?, until_ns = ?, deliveries = deliveries + 1 WHERE seq = ?",
            (owner, until_ns, seq),
        )
    return [(row[0], _command((*row[1:5], row[5] + 1))) for row in rows]


def acknowledge(connection: sqlite3.Connection, seq: int, owner: str, deliveries: int) -> bool:
    """The command is done; False when the delivery is no longer this worker's."""
    cursor = connection.execute(
        "DELETE FROM command WHERE seq = ? AND state = 'taken' AND owner = ? AND deliveries = ?",
        (seq, owner, deliveries),
    )
    return cursor.rowcount == 1


def reject(
    connection: sqlite3.Connection, seq: int, owner: str, deliveries: int, reason: str, max_deliveries: int | None
) -> bool:
    """Back to the queue unless ``max_deliveries`` is reached; None: to the dead letters at once."""
    held = connection.execute(
        "SELECT 1 FROM command WHERE seq = ? AND state = 'taken' AND owner = ? AND deliveries = ?",
        (seq, owner, deliveries),
    ).fetchone()
    if held is None:
        return False
    _release(connection, [seq], 0 if max_deliveries is None else max_deliveries, reason)
    return True


def release(connection: sqlite3.Connection, owner: str, max_deliveries: int) -> None:
    """Everything a leaving worker holds goes back."""
    held = connection.execute("SELECT seq FROM command WHERE state = 'taken' AND owner = ?", (owner,)).fetchall()
    _release(connection, (row[0] for row in held), max_deliveries, "its worker closed without acknowledging it")


def dead(connection: sqlite3.Connection, queue: str, limit: int) -> list[tuple[Command, str]]:
    """Dead letters, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS}, reason FROM command WHERE queue = ? AND state = 'dead' ORDER BY until_ns, seq LIMIT ?",
        (queue, limit),
    )
    return [(_command(row[:5]), row[5]) for row in rows]


def _release(connection: sqlite3.Connection, seqs: Iterable[int], max_deliveries: int, reason: str) -> None:
    for seq in seqs:
        # until_ns of a dead letter is its place in the order of dying.
        connection.execute(
            "UPDATE command SET owner = :nobody, "
            "  state = CASE WHEN deliveries >= :most THEN 'dead' ELSE 'ready' END, "
            "  reason = CASE WHEN deliveries >= :most THEN :reason END, "
            "  until_ns = (SELECT 1 + coalesce(max(until_ns), 0) FROM command WHERE state = 'dead') "
            "WHERE seq = :seq",
            {"most": max_deliveries, "reason": reason, "seq": seq, "nobody": _NOBODY},
        )


def _command(row: tuple[Any, ...]) -> Command:
    return Command(row[0], row[1], row[2], msgspec.json.decode(row[3], type=dict[str, str]), row[4])
