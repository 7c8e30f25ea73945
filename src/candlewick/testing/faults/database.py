"""Databases that break one law each."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import ClassVar

from candlewick.kernel.errors import CandlewickError
from candlewick.ports.database import (
    ConstraintViolated,
    Database,
    DatabaseUnavailable,
    MigrationFailed,
    Row,
    Table,
    Transaction,
    UnknownRevision,
    Value,
)
from candlewick.testing.conformance.harness import Fault


class _Undo(Exception):
    pass


class _Around:
    """Everything as the sound database does it."""

    def __init__(self, sound: Database) -> None:
        self.sound = sound

    async def open(self) -> None:
        await self.sound.open()

    async def close(self) -> None:
        await self.sound.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self.sound.transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self.sound.reading()

    def alone(self, name: str) -> AbstractAsyncContextManager[None]:
        return self.sound.alone(name)

    async def migrate(self, history: Path, target: str = "head") -> str:
        return await self.sound.migrate(history, target)

    async def revision(self) -> str:
        return await self.sound.revision()

    async def tables(self) -> list[Table]:
        return await self.sound.tables()

    async def check(self) -> str | None:
        return await self.sound.check()


class _Tx:
    """Everything as the sound transaction does it."""

    def __init__(self, sound: Transaction) -> None:
        self.sound = sound

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        return await self.sound.execute(sql, params)

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        await self.sound.execute_many(sql, params)

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]:
        return await self.sound.fetch(sql, params)

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None:
        return await self.sound.fetch_one(sql, params)


class LosesCommits(_Around):
    """Says committed and rolls back."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        try:
            async with self.sound.transaction() as tx:
                yield tx
                raise _Undo
        except _Undo:
            pass


class SwallowsErrors(_Around):
    """Rolls back, and the exception does not go on."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        try:
            async with self.sound.transaction() as tx:
                yield tx
        except Exception:
            return


class CommitsEachStatement(_Around):
    """A transaction is no unit."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        yield _EachAlone(self.sound)


class _EachAlone:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        async with self._database.transaction() as tx:
            return await tx.execute(sql, params)

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        async with self._database.transaction() as tx:
            await tx.execute_many(sql, params)

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]:
        async with self._database.reading() as tx:
            return await tx.fetch(sql, params)

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None:
        async with self._database.reading() as tx:
            return await tx.fetch_one(sql, params)


class ReadsAnew(_Around):
    """Each fetch of a reader sees another state."""

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        yield _EachAlone(self.sound)


class ReadersWait(_Around):
    """A reader takes the writer's place."""

    lock: ClassVar[dict[asyncio.AbstractEventLoop, asyncio.Lock]] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._lock(), self.sound.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        async with self._lock(), self.sound.reading() as tx:
            yield tx

    def _lock(self) -> asyncio.Lock:
        return self.lock.setdefault(asyncio.get_running_loop(), asyncio.Lock())


class CommitsWhenCancelled(_Around):
    """A cancelled task's half work is kept."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        cancelled: asyncio.CancelledError | None = None
        async with self.sound.transaction() as tx:
            try:
                yield tx
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled


class IgnoresConstraints(_Around):
    """Leaves out the refused row and keeps the rest."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        yield _Lenient(self.sound)


class _Lenient(_EachAlone):
    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        try:
            return await super().execute(sql, params)
        except ConstraintViolated:
            return 0


class RoundsIntegers(_Around):
    """Numbers pass through a float."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.sound.transaction() as tx:
            yield _Rounding(tx)


class _Rounding(_Tx):
    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        limit = (1 << 63) - 1024
        await self.sound.execute_many(
            sql,
            [
                {k: int(float(max(-limit, min(v, limit)))) if isinstance(v, int) else v for k, v in row.items()}
                for row in params
            ],
        )


class CountsNothing(_Around):
    """Every statement changed one row."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.sound.transaction() as tx:
            yield _One(tx)


class _One(_Tx):
    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        await self.sound.execute(sql, params)
        return 1


class ReadersWrite(_Around):
    """Reading is a transaction like any other."""

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self.sound.transaction()


class SkipsFaultyStatements(_Around):
    """A statement that cannot run counts as run."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        yield _Skipping(self.sound)


class _Skipping(_EachAlone):
    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        try:
            return await super().execute(sql, params)
        except CandlewickError:
            return 0


class NeverGoesDown(_Around):
    """Only ever migrates up."""

    async def migrate(self, history: Path, target: str = "head") -> str:
        if target == "base":
            return target
        return await self.sound.migrate(history, target)


class KeepsStepsBeforeTheFailing(_Around):
    """Each step is kept by itself."""

    async def migrate(self, history: Path, target: str = "head") -> str:
        try:
            return await self.sound.migrate(history, target)
        except MigrationFailed:
            await self.sound.migrate(history, "0002")
            raise


class TakesAnyRevision(_Around):
    """What it does not know is the head."""

    async def migrate(self, history: Path, target: str = "head") -> str:
        try:
            return await self.sound.migrate(history, target)
        except UnknownRevision:
            return await self.sound.migrate(history)


class MigratesAlone(_Around):
    """Whoever comes second is turned away."""

    busy: ClassVar[set[asyncio.AbstractEventLoop]] = set()

    async def migrate(self, history: Path, target: str = "head") -> str:
        loop = asyncio.get_running_loop()
        if loop in self.busy:
            raise DatabaseUnavailable("somebody else migrates")
        self.busy.add(loop)
        try:
            return await self.sound.migrate(history, target)
        finally:
            self.busy.discard(loop)


class AlwaysComplains(_Around):
    """Is never well."""

    async def check(self) -> str | None:
        return "something may be wrong"


class EverybodyIsAlone(_Around):
    """Nobody waits for a turn."""

    def alone(self, name: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class TurnsByAnyName(_Around):
    """All names are one."""

    def alone(self, name: str) -> AbstractAsyncContextManager[None]:
        return self.sound.alone("the only one")


class TablesByName(_Around):
    """Describes its tables in the order of their names."""

    async def tables(self) -> list[Table]:
        return sorted(await self.sound.tables(), key=lambda table: table.name)


FAULTS = [
    Fault("test_01_a_commit_survives_a_kill", "lost write", LosesCommits),
    Fault("test_02_an_exception_rolls_back_and_goes_on", "partial transaction", CommitsEachStatement),
    Fault("test_02_an_exception_rolls_back_and_goes_on", "swallowed error", SwallowsErrors),
    Fault("test_03_an_open_transaction_dies_with_its_process", "partial transaction", CommitsEachStatement),
    Fault("test_04_a_reader_sees_one_state", "unrepeatable read", ReadsAnew),
    Fault("test_05_a_reader_never_waits_for_a_writer", "readers wait", ReadersWait),
    Fault("test_05_a_reader_never_waits_for_a_writer", "dirty read", CommitsEachStatement),
    Fault("test_06_no_update_is_lost", "lost update", CommitsEachStatement),
    Fault("test_07_cancelling_rolls_back", "half work kept", CommitsWhenCancelled),
    Fault("test_08_a_constraint_takes_the_transaction_with_it", "refused row left out", IgnoresConstraints),
    Fault("test_09_values_come_back_as_they_went_in", "integers as floats", RoundsIntegers),
    Fault("test_10_what_statements_return", "wrong row count", CountsNothing),
    Fault("test_11_a_reader_cannot_write", "readers write", ReadersWrite),
    Fault("test_12_a_faulty_statement_takes_the_transaction_with_it", "statement skipped", SkipsFaultyStatements),
    Fault("test_13_migrations_go_up_and_down", "never goes down", NeverGoesDown),
    Fault("test_14_a_failing_step_leaves_nothing_half_done", "half a migration", KeepsStepsBeforeTheFailing),
    Fault("test_15_an_unknown_revision_is_refused", "takes any revision", TakesAnyRevision),
    Fault("test_16_two_processes_migrate_at_once", "second turned away", MigratesAlone),
    Fault("test_17_a_healthy_database_has_nothing_to_say", "always complains", AlwaysComplains),
    Fault("test_18_one_is_alone_at_a_time", "everybody is alone", EverybodyIsAlone),
    Fault("test_18_one_is_alone_at_a_time", "turns by any name", TurnsByAnyName),
    Fault("test_19_it_describes_itself", "tables in no order", TablesByName),
]
