"""The gap ledger in SQL."""

from collections.abc import Sequence

from candlewick.services.history.domain.gaps import MINUTE_S, OPEN, Gap, Pending
from candlewick.services.history.ports import GapQuery, Reader, Writer

_GAP = (
    "id, exchange, symbol, start_ns, end_ns, reason, state, trades_missing, detail, detected_at, closed_at, tries, "
    "delays, repaired, empty"
)
_PENDING = "gap_id, timeframe_s, from_ns, to_ns, due_ns"


class SqlLedger:
    """services.history.ports.Ledger."""

    async def get(self, tx: Reader, gap_id: str) -> Gap | None:
        row = await tx.fetch_one(f"SELECT {_GAP} FROM gaps WHERE id = :id", {"id": gap_id})
        return Gap(*row) if row else None

    async def put(self, tx: Writer, gap: Gap) -> None:
        names = _GAP.split(", ")
        await tx.execute(
            f"INSERT INTO gaps ({_GAP}) VALUES ({', '.join(':' + n for n in names)}) ON CONFLICT (id) DO UPDATE SET "
            + ", ".join(f"{n} = excluded.{n}" for n in names[1:]),
            {name: getattr(gap, name) for name in names},
        )

    async def find(self, tx: Reader, query: GapQuery) -> list[Gap]:
        where, params = ["1 = 1"], {"limit": query.limit}
        conditions = {
            "exchange": ("exchange = :exchange", query.exchange),
            "symbol": ("symbol = :symbol", query.symbol),
            "start_ns": ("end_ns > :start_ns", query.start_ns),
            "end_ns": ("start_ns < :end_ns", query.end_ns),
        }
        values: dict[str, str | int | float | bytes | None] = dict(params)
        for name, (condition, value) in conditions.items():
            if value is not None:
                where.append(condition)
                values[name] = value
        if query.states is not None:
            names = {f"state_{at}": state for at, state in enumerate(query.states)}
            where.append(f"state IN ({', '.join(':' + name for name in names)})")
            values.update(names)
        rows = await tx.fetch(
            f"SELECT {_GAP} FROM gaps WHERE {' AND '.join(where)} ORDER BY start_ns DESC, id LIMIT :limit", values
        )
        return [Gap(*row) for row in rows]

    async def count_open(self, tx: Reader) -> dict[str, int]:
        rows = await tx.fetch(
            "SELECT exchange, SUM(CASE WHEN state = :open THEN 1 ELSE 0 END) FROM gaps GROUP BY exchange",
            {"open": OPEN},
        )
        return {exchange: int(count) for exchange, count in rows}

    async def pending(self, tx: Reader, gap_id: str) -> list[Pending]:
        rows = await tx.fetch(
            f"SELECT {_PENDING} FROM pending WHERE gap_id = :id "
            "ORDER BY CASE WHEN timeframe_s = :minute THEN 0 ELSE timeframe_s END, from_ns DESC",
            {"id": gap_id, "minute": MINUTE_S},
        )
        return [Pending(*row) for row in rows]

    async def ask(self, tx: Writer, pending: Sequence[Pending]) -> None:
        for one in pending:
            place: dict[str, str | int | float | bytes | None] = {"id": one.gap_id, "timeframe": one.timeframe_s}
            overlapping = (
                "FROM pending WHERE gap_id = :id AND timeframe_s = :timeframe AND from_ns <= :to AND to_ns >= :from"
            )
            window = {**place, "from": one.from_ns, "to": one.to_ns}
            row = await tx.fetch_one(f"SELECT MIN(from_ns), MAX(to_ns), MIN(due_ns) {overlapping}", window)
            start, end, due = one.from_ns, one.to_ns, one.due_ns
            if row is not None and row[0] is not None:
                start, end, due = min(start, row[0]), max(end, row[1]), min(due, row[2])
                await tx.execute(f"DELETE {overlapping}", window)
            await self._insert(tx, Pending(one.gap_id, one.timeframe_s, start, end, due))

    async def replace(self, tx: Writer, old: Pending, new: Sequence[Pending]) -> None:
        await tx.execute(
            "DELETE FROM pending WHERE gap_id = :id AND timeframe_s = :timeframe AND from_ns = :from",
            {"id": old.gap_id, "timeframe": old.timeframe_s, "from": old.from_ns},
        )
        for one in new:
            await self._insert(tx, one)

    async def _insert(self, tx: Writer, one: Pending) -> None:
        names = _PENDING.split(", ")
        await tx.execute(
            f"INSERT INTO pending ({_PENDING}) VALUES ({', '.join(':' + n for n in names)}) "
            "ON CONFLICT (gap_id, timeframe_s, from_ns) DO UPDATE SET to_ns = excluded.to_ns, due_ns = excluded.due_ns",
            {name: getattr(one, name) for name in names},
        )

    async def due(self, tx: Reader, now_ns: int, limit: int) -> list[str]:
        rows = await tx.fetch(
            "SELECT gap_id FROM pending WHERE due_ns <= :now GROUP BY gap_id ORDER BY MAX(to_ns) DESC LIMIT :limit",
            {"now": now_ns, "limit": limit},
        )
        return [row[0] for row in rows]

    async def postpone(self, tx: Writer, gap_id: str, due_ns: int) -> None:
        await tx.execute(
            "UPDATE pending SET due_ns = :due WHERE gap_id = :id AND due_ns < :due", {"id": gap_id, "due": due_ns}
        )

    async def drop_pending(self, tx: Writer, gap_id: str) -> None:
        await tx.execute("DELETE FROM pending WHERE gap_id = :id", {"id": gap_id})

    async def coverage(self, tx: Reader, exchange: str, symbol: str) -> int | None:
        row = await tx.fetch_one(
            "SELECT since_ns FROM coverage WHERE exchange = :exchange AND symbol = :symbol",
            {"exchange": exchange, "symbol": symbol},
        )
        return None if row is None else int(row[0])

    async def set_coverage(self, tx: Writer, exchange: str, symbol: str, since_ns: int) -> None:
        await tx.execute(
            "INSERT INTO coverage (exchange, symbol, since_ns) VALUES (:exchange, :symbol, :since) "
            "ON CONFLICT (exchange, symbol) DO UPDATE SET since_ns = excluded.since_ns",
            {"exchange": exchange, "symbol": symbol, "since": since_ns},
        )
