"""A backup into a service's empty stores: candles so that a restore that was broken off goes on, tables as a whole."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from candlewick.app.runtime import messaging, outbox
from candlewick.app.runtime.backups import parquet, rows
from candlewick.app.runtime.backups.archive import Archive
from candlewick.app.runtime.backups.manifest import Manifest, StoredCandles, StoredTable
from candlewick.ports.backups import BackupDamaged, BackupDoesNotFit, NotEmpty, Report, quiet
from candlewick.ports.candles import CandleStore
from candlewick.ports.database import Database, Table, Transaction

# Numbers that were given out after the backup was made are never given again: consumers would take what is new for
# what they have seen. Nobody sends so many messages between two backups.
_NUMBERS_AHEAD: Final = 1 << 32
_MARK: Final = "restore:"


class Restored(msgspec.Struct, frozen=True):
    """What came back: rows of tables, candles, and each table's checksum, which is the backup's."""

    service: str
    name: str
    rows: int
    candles: int
    checksums: dict[str, str]


async def restore(
    archive: Archive,
    schema: Path | None,
    *,
    name: str | None = None,
    is_new_log: bool = False,
    report: Report = quiet,
    on_step: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Put a backup (the newest) back; the schema ends at this version's head.

    ``is_new_log``: the event log is not the one beside which the backup was made, so how far its consumers had come is
    left out. Raises UnknownBackup, BackupDamaged, NotEmpty, BackupDoesNotFit; then tables are as empty as they were,
    and the same call goes on with the candles.
    """
    manifest = await archive.named(name)
    database, store = archive.database, archive.store
    if database is not None:
        await _refuse_used(database, manifest)
    if manifest.candles and store is not None:
        await _candles(archive, store, manifest, report, on_step)
    if database is not None:
        await _tables(archive, database, schema, manifest, is_new_log=is_new_log, report=report, on_step=on_step)
    if manifest.candles and store is not None:
        await store.append_many([], mark={f"{_MARK}{manifest.name}": len(manifest.candles) + 1})
    info = manifest.info
    return Restored(
        archive.service, manifest.name, info.rows, info.candles, {one.name: one.checksum for one in manifest.tables}
    )


async def _refuse_used(database: Database, manifest: Manifest) -> None:
    async with database.reading() as tx:
        for table in await database.tables():
            if table.name == outbox.NUMBERS:
                row = await tx.fetch_one(f"SELECT MAX(sequence) FROM {outbox.NUMBERS}")
                is_used = row is not None and bool(row[0])
            else:
                is_used = not await rows.is_empty(tx, table)
            if is_used:
                raise NotEmpty(
                    f"{manifest.service} must keep nothing yet, was {table.name!r} the first table with rows",
                    hint="Restore into an empty data dir or database",
                )


async def _candles(
    archive: Archive, store: CandleStore, manifest: Manifest, report: Report, on_step: Callable[[str], None]
) -> None:
    """How many files are done stands in a mark beside the rows, so only what this very backup began is gone on with.
    One more than there are files says that the tables are back too."""
    mark = f"{_MARK}{manifest.name}"
    done = (await store.marks()).get(mark)
    if done is None or done > len(manifest.candles):
        if await store.series():
            raise NotEmpty(
                f"{manifest.service} must keep no candles yet", hint="Restore into an empty data dir or database"
            )
        done = 0
        await store.append_many([], mark={mark: 0})
    for at, stored in enumerate(manifest.candles[done:], done + 1):
        await report(at / len(manifest.candles), stored.file.key)
        await _series(archive, store, stored)
        await store.append_many([], mark={mark: at})
        on_step("restored candles")


async def _series(archive: Archive, store: CandleStore, stored: StoredCandles) -> None:
    columns = await asyncio.to_thread(parquet.decode_candles, await archive.content(stored.file))
    if not len(columns.open_time):
        return
    name = stored.exchange, stored.symbol
    await store.append(*name, columns)
    first, last = int(columns.open_time[0]), int(columns.open_time[-1])
    found = await store.range(*name, stored.timeframe_s, first, last + 1)
    if not await asyncio.to_thread(parquet.same_candles, columns, found):
        raise BackupDamaged(f"the store does not give what was restored from {stored.file.key!r}")


async def _tables(
    archive: Archive,
    database: Database,
    schema: Path | None,
    manifest: Manifest,
    *,
    is_new_log: bool,
    report: Report,
    on_step: Callable[[str], None],
) -> None:
    if schema is not None:
        await database.migrate(schema, manifest.revision)
    async with database.transaction() as tx:
        for statement in (*messaging.INBOX_TABLES, *outbox.TABLES):
            await tx.execute(statement)
    known = {table.name: table for table in await database.tables()}
    for stored in manifest.tables:
        _check_fit(known.get(stored.name), stored, manifest)
    order = [table for name, table in known.items() if name in {stored.name for stored in manifest.tables}]
    by_name = {stored.name: stored for stored in manifest.tables}
    async with database.transaction() as tx:
        await _refuse_used(database, manifest)
        await tx.execute(f"DELETE FROM {outbox.NUMBERS}")
        for at, table in enumerate(order):
            await report(at / len(order), table.name)
            await _table(archive, tx, table, by_name[table.name])
            on_step("restored table")
        await _beside_the_log(tx, is_new_log=is_new_log)
        on_step("restored tables")
    if schema is not None:
        await database.migrate(schema)


def _check_fit(table: Table | None, stored: StoredTable, manifest: Manifest) -> None:
    if table is None or {(c.name, c.kind) for c in table.columns} != {(c.name, c.kind) for c in stored.columns}:
        raise BackupDoesNotFit(
            f"table {stored.name} of {manifest.service} at revision {manifest.revision} must have the columns "
            f"{_told(stored.columns)}, was {_told(table.columns) if table else 'no such table'!r}"
        )


def _told(columns: Sequence[object]) -> str:
    return ", ".join(sorted(f"{getattr(one, 'name', '')} {getattr(one, 'kind', '')}" for one in columns))


async def _table(archive: Archive, tx: Transaction, table: Table, stored: StoredTable) -> None:
    for file in stored.files:
        data = await archive.content(file)
        await rows.put(tx, table, stored.columns, await asyncio.to_thread(parquet.decode_rows, stored.columns, data))
    ordered = Table(table.name, stored.columns, table.key)
    found = await rows.checksum(tx, ordered)
    if found != stored.checksum:
        raise BackupDamaged(f"table {table.name} must have the checksum {stored.checksum}, was {found!r}")


async def _beside_the_log(tx: Transaction, *, is_new_log: bool) -> None:
    await tx.execute(
        f"UPDATE {outbox.NUMBERS} SET sequence = sequence + :ahead WHERE sequence > 0", {"ahead": _NUMBERS_AHEAD}
    )
    if is_new_log:
        for name in messaging.INBOX:
            await tx.execute(f"DELETE FROM {name}")
