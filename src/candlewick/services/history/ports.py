"""What the handlers want of the service's own database."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from candlewick.ports.database import Row, Value
from candlewick.services.history.domain.gaps import Gap, Pending


class Reader(Protocol):
    """A transaction, or anything else that can be asked."""

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]: ...

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None: ...


class Writer(Reader, Protocol):
    """A transaction that can write."""

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int: ...


class GapQuery(msgspec.Struct, frozen=True):
    """Which entries are wanted: None is all. Times are ns; an entry is in when it overlaps [start, end)."""

    exchange: str | None = None
    symbol: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    states: tuple[str, ...] | None = None
    limit: int = 500


class Ledger(Protocol):
    """The gap ledger's tables. Every call is part of the caller's transaction."""

    async def get(self, tx: Reader, gap_id: str) -> Gap | None: ...

    async def put(self, tx: Writer, gap: Gap) -> None:
        """Insert, or replace the entry of this id."""
        ...

    async def find(self, tx: Reader, query: GapQuery) -> list[Gap]:
        """Newest first."""
        ...

    async def count_open(self, tx: Reader) -> dict[str, int]:
        """Open entries by exchange; an exchange whose entries are all closed counts 0."""
        ...

    async def pending(self, tx: Reader, gap_id: str) -> list[Pending]:
        """What is still to be asked for, minutes first, then shorter and longer timeframes, newest first."""
        ...

    async def ask(self, tx: Writer, pending: Sequence[Pending]) -> None:
        """Add to what is to be asked for, joined with what overlaps it."""
        ...

    async def replace(self, tx: Writer, old: Pending, new: Sequence[Pending]) -> None: ...

    async def due(self, tx: Reader, now_ns: int, limit: int) -> list[str]:
        """Ids of gaps with something to ask for now."""
        ...

    async def postpone(self, tx: Writer, gap_id: str, due_ns: int) -> None:
        """Nothing of this gap is asked for before."""
        ...

    async def drop_pending(self, tx: Writer, gap_id: str) -> None: ...

    async def coverage(self, tx: Reader, exchange: str, symbol: str) -> int | None:
        """Since when (ns) the symbol's minutes are watched without a break, None when they never were."""
        ...

    async def set_coverage(self, tx: Writer, exchange: str, symbol: str, since_ns: int) -> None: ...
