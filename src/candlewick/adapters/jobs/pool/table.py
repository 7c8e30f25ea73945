"""The jobs' table. Every function runs inside a transaction on the file's thread.

A lease is (owner, tries): whoever is not both any more changes nothing.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from candlewick.adapters._sqlite.steps import preparing
from candlewick.kernel.errors import Fenced
from candlewick.ports.jobs import Job, JobCancelled, JobState, UnknownJob

_STEPS = (
    """
    CREATE TABLE job (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, args BLOB NOT NULL, key TEXT,
        state TEXT NOT NULL DEFAULT 'queued', progress REAL NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '',
        tries INTEGER NOT NULL DEFAULT 0, max_tries INTEGER NOT NULL, checkpoint BLOB, result BLOB,
        code TEXT, detail TEXT, is_cancelling INTEGER NOT NULL DEFAULT 0,
        owner TEXT, lease_ns INTEGER NOT NULL DEFAULT 0, not_before_ns INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX job_key ON job (key) WHERE key IS NOT NULL AND state IN ('queued', 'running');
    CREATE INDEX job_waiting ON job (state, seq) WHERE state IN ('queued', 'running');
    CREATE TABLE kind (name TEXT PRIMARY KEY) WITHOUT ROWID;
    """,
)
prepare = preparing("job queue", _STEPS)

_COLUMNS = "id, kind, args, state, progress, note, tries, result, code, detail"
LOST = "JOB_LOST"
_LOST_DETAIL = "its worker died or stopped reporting"


class Lease(NamedTuple):
    """One try of one job."""

    id: str
    kind: str
    args: Mapping[str, Any]
    checkpoint: Any
    owner: str
    tries: int
    max_tries: int


def submit(connection: sqlite3.Connection, job_id: str, kind: str, args: bytes, key: str | None, max_tries: int) -> Job:
    """A new job, or the unfinished one of the same key."""
    if key is not None:
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM job WHERE key = ? AND state IN ('queued', 'running')", (key,)
        ).fetchone()
        if row is not None:
            return _job(row)
    connection.execute(
        "INSERT INTO job (id, kind, args, key, max_tries) VALUES (?, ?, ?, ?, ?)", (job_id, kind, args, key, max_tries)
    )
    return get(connection, job_id)


def get(connection: sqlite3.Connection, job_id: str) -> Job:
    """Raises UnknownJob."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM job WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise UnknownJob(f"no such job, was {job_id!r}")
    return _job(row)


def listed(connection: sqlite3.Connection, kind: str | None, state: JobState | None) -> list[Job]:
    """Jobs in the order of their submission."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM job WHERE (:kind IS NULL OR kind = :kind) AND (:state IS NULL OR state = :state) "
        "ORDER BY seq",
        {"kind": kind, "state": state},
    )
    return [_job(row) for row in rows]


def waits(connection: sqlite3.Connection, now_ns: int) -> bool:
    """Whether ``claim`` could find something; leases are looked at by ``owners``."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND not_before_ns <= :now) "
        "OR EXISTS (SELECT 1 FROM job WHERE state = 'running' AND lease_ns <= :now)",
        {"now": now_ns},
    ).fetchone()
    return bool(row[0])


def owners(connection: sqlite3.Connection) -> list[str]:
    """Who holds leases."""
    return [row[0] for row in connection.execute("SELECT DISTINCT owner FROM job WHERE state = 'running'")]


def claim(
    connection: sqlite3.Connection,
    owner: str,
    kinds: Collection[str],
    count: int,
    now_ns: int,
    lease_ns: int,
    is_dead: Callable[[str], bool],
) -> list[Lease]:
    """Take back what lapsed, then lease the oldest waiting jobs of these kinds."""
    dead = [one for one in owners(connection) if one != owner and is_dead(one)]
    marks = ", ".join("?" * len(dead)) or "NULL"
    connection.execute(
        "UPDATE job SET owner = NULL, not_before_ns = 0, "
        "  state = CASE WHEN is_cancelling THEN 'cancelled' WHEN tries >= max_tries THEN 'failed' ELSE 'queued' END, "
        "  code = CASE WHEN NOT is_cancelling AND tries >= max_tries THEN ? END, "
        "  detail = CASE WHEN NOT is_cancelling AND tries >= max_tries THEN ? END "
        f"WHERE state = 'running' AND (lease_ns <= ? OR owner IN ({marks}))",
        (LOST, _LOST_DETAIL, now_ns, *dead),
    )
    marks = ", ".join("?" * len(kinds)) or "NULL"
    rows = connection.execute(
        "SELECT seq, id, kind, args, checkpoint, tries, max_tries FROM job "
        f"WHERE state = 'queued' AND not_before_ns <= ? AND kind IN ({marks}) ORDER BY seq LIMIT ?",
        (now_ns, *kinds, count),
    ).fetchall()
    for row in rows:
        connection.execute(
            "UPDATE job SET state = 'running', owner = ?, lease_ns = ?, tries = tries + 1, progress = 0, "
            "code = NULL, detail = NULL WHERE seq = ?",
            (owner, now_ns + lease_ns, row[0]),
        )
    return [
        Lease(row[1], row[2], msgspec.json.decode(row[3]), _decoded(row[4]), owner, row[5] + 1, row[6]) for row in rows
    ]


def report(
    connection: sqlite3.Connection, lease: Lease, until_ns: int, progress: float, note: str, checkpoint: bytes | None
) -> None:
    """Renew. Raises JobCancelled, Fenced."""
    row = connection.execute(
        "UPDATE job SET lease_ns = ?, progress = max(progress, ?), note = ?, checkpoint = coalesce(?, checkpoint) "
        "WHERE id = ? AND state = 'running' AND owner = ? AND tries = ? RETURNING is_cancelling",
        (until_ns, progress, note, checkpoint, lease.id, lease.owner, lease.tries),
    ).fetchone()
    if row is None:
        raise Fenced(f"another worker has the job, was {lease.id!r}")
    if row[0]:
        raise JobCancelled(lease.id)


def finish(
    connection: sqlite3.Connection,
    lease: Lease,
    state: JobState,
    *,
    result: bytes | None = None,
    code: str | None = None,
    detail: str | None = None,
) -> bool:
    """The outcome, unless the lease is gone."""
    cursor = connection.execute(
        "UPDATE job SET state = ?, owner = NULL, result = ?, code = ?, detail = ?, "
        "  progress = CASE WHEN ? = 'done' THEN 1 ELSE progress END "
        "WHERE id = ? AND state = 'running' AND owner = ? AND tries = ?",
        (state, result, code, detail, state, lease.id, lease.owner, lease.tries),
    )
    return cursor.rowcount == 1


def put_back(
    connection: sqlite3.Connection, lease: Lease, *, not_before_ns: int, counts: bool, code: str | None = None
) -> bool:
    """To the queue again, unless the lease is gone; a job whose cancellation was asked for ends instead. The try that
    ended is forgotten unless it ``counts``."""
    cursor = connection.execute(
        "UPDATE job SET state = CASE WHEN is_cancelling THEN 'cancelled' ELSE 'queued' END, owner = NULL, "
        "  not_before_ns = ?, tries = tries - ?, code = ? "
        "WHERE id = ? AND state = 'running' AND owner = ? AND tries = ?",
        (not_before_ns, 0 if counts else 1, code, lease.id, lease.owner, lease.tries),
    )
    return cursor.rowcount == 1


def cancel(connection: sqlite3.Connection, job_id: str) -> Job:
    """Ends a waiting job, asks a running one. Raises UnknownJob."""
    connection.execute("UPDATE job SET state = 'cancelled' WHERE id = ? AND state = 'queued'", (job_id,))
    connection.execute("UPDATE job SET is_cancelling = 1 WHERE id = ? AND state = 'running'", (job_id,))
    return get(connection, job_id)


def forget(connection: sqlite3.Connection, job_id: str) -> bool:
    """Drop a finished job. Raises UnknownJob."""
    cursor = connection.execute("DELETE FROM job WHERE id = ? AND state IN ('done', 'failed', 'cancelled')", (job_id,))
    if cursor.rowcount == 0:
        get(connection, job_id)
    return cursor.rowcount == 1


def add_kinds(connection: sqlite3.Connection, kinds: Collection[str]) -> None:
    """So that another process can submit jobs of these kinds."""
    connection.executemany("INSERT OR IGNORE INTO kind VALUES (?)", [(kind,) for kind in kinds])


def has_kind(connection: sqlite3.Connection, kind: str) -> bool:
    """Whether any process ever registered the kind."""
    return connection.execute("SELECT 1 FROM kind WHERE name = ?", (kind,)).fetchone() is not None


def _decoded(data: bytes | None) -> Any:
    return None if data is None else msgspec.json.decode(data)


def _job(row: tuple[Any, ...]) -> Job:
    job_id, kind, args, state, progress, note, tries, result, code, detail = row
    error = {"code": code, "detail": detail or ""} if state == "failed" else None
    return Job(job_id, kind, msgspec.json.decode(args), state, progress, note, tries, _decoded(result), error)
