"""Backups on embedded stores: what comes back, what is refused, and what a death in the middle leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.adapters.objects.local import LocalObjects
from candlewick.app.runtime.backups import schedule
from candlewick.app.runtime.backups.archive import Archive
from candlewick.app.runtime.backups.restoring import restore
from candlewick.app.runtime.backups.rows import Checksum
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.backups import BackupDamaged, BackupDoesNotFit, NotEmpty, UnknownBackup
from candlewick.ports.objects import ObjectsUnavailable
from candlewick.testing.clock import VirtualClock
from candlewick.testing.conformance.candles import assert_same, candles
from tests.backups import SCHEMA, Died, fill, rows_of

_EVER = 1 << 62


@asynccontextmanager
async def stores(folder: Path, objects: Path, **options: Any) -> AsyncIterator[Archive]:
    """The history service's stores in a folder, migrated, with the runtime's tables."""
    folder.mkdir(exist_ok=True)
    database, store = SqliteDatabase(folder / "db"), SqliteCandleStore(folder / "candles")
    await database.open()
    await store.open()
    kept = LocalObjects(objects, SystemClock(), SystemIds())
    given = {"clock": SystemClock(), **options}
    try:
        yield Archive("history", database=database, store=store, objects=kept, **given)
    finally:
        await kept.close()
        await database.close()
        await store.close()


@pytest.mark.slow
async def test_everything_comes_back(tmp_path: Path) -> None:
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await fill(ours, gaps=25_000)
        manifest = await ours.back_up()
        assert (manifest.revision, manifest.info.candles) == ("0001", 600)
        done = await restore(theirs, SCHEMA)
        assert done.checksums == {table.name: table.checksum for table in manifest.tables}
        assert {"gaps", "pending", "outbox", "inbox_position"} <= done.checksums.keys()
        for table in ("gaps", "pending", "coverage", "outbox", "inbox_position"):
            assert await rows_of(theirs, table) == await rows_of(ours, table), table
        assert theirs.store is not None
        for symbol in ("BTC-USDT", "ETH-USDT"):
            assert_same(await theirs.store.range("binance", symbol, 60, 0, _EVER), candles(300))
        again = await theirs.back_up()
        same = {"gaps", "pending", "outbox"}
        assert {t.name: t.checksum for t in again.tables if t.name in same} == {
            name: done.checksums[name] for name in same
        }


@pytest.mark.slow
async def test_numbers_given_out_since_are_never_given_again(tmp_path: Path) -> None:
    """A consumer has seen message 42 of the time after the backup; the restored service's next one is another."""
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await fill(ours)
        await ours.back_up()
        await restore(theirs, SCHEMA)
        numbers = {row[0]: row[2] for row in await rows_of(theirs, "outbox_sequence")}
        assert numbers["history.gaps"] > 1 << 32


@pytest.mark.parametrize(("is_new_log", "positions"), [(True, 0), (False, 1)])
async def test_beside_a_new_log_the_inbox_begins_anew(tmp_path: Path, is_new_log: bool, positions: int) -> None:
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await fill(ours)
        await ours.back_up()
        await restore(theirs, SCHEMA, is_new_log=is_new_log)
        assert len(await rows_of(theirs, "inbox_position")) == positions


async def test_where_something_is_kept_nothing_is_restored(tmp_path: Path) -> None:
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await fill(ours)
        await ours.back_up()
        with pytest.raises(NotEmpty):
            await restore(ours, SCHEMA)
        assert theirs.store is not None
        await theirs.store.append("binance", "XRP-USDT", candles(3))
        with pytest.raises(NotEmpty):
            await restore(theirs, SCHEMA)
        assert [one.symbol for one in await theirs.store.series()] == ["XRP-USDT"]
        with pytest.raises(UnknownBackup):
            await restore(theirs, SCHEMA, name="19700101T000000Z")


async def test_candles_alone_are_restored_once_too(tmp_path: Path) -> None:
    """No table has a row, so it is the candles that say that something is kept."""
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        assert ours.store is not None
        await ours.store.append("binance", "BTC-USDT", candles(30))
        await ours.back_up()
        await restore(theirs, SCHEMA)
        with pytest.raises(NotEmpty):
            await restore(theirs, SCHEMA)


@pytest.mark.parametrize("step", ["copying", "naming"])
async def test_a_backup_that_dies_leaves_none(tmp_path: Path, step: str) -> None:
    def die(reached: str) -> None:
        if reached == step:
            raise Died

    async with stores(tmp_path / "a", tmp_path / "kept", on_step=die) as dying:
        await fill(dying)
        with pytest.raises(Died):
            await dying.back_up()
        assert await dying.kept() == []
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await ours.back_up()
        assert (await restore(theirs, SCHEMA)).candles == 600


@pytest.mark.parametrize("step", ["restored candles", "restored table", "restored tables"])
async def test_a_restore_that_dies_goes_on(tmp_path: Path, step: str) -> None:
    seen = []

    def die(reached: str) -> None:
        seen.append(reached)
        if reached == step:
            raise Died

    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await fill(ours)
        manifest = await ours.back_up()
        with pytest.raises(Died):
            await restore(theirs, SCHEMA, on_step=die)
        if step != "restored candles":
            assert await rows_of(theirs, "gaps") == []
        files = len(manifest.candles)
        again: list[str] = []
        done = await restore(theirs, SCHEMA, on_step=again.append)
        assert again.count("restored candles") == files - seen.count("restored candles")
        assert done.checksums == {table.name: table.checksum for table in manifest.tables}
        assert theirs.store is not None
        assert_same(await theirs.store.range("binance", "ETH-USDT", 60, 0, _EVER), candles(300))


async def _broken(tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception]) -> None:
    async with stores(tmp_path / "a", tmp_path / "kept") as ours, stores(tmp_path / "b", tmp_path / "kept") as theirs:
        await fill(ours)
        await ours.back_up()
        spoil(tmp_path / "kept")
        with pytest.raises(error):
            await restore(theirs, SCHEMA)
        assert theirs.database is not None
        if "gaps" in {table.name for table in await theirs.database.tables()}:
            assert await rows_of(theirs, "gaps") == []


@pytest.mark.parametrize("kind", ["tables/gaps", "candles"])
async def test_a_damaged_or_missing_file_is_told(tmp_path: Path, kind: str) -> None:
    def cut(kept: Path) -> None:
        victim = next(one for one in kept.rglob("*.parquet*") if kind in str(one))
        victim.write_bytes(victim.read_bytes()[:-1] + b"\x00")

    await _broken(tmp_path, cut, BackupDamaged)


async def test_rows_that_are_not_the_manifests_are_told(tmp_path: Path) -> None:
    def lie(kept: Path) -> None:
        manifest = next(one for one in kept.rglob("manifests/*"))
        text = manifest.read_text()
        checksum = text.split('"checksum": "', 2)[2][:64]
        manifest.write_text(text.replace(checksum, "0" * 63 + "1"))

    await _broken(tmp_path, lie, BackupDamaged)


async def test_other_tables_than_the_revisions_are_refused(tmp_path: Path) -> None:
    def rename(kept: Path) -> None:
        manifest = next(one for one in kept.rglob("manifests/*"))
        manifest.write_text(manifest.read_text().replace('"name": "tries"', '"name": "trials"'))

    await _broken(tmp_path, rename, BackupDoesNotFit)


async def test_files_are_shared_and_old_backups_go(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with stores(tmp_path / "a", tmp_path / "kept", clock=clock, keep=2) as ours:
        await fill(ours)
        names = []
        for _ in range(3):
            names.append((await ours.back_up()).name)
            clock.jump(3600)
        assert [info.name for info in await ours.kept()] == names[1:]
        assert len([one for one in (tmp_path / "kept").rglob("*.parquet*") if "gaps" in str(one)]) == 1


async def test_by_the_clock_one_process_makes_each(tmp_path: Path) -> None:
    async with stores(tmp_path / "a", tmp_path / "kept") as ours:
        await fill(ours)
        made = await asyncio.gather(*(ours.due(3600.0) for _ in range(3)))
        assert len([one for one in made if one is not None]) == 1
        assert await ours.due(3600.0) is None
        assert len(await ours.kept()) == 1


def test_a_checksum_is_of_the_rows_and_not_of_their_order() -> None:
    def of(*rows: Any) -> str:
        found = Checksum()
        for row in rows:
            found.add([row])
        return found.text

    assert of((1, "a"), (2, None)) == of((2, None), (1, "a"))
    assert len({of((1, "a")), of((1, b"a")), of(("1", "a")), of((1.0, "a")), of((1, "a"), (1, "a")), of()}) == 6


async def test_a_damaged_manifest_is_no_backup_and_stops_none(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with stores(tmp_path / "a", tmp_path / "kept", clock=clock) as ours:
        await fill(ours)
        first = await ours.back_up()
        clock.jump(3600)
        second = await ours.back_up()
        next((tmp_path / "kept").rglob(f"manifests/*{second.name}*")).write_text("{")
        assert await ours.manifests() == [first]
        assert (await ours.named(None)).name == first.name
        with pytest.raises(BackupDamaged):
            await ours.named(second.name)
        clock.jump(3600)
        assert (await ours.back_up()).name != first.name


async def test_a_backup_that_fails_is_tried_again(tmp_path: Path) -> None:
    told: list[str] = []

    class Log:
        def error(self, text: str, **_: Any) -> None:
            told.append(text)

        def info(self, text: str, **_: Any) -> None:
            told.append(text)
            raise asyncio.CancelledError

    class Clock(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            self.jump(seconds)

    async with stores(tmp_path / "a", tmp_path / "kept") as ours:
        await fill(ours)

        def fail(_: str) -> None:
            if not told:
                raise ObjectsUnavailable("the bucket is away")

        ours._step = fail
        with pytest.raises(asyncio.CancelledError):
            await schedule.watch(ours, Clock(), Log(), Metrics(), 3600.0)
        assert told == ["backup failed", "backup made"]


class Watched:
    """What the metrics say while backups are made by a clock that is moved by hand."""

    def __init__(self, archive: Archive, clock: VirtualClock) -> None:
        self.metrics, self.looks = Metrics(), asyncio.Semaphore(0)
        self._slept = asyncio.Semaphore(0)
        self._archive, self._clock = archive, clock

    async def sleep(self, _: float) -> None:
        self._slept.release()
        await self.looks.acquire()

    async def __aenter__(self) -> "Watched":
        waiting = Waiting(self._clock, self.sleep)
        self._task = asyncio.ensure_future(schedule.watch(self._archive, waiting, Quiet(), self.metrics, 86_400.0))
        await self._slept.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        self.looks.release()
        await self._slept.acquire()

    def told(self) -> dict[str, float]:
        lines = [line for line in self.metrics.export().decode().splitlines() if line.startswith("candlewick_backup_")]
        return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}


class Waiting:
    """A virtual clock whose sleeps end when a test says so."""

    def __init__(self, clock: VirtualClock, sleep: Callable[[float], Any]) -> None:
        self.now_ns, self.monotonic_ns, self.sleep = clock.now_ns, clock.monotonic_ns, sleep


class Quiet:
    def error(self, *_: Any, **__: Any) -> None: ...

    def info(self, *_: Any, **__: Any) -> None: ...


async def test_the_age_of_the_newest_backup_is_told_and_grows_on_while_none_can_be_made(tmp_path: Path) -> None:
    clock, is_away = VirtualClock(), False

    def step(_: str) -> None:
        if is_away:
            raise ObjectsUnavailable("the bucket is away")

    async with stores(tmp_path / "a", tmp_path / "kept", clock=clock, on_step=step) as ours:
        await fill(ours)
        async with Watched(ours, clock) as watched:
            clock.jump(100)
            assert watched.told() == {"candlewick_backup_age_seconds": 100, "candlewick_backup_interval_seconds": 86400}
            await watched.look()
            clock.jump(86_400)
            is_away = True
            await watched.look()
            clock.jump(3600)
            assert watched.told()["candlewick_backup_age_seconds"] == 90_000
        async with Watched(ours, clock) as again:
            assert again.told()["candlewick_backup_age_seconds"] == 90_000, "a restart does not begin at nothing"
            is_away = False
            await again.look()
            assert again.told()["candlewick_backup_age_seconds"] == 0
        clock.jump(50)
        assert again.told()["candlewick_backup_age_seconds"] == 0, "who no longer makes backups tells nothing new"
