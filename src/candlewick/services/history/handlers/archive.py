"""Backups of the store and the ledger, and restoring them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.candles import CandleStore, SeriesInfo
from candlewick.ports.database import Database
from candlewick.ports.objects import ObjectNotFound, Objects
from candlewick.services.history.domain import archive, gaps
from candlewick.services.history.domain.archive import ArchivedFile, Manifest
from candlewick.services.history.domain.gaps import Gap
from candlewick.services.history.errors import BackupDamaged, UnknownBackup
from candlewick.services.history.handlers import parquet
from candlewick.services.history.ports import GapQuery, Ledger

KIND: Final = "history.backup"
_ALL_GAPS: Final = 1_000_000
_LEFTOVER_NS: Final = 86_400 * NS_PER_SECOND
Report = Callable[[float, str], Awaitable[None]]


async def quiet(_progress: float, _note: str) -> None:
    """Tells nobody."""


class Archive:
    """Files first, the manifest last: a killed backup leaves none that anyone would restore. A backup holds of every
    open time the row that stands, with its revision and origin; superseded revisions are not in it."""

    def __init__(
        self,
        *,
        store: CandleStore,
        database: Database,
        ledger: Ledger,
        objects: Objects,
        clock: Clock,
        folder: str = "",
    ) -> None:
        self._store, self._database, self._ledger = store, database, ledger
        self._objects, self._clock, self._folder = objects, clock, folder

    async def backup(self, report: Report = quiet) -> Manifest:
        """A new backup of everything stored now."""
        now = self._clock.now_ns()
        series = await self._store.series()
        files: list[ArchivedFile] = []
        for done, info in enumerate(series):
            await report(done / (len(series) + 1), f"{info.exchange} {info.symbol}")
            files += await self._series(info)
        async with self._database.reading() as tx:
            entries = await self._ledger.find(tx, GapQuery(limit=_ALL_GAPS))
        data = await asyncio.to_thread(parquet.encode_gaps, entries)
        digest = hashlib.sha256(data).hexdigest()
        files.append(await self._put(archive.gaps_key(digest), data, digest, "gaps", len(entries)))
        manifest = Manifest(archive.name_of(now), now, tuple(files))
        key = self._folder + archive.manifest_key(manifest.name)
        await self._objects.put(key, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        return manifest

    async def _series(self, info: SeriesInfo) -> list[ArchivedFile]:
        files = []
        for label, start, end in archive.periods(info.first_ns, info.last_ns, info.timeframe_s):
            columns = await self._store.range(info.exchange, info.symbol, info.timeframe_s, start, end)
            if not len(columns.open_time):
                continue
            data = await asyncio.to_thread(parquet.encode_candles, columns)
            digest = hashlib.sha256(data).hexdigest()
            key = archive.candles_key(info.exchange, info.symbol, info.timeframe_s, label, digest)
            file = await self._put(key, data, digest, "candles", len(columns.open_time))
            files.append(
                msgspec.structs.replace(file, exchange=info.exchange, symbol=info.symbol, timeframe_s=info.timeframe_s)
            )
        return files

    async def _put(self, key: str, data: bytes, digest: str, kind: str, rows: int) -> ArchivedFile:
        try:
            is_there = (await self._objects.info(self._folder + key)).size == len(data)
        except ObjectNotFound:
            is_there = False
        if not is_there:
            await self._objects.put(self._folder + key, data)
        return ArchivedFile(key, digest, len(data), kind, rows)

    async def manifests(self) -> list[Manifest]:
        """Every backup, oldest first."""
        return [await self._read(info.key) async for info in self._objects.list(self._folder + "manifests/")]

    async def _read(self, key: str) -> Manifest:
        try:
            return msgspec.json.decode(await self._objects.get(key), type=Manifest)
        except msgspec.DecodeError as error:
            raise BackupDamaged(f"{key} is not a manifest: {error}") from None

    async def restore(self, name: str | None = None, report: Report = quiet) -> tuple[Manifest, int, int]:
        """Put the rows and entries of a backup (the newest) back; what is there already stays. Returns the manifest
        and how many rows and entries were new. Raises UnknownBackup, BackupDamaged."""
        known = await self.manifests()
        manifest = next((each for each in reversed(known) if name in (None, each.name)), None)
        if manifest is None:
            raise UnknownBackup(f"there is no such backup here, was {name or 'none at all'!r}")
        rows = entries = 0
        for done, file in enumerate(manifest.files):
            await report(done / len(manifest.files), file.key)
            data = await self._checked(file)
            if file.kind == "candles":
                columns = await asyncio.to_thread(parquet.decode_candles, data)
                rows += await self._store.append(file.exchange, file.symbol, columns)
            else:
                entries += await self._restore_gaps(await asyncio.to_thread(parquet.decode_gaps, data))
        return manifest, rows, entries

    async def _checked(self, file: ArchivedFile) -> bytes:
        try:
            data = await self._objects.get(self._folder + file.key)
        except ObjectNotFound:
            raise BackupDamaged(f"a file of the backup is missing, was {file.key!r}") from None
        digest = hashlib.sha256(data).hexdigest()
        if digest != file.sha256:
            raise BackupDamaged(f"{file.key} must have the SHA-256 {file.sha256}, was {digest!r}")
        return data

    async def _restore_gaps(self, entries: list[Gap]) -> int:
        new = 0
        async with self._database.transaction() as tx:
            for gap in entries:
                if await self._ledger.get(tx, gap.id) is None:
                    await self._ledger.put(tx, gap)
                    new += 1
                    if gap.state == gaps.OPEN:
                        await self._ledger.ask(tx, gaps.to_ask(gap, self._clock.now_ns()))
        return new

    async def prune(self, keep: int) -> int:
        """Delete all but the newest ``keep`` backups, and files no manifest names; returns how many objects went."""
        known = await self.manifests()
        gone = [archive.manifest_key(each.name) for each in known[: max(0, len(known) - keep)]]
        kept = {file.key for each in known[max(0, len(known) - keep) :] for file in each.files}
        now = self._clock.now_ns()
        for part in ("candles/", "gaps/"):
            async for info in self._objects.list(self._folder + part):
                key = info.key.removeprefix(self._folder)
                # a backup in the making has files that no manifest names yet
                if key not in kept and info.modified_ns < now - _LEFTOVER_NS:
                    gone.append(key)
        for key in gone:
            await self._objects.delete(self._folder + key)
        return len(gone)
