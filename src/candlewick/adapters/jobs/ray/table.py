"""The jobs' tables, in the service's own database. Every function runs inside one of its transactions.

A lease is (owner, tries): whoever is not both any more changes nothing. Transactions that write are serial
(ports.database), so what one reads before it writes is still so.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from candlewick.kernel.errors import Fenced
from candlewick.ports.database import Row, Transaction, Value
from candlewick.ports.jobs import Job, JobLost, JobState, UnknownJob

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS job_queue (
        seq BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, args TEXT NOT NULL, job_key TEXT,
        state TEXT NOT NULL, progress DOUBLE PRECISION NOT NULL, note TEXT NOT NULL, tries BIGINT NOT NULL,
        max_tries BIGINT NOT NULL, checkpoint TEXT, result TEXT, code TEXT, detail TEXT, is_cancelling BIGINT NOT NULL,
        owner TEXT, lease_ns BIGINT NOT NULL, not_before_ns BIGINT NOT NULL)""",
    """CREATE UNIQUE INDEX IF NOT EXISTS job_queue_key ON job_queue (job_key)
        WHERE job_key IS NOT NULL AND state IN ('queued', 'running')""",
    """CREATE INDEX IF NOT EXISTS job_queue_waiting ON job_queue (state, seq) WHERE state IN ('queued', 'running')""",
    "CREATE TABLE IF NOT EXISTS job_kind (name TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS job_owner (name TEXT PRIMARY KEY, seen_ns BIGINT NOT NULL)",
    # One row: numbers are not given twice, so that a listing stays in the order of submission when jobs are forgotten.
    "CREATE TABLE IF NOT EXISTS job_number (only_one BIGINT PRIMARY KEY, last BIGINT NOT NULL)",
    "INSERT INTO job_number (only_one, last) VALUES (1, 0) ON CONFLICT (only_one) DO NOTHING",
)
_COLUMNS: Final = "id, kind, args, state, progress, note, tries, result, code, detail"
_LIVE: Final = "state IN ('queued', 'running')"
_MINE: Final = "id = :id AND state = 'running' AND owner = :owner AND tries = :tries"
_LOST_DETAIL: Final = "its worker died or stopped reporting"


class Lease(NamedTuple):
    """One try of one job."""

    id: str
    kind: str
    args: Mapping[str, Any]
    checkpoint: Any
    owner: str
    tries: int
    max_tries: int


async def prepare(tx: Transaction) -> None:
    """Make what is not there yet."""
    for statement in _TABLES:
        await tx.execute(statement)


async def submit(tx: Transaction, job_id: str, kind: str, args: str, key: str | None, max_tries: int) -> Job:
    """A new job, or the unfinished one of the same key."""
    if key is not None:
        row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM job_queue WHERE job_key = :key AND {_LIVE}", {"key": key})
        if row is not None:
            return _job(row)
    await tx.execute("UPDATE job_number SET last = last + 1")
    await tx.execute(
        "INSERT INTO job_queue (seq, id, kind, args, job_key, state, progress, note, tries, max_tries, is_cancelling, "
        "  lease_ns, not_before_ns) "
        "SELECT last, :id, :kind, :args, :key, 'queued', 0, '', 0, :max_tries, 0, 0, 0 FROM job_number",
        {"id": job_id, "kind": kind, "args": args, "key": key, "max_tries": max_tries},
    )
    return await get(tx, job_id)


async def get(tx: Transaction, job_id: str) -> Job:
    """Raises UnknownJob."""
    row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM job_queue WHERE id = :id", {"id": job_id})
    if row is None:
        raise UnknownJob(f"no such job, was {job_id!r}")
    return _job(row)


async def listed(tx: Transaction, kind: str | None, state: JobState | None) -> list[Job]:
    """Jobs in the order of their submission."""
    given = {name: value for name, value in (("kind", kind), ("state", state)) if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in given) or "1 = 1"
    return [_job(row) for row in await tx.fetch(f"SELECT {_COLUMNS} FROM job_queue WHERE {where} ORDER BY seq", given)]


async def waiting(tx: Transaction, kinds: Collection[str], now_ns: int, most: int) -> list[str]:
    """The kinds of the oldest jobs that could be taken now, at most ``most``."""
    marks, values = _marks(kinds)
    rows = await tx.fetch(
        f"SELECT kind FROM job_queue WHERE state = 'queued' AND not_before_ns <= :now AND kind IN ({marks}) "
        f"ORDER BY seq LIMIT {int(most)}",
        {"now": now_ns, **values},
    )
    return [str(row[0]) for row in rows]


async def has_lapsed(tx: Transaction, now_ns: int, dead_ns: int) -> bool:
    """Whether ``take_back`` would find a job."""
    return bool(await _lapsed(tx, now_ns, dead_ns))


async def take_back(tx: Transaction, now_ns: int, dead_ns: int) -> int:
    """End the tries whose lease ran out, or whose owner was not seen since ``dead_ns``; returns how many."""
    rows = await _lapsed(tx, now_ns, dead_ns)
    for job_id, tries, max_tries, is_cancelling in rows:
        is_over = not is_cancelling and tries >= max_tries
        await tx.execute(
            "UPDATE job_queue SET owner = NULL, not_before_ns = 0, state = :state, code = :code, detail = :detail "
            "WHERE id = :id",
            {
                "id": job_id,
                "state": "cancelled" if is_cancelling else "failed" if is_over else "queued",
                "code": JobLost.code if is_over else None,
                "detail": _LOST_DETAIL if is_over else None,
            },
        )
    await tx.execute(
        "DELETE FROM job_owner WHERE seen_ns <= :dead "
        "AND name NOT IN (SELECT owner FROM job_queue WHERE state = 'running' AND owner IS NOT NULL)",
        {"dead": dead_ns},
    )
    return len(rows)


async def _lapsed(tx: Transaction, now_ns: int, dead_ns: int) -> list[Row]:
    return await tx.fetch(
        "SELECT id, tries, max_tries, is_cancelling FROM job_queue WHERE state = 'running' AND (lease_ns <= :now "
        "  OR owner NOT IN (SELECT name FROM job_owner WHERE seen_ns > :dead))",
        {"now": now_ns, "dead": dead_ns},
    )


async def claim(
    tx: Transaction, owner: str, kinds: Collection[str], count: int, now_ns: int, lease_ns: int
) -> list[Lease]:
    """Lease the oldest waiting jobs of these kinds."""
    marks, values = _marks(kinds)
    rows = await tx.fetch(
        "SELECT id, kind, args, checkpoint, tries, max_tries FROM job_queue "
        f"WHERE state = 'queued' AND not_before_ns <= :now AND kind IN ({marks}) ORDER BY seq LIMIT {int(count)}",
        {"now": now_ns, **values},
    )
    for row in rows:
        await tx.execute(
            "UPDATE job_queue SET state = 'running', owner = :owner, lease_ns = :until, tries = tries + 1, "
            "progress = 0, code = NULL, detail = NULL WHERE id = :id",
            {"owner": owner, "until": now_ns + lease_ns, "id": row[0]},
        )
    return [
        Lease(row[0], row[1], msgspec.json.decode(row[2]), _decoded(row[3]), owner, row[4] + 1, row[5]) for row in rows
    ]


async def report(
    tx: Transaction, lease: Lease, until_ns: int, progress: float, note: str, checkpoint: str | None
) -> bool:
    """Renew; whether the job's cancellation was asked for. Raises Fenced."""
    row = await tx.fetch_one(f"SELECT progress, checkpoint, is_cancelling FROM job_queue WHERE {_MINE}", _held(lease))
    if row is None:
        raise Fenced(f"another worker has the job, was {lease.id!r}")
    await tx.execute(
        "UPDATE job_queue SET lease_ns = :until, progress = :progress, note = :note, checkpoint = :checkpoint "
        "WHERE id = :id",
        {
            "until": until_ns,
            "progress": max(float(row[0]), progress),
            "note": note,
            "checkpoint": row[1] if checkpoint is None else checkpoint,
            "id": lease.id,
        },
    )
    return bool(row[2])


async def finish(
    tx: Transaction,
    lease: Lease,
    state: JobState,
    *,
    result: str | None = None,
    code: str | None = None,
    detail: str | None = None,
) -> bool:
    """The outcome, unless the lease is gone."""
    full = ", progress = 1" if state == "done" else ""
    changed = await tx.execute(
        f"UPDATE job_queue SET state = :state, owner = NULL, result = :result, code = :code, detail = :detail{full} "
        f"WHERE {_MINE}",
        {"state": state, "result": result, "code": code, "detail": detail, **_held(lease)},
    )
    return changed == 1


async def put_back(tx: Transaction, lease: Lease, *, not_before_ns: int, counts: bool, code: str | None = None) -> bool:
    """To the queue again, unless the lease is gone; a job whose cancellation was asked for ends instead. The try that
    ended is forgotten unless it ``counts``."""
    changed = await tx.execute(
        "UPDATE job_queue SET state = CASE WHEN is_cancelling = 1 THEN 'cancelled' ELSE 'queued' END, owner = NULL, "
        f"not_before_ns = :until, tries = tries - {0 if counts else 1}, code = :code WHERE {_MINE}",
        {"until": not_before_ns, "code": code, **_held(lease)},
    )
    return changed == 1


async def cancel(tx: Transaction, job_id: str) -> Job:
    """Ends a waiting job, asks a running one. Raises UnknownJob."""
    await tx.execute("UPDATE job_queue SET state = 'cancelled' WHERE id = :id AND state = 'queued'", {"id": job_id})
    await tx.execute("UPDATE job_queue SET is_cancelling = 1 WHERE id = :id AND state = 'running'", {"id": job_id})
    return await get(tx, job_id)


async def forget(tx: Transaction, job_id: str) -> bool:
    """Drop a finished job. Raises UnknownJob."""
    gone = await tx.execute(f"DELETE FROM job_queue WHERE id = :id AND NOT ({_LIVE})", {"id": job_id})
    if not gone:
        await get(tx, job_id)
    return gone == 1


async def add_kinds(tx: Transaction, kinds: Collection[str]) -> None:
    """So that another process can submit jobs of these kinds."""
    for kind in kinds:
        await tx.execute("INSERT INTO job_kind (name) VALUES (:name) ON CONFLICT (name) DO NOTHING", {"name": kind})


async def has_kind(tx: Transaction, kind: str) -> bool:
    """Whether any process ever registered the kind."""
    return await tx.fetch_one("SELECT 1 FROM job_kind WHERE name = :name", {"name": kind}) is not None


async def see(tx: Transaction, owner: str, now_ns: int) -> None:
    """The owner says that it lives."""
    await tx.execute(
        "INSERT INTO job_owner (name, seen_ns) VALUES (:name, :now) "
        "ON CONFLICT (name) DO UPDATE SET seen_ns = excluded.seen_ns",
        {"name": owner, "now": now_ns},
    )


async def leave(tx: Transaction, owner: str) -> None:
    """The owner is done; what it still holds is anyone's."""
    await tx.execute("DELETE FROM job_owner WHERE name = :name", {"name": owner})


def _marks(names: Collection[str]) -> tuple[str, dict[str, Value]]:
    values: dict[str, Value] = {f"k{i}": name for i, name in enumerate(sorted(names))}
    return ", ".join(f":{mark}" for mark in values) or "NULL", values


def _held(lease: Lease) -> dict[str, Value]:
    return {"id": lease.id, "owner": lease.owner, "tries": lease.tries}


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _job(row: Row) -> Job:
    job_id, kind, args, state, progress, note, tries, result, code, detail = row
    error = {"code": code, "detail": detail or ""} if state == "failed" else None
    return Job(job_id, kind, msgspec.json.decode(args), state, float(progress), note, tries, _decoded(result), error)
