"""Consumer groups in the log's file: who is a member, who owns which partition, who lets go of what.

There is no leader. Every member, at every heartbeat and inside one transaction, renews its lease, drops members whose
lease has run out, takes what is free up to its fair share, and learns what it has beyond that share. It gives surplus
up itself, at its next poll, after its owner was told (cooperative: what stays is never interrupted). All functions run
inside a transaction of the log's writer; times are the machine's monotonic ns, one clock for all processes on it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from candlewick.adapters._sqlite.schema import PARTITION_BITS


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member has after a heartbeat: all it owns, and the part of it that others wait for."""

    owned: frozenset[int]
    surplus: frozenset[int]


def _changed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE head SET groups = groups + 1")


def changes(connection: sqlite3.Connection) -> int:
    """A number that rises with every change of any group."""
    return int(connection.execute("SELECT groups FROM head").fetchone()[0])


def join(connection: sqlite3.Connection, group: str, name: str, logs: Iterable[Sequence[int]], lease_until: int) -> int:
    """Take a seat, or over the one of the same name with its partitions; the result is the instance that fences."""
    (instance,) = connection.execute("UPDATE head SET instance = instance + 1 RETURNING instance").fetchone()
    before = connection.execute("SELECT instance FROM member WHERE grp = ? AND name = ?", (group, name)).fetchone()
    if before is not None:
        connection.execute("UPDATE claim SET instance = ? WHERE instance = ?", (instance, before[0]))
        connection.execute("DELETE FROM member WHERE instance = ?", before)
    topics = ",".join(sorted({str(numbers[0] >> PARTITION_BITS) for numbers in logs}))
    connection.execute("INSERT INTO member VALUES (?, ?, ?, ?, ?)", (instance, group, name, topics, lease_until))
    _changed(connection)
    return int(instance)


def heartbeat(
    connection: sqlite3.Connection,
    group: str,
    instance: int,
    logs: Iterable[Sequence[int]],
    now: int,
    lease_until: int,
) -> Standing | None:
    """Renew the seat and settle its share; None when the seat is gone. ``logs``: partition numbers, topic by topic."""
    stale = connection.execute(
        "SELECT instance FROM member WHERE grp = ? AND lease_until < ? AND instance <> ?", (group, now, instance)
    ).fetchall()
    for row in stale:
        _unseat(connection, int(row[0]))
    members = connection.execute("SELECT instance, topics, lease_until FROM member WHERE grp = ?", (group,)).fetchall()
    if instance not in [row[0] for row in members]:
        return None
    connection.execute("UPDATE member SET lease_until = ? WHERE instance = ?", (lease_until, instance))
    owners = dict(connection.execute("SELECT log, instance FROM claim WHERE grp = ?", (group,)).fetchall())
    owned: set[int] = set()
    surplus: set[int] = set()
    for numbers in logs:
        topic = numbers[0] >> PARTITION_BITS
        readers = sorted([row[0] for row in members if str(topic) in row[1].split(",")])
        base, extra = divmod(len(numbers), len(readers))
        # Which members get one more turns with the topic, else the eldest would have the extra of every topic.
        share = base + ((readers.index(instance) + topic) % len(readers) < extra)
        mine = [log for log in numbers if owners.get(log) == instance]
        free = [log for log in numbers if log not in owners][: max(0, share - len(mine))]
        connection.executemany("INSERT INTO claim VALUES (?, ?, ?)", [(group, log, instance) for log in free])
        owned.update(mine, free)
        surplus.update(mine[share:])
    if stale:
        _changed(connection)
    return Standing(frozenset(owned), frozenset(surplus))


def is_replaced(connection: sqlite3.Connection, group: str, name: str) -> bool:
    """Whether a seat of this name is there; asked by a member whose own is gone."""
    row = connection.execute("SELECT 1 FROM member WHERE grp = ? AND name = ?", (group, name)).fetchone()
    return row is not None


def release(connection: sqlite3.Connection, group: str, instance: int, logs: Iterable[int]) -> None:
    """Let partitions go; another member may take them from here on."""
    connection.executemany(
        "DELETE FROM claim WHERE grp = ? AND log = ? AND instance = ?", [(group, log, instance) for log in logs]
    )
    _changed(connection)


def leave(connection: sqlite3.Connection, instance: int) -> None:
    """Give the seat and all its partitions up."""
    _unseat(connection, instance)
    _changed(connection)


def _unseat(connection: sqlite3.Connection, instance: int) -> None:
    connection.execute("DELETE FROM claim WHERE instance = ?", (instance,))
    connection.execute("DELETE FROM member WHERE instance = ?", (instance,))
