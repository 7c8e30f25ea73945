"""A service's own database. One file or one server database a service; nobody else's tables are in it [14].

SQL is written once for SQLite and PostgreSQL: parameters are ``:name``, conflicts by ``INSERT ... ON CONFLICT``, times
are int64 ns, decimals are text, blobs are bytes. A transaction is all or nothing; after ``commit`` returned a killed
process loses nothing. Transactions of one database that write are serialised or fail with Retryable; a reader sees one
consistent state. Cancelling a task inside a transaction rolls it back. Schema histories are Alembic's, one a service,
applied by ``migrate`` up and down.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from candlewick.kernel.errors import Conflict, Corrupt, Fatal, NotFound, Rejected, Retryable

Value = int | float | str | bytes | None
Row = tuple[Any, ...]


class DatabaseUnavailable(Retryable):
    """The database cannot be reached or is busy beyond the time-out."""

    code = "DATABASE_UNAVAILABLE"


class ConstraintViolated(Conflict):
    """A unique, foreign key, check or not-null constraint refused a row; the transaction is rolled back."""

    code = "CONSTRAINT_VIOLATED"


class StatementRefused(Rejected):
    """The statement itself is at fault: its syntax, a missing parameter, an unknown table, a write while reading, or
    the use of a transaction that is over. The transaction is rolled back."""

    code = "STATEMENT_REFUSED"


class DatabaseCorrupt(Corrupt):
    """What is stored cannot be what was written."""

    code = "DATABASE_CORRUPT"


class UnknownRevision(NotFound):
    """A schema history does not hold the revision asked for, or the one the database is at."""

    code = "UNKNOWN_REVISION"


class MigrationFailed(Fatal):
    """A step of a schema history failed; the schema is what it was before."""

    code = "MIGRATION_FAILED"


class Column(msgspec.Struct, frozen=True):
    """A column by what its values are in both dialects; a truth is 0 or 1."""

    name: str
    kind: Literal["integer", "real", "text", "blob", "truth"]


class Table(msgspec.Struct, frozen=True):
    """``key`` are the columns of its primary key, in the key's order; empty where it has none."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


class Transaction(Protocol):
    """One unit of work."""

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        """Run one statement; returns the number of rows it changed."""
        ...

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None: ...

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]: ...

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None: ...


class Database(Protocol):
    """Opened once by the composition root, for one service."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Read and write. Leaving the context commits; an exception rolls back and goes on."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Read only, one consistent state, never waits for a writer."""
        ...

    def alone(self, name: str) -> AbstractAsyncContextManager[None]:
        """Inside the context this is the only process of the service that is inside it under this name; waits for its
        turn. A killed process gives it up at once. One that loses its connection keeps the context and not the turn:
        what must not happen twice needs a fence of its own."""
        ...

    async def migrate(self, history: Path, target: str = "head") -> str:
        """Bring the schema to ``target`` ('head', 'base' or a revision) of an Alembic history; returns where it is.
        Nothing is left half done when a step fails."""
        ...

    async def revision(self) -> str:
        """Where the schema is; 'base' when no step of a history was ever applied."""
        ...

    async def tables(self) -> list[Table]:
        """Every table but the schema history's own, those that others refer to first. Raises StatementRefused for a
        column whose type is none that both dialects know, and for tables that refer to one another in a circle."""
        ...

    async def check(self) -> str | None:
        """None when healthy, else the reason."""
        ...
