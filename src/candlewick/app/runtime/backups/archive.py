"""The backups of one service: make, list, restore, forget."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from candlewick.app.runtime.backups import parquet
from candlewick.app.runtime.backups.manifest import (
    FORMAT,
    Manifest,
    StoredCandles,
    StoredFile,
    StoredTable,
    candles_key,
    manifest_key,
    name_of,
    periods,
    table_key,
)
from candlewick.app.runtime.backups.rows import Checksum, blocks
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.backups import BackupDamaged, BackupInfo, Report, UnknownBackup, quiet
from candlewick.ports.candles import CandleStore, SeriesInfo
from candlewick.ports.database import Database, Table, Transaction
from candlewick.ports.objects import ObjectNotFound, Objects

#: Below which every service's backups lie in an object store.
FOLDER: Final = "backups/"
_LEFTOVER_NS: Final = 86_400 * NS_PER_SECOND
_TURN: Final = "backup"


class Archive:
    """``ports.backups.Backups``. Files first, the manifest last: a killed backup leaves none that anyone would restore.

    All tables are read in one transaction, so they are of one instant. Candles are read after them, so they hold at
    least what the tables know of; of every open time the row that stands is kept, with its revision and origin.
    """

    def __init__(
        self,
        service: str,
        *,
        database: Database | None,
        store: CandleStore | None,
        objects: Objects,
        clock: Clock,
        keep: int = 1 << 30,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.service, self.database, self.store = service, database, store
        self._objects, self._clock, self._keep, self._step = objects, clock, keep, on_step
        self._folder = f"{FOLDER}{service}/"
        #: When the newest backup that was seen here was made (ns UTC); None while none was.
        self.newest_ns: int | None = None

    async def make(self, report: Report = quiet) -> BackupInfo:
        return (await self.back_up(report)).info

    async def back_up(self, report: Report = quiet) -> Manifest:
        """As ``make``; the whole manifest."""
        if self.database is None:
            return await self._made(report)
        async with self.database.alone(_TURN):
            return await self._made(report)

    async def due(self, every_s: float, report: Report = quiet) -> Manifest | None:
        """A new backup unless the newest one is younger than ``every_s``; of several processes one makes it."""
        if not await self._is_due(every_s):
            return None
        if self.database is None:
            return await self._made(report)
        async with self.database.alone(_TURN):
            return await self._made(report) if await self._is_due(every_s) else None

    async def _is_due(self, every_s: float) -> bool:
        known = await self.manifests()
        age_ns = self._clock.now_ns() - (known[-1].made_at if known else 0)
        return age_ns >= int(every_s * NS_PER_SECOND)

    async def _made(self, report: Report) -> Manifest:
        now = self._clock.now_ns()
        revision, tables = "", tuple[StoredTable, ...]()
        if self.database is not None:
            revision, tables = await self._tables(report)
        candles: list[StoredCandles] = []
        series = await self.store.series() if self.store is not None else []
        for done, info in enumerate(series):
            await report(done / len(series), f"{info.exchange} {info.symbol}")
            candles += await self._series(info)
        manifest = Manifest(self.service, name_of(now), now, revision, tables, tuple(candles))
        self._step("naming")
        await self._objects.put(
            self._folder + manifest_key(manifest.name), msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        )
        self.newest_ns = now
        await self.prune()
        return manifest

    async def _tables(self, report: Report) -> tuple[str, tuple[StoredTable, ...]]:
        assert self.database is not None
        described = await self.database.tables()
        revision = await self.database.revision()
        stored = []
        async with self.database.reading() as tx:
            for table in described:
                await report(0.0, table.name)
                stored.append(await self._table(tx, table))
        return revision, tuple(stored)

    async def _table(self, tx: Transaction, table: Table) -> StoredTable:
        found, files = Checksum(), []
        async for rows in blocks(tx, table):
            await asyncio.to_thread(found.add, rows)
            data = await asyncio.to_thread(parquet.encode_rows, table.columns, rows)
            digest = hashlib.sha256(data).hexdigest()
            files.append(await self._put(table_key(table.name, digest), data, digest, len(rows)))
            self._step("copying")
        return StoredTable(table.name, table.columns, found.rows, found.text, tuple(files))

    async def _series(self, info: SeriesInfo) -> list[StoredCandles]:
        assert self.store is not None
        found = []
        for label, start, end in periods(info.first_ns, info.last_ns, info.timeframe_s):
            columns = await self.store.range(info.exchange, info.symbol, info.timeframe_s, start, end)
            if not len(columns.open_time):
                continue
            data = await asyncio.to_thread(parquet.encode_candles, columns)
            digest = hashlib.sha256(data).hexdigest()
            key = candles_key(info.exchange, info.symbol, info.timeframe_s, label, digest)
            file = await self._put(key, data, digest, len(columns.open_time))
            found.append(StoredCandles(info.exchange, info.symbol, info.timeframe_s, file))
            self._step("copying")
        return found

    async def _put(self, key: str, data: bytes, digest: str, rows: int) -> StoredFile:
        try:
            is_there = (await self._objects.info(self._folder + key)).size == len(data)
        except ObjectNotFound:
            is_there = False
        if not is_there:
            await self._objects.put(self._folder + key, data)
        return StoredFile(key, digest, len(data), rows)

    async def kept(self) -> list[BackupInfo]:
        return [each.info for each in await self.manifests()]

    async def manifests(self) -> list[Manifest]:
        """Every backup, oldest first. One whose manifest cannot be read is none: the others are as good without it."""
        known = [found for found in (await self._looked_at()).values() if isinstance(found, Manifest)]
        self.newest_ns = known[-1].made_at if known else None
        return known

    async def named(self, name: str | None) -> Manifest:
        """The backup of a name, the newest for None. Raises UnknownBackup, BackupDamaged."""
        known = await self._looked_at()
        if name is None:
            name = max(known, key=lambda one: (isinstance(known[one], Manifest), one), default="none at all")
        found = known.get(name)
        if found is None:
            raise UnknownBackup(f"there is no such backup of {self.service}, was {name!r}")
        if isinstance(found, BackupDamaged):
            raise found
        return found

    async def _looked_at(self) -> dict[str, Manifest | BackupDamaged]:
        """What is under each name."""
        folder = f"{self._folder}manifests/"
        found: dict[str, Manifest | BackupDamaged] = {}
        async for info in self._objects.list(folder):
            name = info.key.removeprefix(folder).removesuffix(".json")
            try:
                found[name] = await self._read(info.key)
            except BackupDamaged as error:
                found[name] = error
        return found

    async def _read(self, key: str) -> Manifest:
        try:
            manifest = msgspec.json.decode(await self._objects.get(key), type=Manifest)
        except msgspec.DecodeError as error:
            raise BackupDamaged(f"{key} is not a manifest: {error}") from None
        if manifest.format != FORMAT:
            raise BackupDamaged(f"{key} must be of format {FORMAT}, was {manifest.format!r}")
        return manifest

    async def content(self, file: StoredFile) -> bytes:
        """A file of a backup, compared with its checksum. Raises BackupDamaged."""
        try:
            data = await self._objects.get(self._folder + file.key)
        except ObjectNotFound:
            raise BackupDamaged(f"a file of the backup is missing, was {file.key!r}") from None
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        if digest != file.sha256:
            raise BackupDamaged(f"{file.key} must have the SHA-256 {file.sha256}, was {digest!r}")
        return data

    async def prune(self) -> int:
        """Delete all but the newest ``keep`` backups, and files no manifest names; returns how many objects went."""
        known = await self.manifests()
        first = max(0, len(known) - self._keep)
        gone = [manifest_key(each.name) for each in known[:first]]
        kept = {file.key for each in known[first:] for file in each.files}
        now = self._clock.now_ns()
        for part in ("candles/", "tables/"):
            async for info in self._objects.list(self._folder + part):
                key = info.key.removeprefix(self._folder)
                # a backup in the making has files that no manifest names yet
                if key not in kept and info.modified_ns < now - _LEFTOVER_NS:
                    gone.append(key)
        for key in gone:
            await self._objects.delete(self._folder + key)
        return len(gone)
