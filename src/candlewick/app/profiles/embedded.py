"""The embedded profile: SQLite files, memory and a local folder, all in one data dir; no server, no network needed."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candlewick.app.configuration import AppSettings
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Fatal, Rejected
from candlewick.kernel.ids import IdSource
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.cache import Cache
from candlewick.ports.frames import FrameTap, Recording
from candlewick.ports.log import EventLog
from candlewick.ports.objects import Objects
from candlewick.ports.venue import Venue

if TYPE_CHECKING:
    from candlewick.adapters.frames.writer import RingArchive

_CACHE_BYTES = 64 << 20
_EXPIRE_INTERVAL_S = 60.0


class BadDataDir(Fatal):
    """The data dir is no folder and none can be made there."""

    code = "DATA_DIR"


class EmbeddedResources:
    """app.runtime.resources.Resources on embedded stores. Opening makes the data dir and nothing else heavy."""

    def __init__(
        self,
        data_dir: Path,
        settings: AppSettings,
        *,
        mode: str,
        archived: str = "",
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """``archived`` names the venue whose raw frames are kept in the ring on disk [19], none when empty.
        ``on_step`` is told of every named step on the way from a frame to a stored candle; tests kill there."""
        from candlewick.adapters.cache.memory import MemoryCache
        from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
        from candlewick.adapters.objects.local import LocalObjects

        self.clock: Clock = SystemClock()
        self.ids: IdSource = SystemIds()
        self.metrics = Metrics()
        self.mode = mode
        self.on_step = on_step or _ignore
        self._ring = _new_ring(archived, data_dir, settings, self.clock) if archived else None
        self.archive: FrameTap | None = self._ring
        self._data_dir, self._settings = data_dir, settings
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadDataDir(
                f"the data dir cannot be made ({error.strerror}), was {str(data_dir)!r}",
                hint="Name another with --data-dir",
            ) from None
        self._sqlite_log = SqliteEventLog(
            data_dir,
            self.clock,
            on_step=on_step,
            options=LogOptions(
                durable=settings.durable,
                retention_s=settings.log_retention_hours * 3600,
                retention_bytes=settings.log_max_bytes,
            ),
        )
        self.log: EventLog = self._sqlite_log
        self.cache: Cache = MemoryCache(self.clock, max_bytes=_CACHE_BYTES)
        self.objects: Objects = LocalObjects(data_dir / "objects", self.clock, self.ids)
        self._venues: dict[str, Venue] = {}
        self._chores: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        await self.log.open()
        self._chores = [asyncio.ensure_future(self._expire())]
        if self._ring is not None:
            self._chores.append(asyncio.ensure_future(self._ring.run()))

    async def close(self) -> None:
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        for venue in self._venues.values():
            await venue.close()
        await self.objects.close()
        await self.cache.close()
        await self.log.close()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_INTERVAL_S)
            try:
                await self.log.expire(self.clock.now_ns())
            except CandlewickError as error:
                logger("log").warning("retention waits", code=error.code, detail=error.detail)

    async def own(self, port: str, service: str, member: str) -> Any:
        folder = self._data_dir / service
        folder.mkdir(exist_ok=True)
        match port:
            case "database":
                from candlewick.adapters.db.sqlite import SqliteDatabase

                database = SqliteDatabase(folder / f"{service}.db", durable=self._settings.durable)
                await database.open()
                return database
            case "candles":
                from candlewick.adapters.candles.sqlite import SqliteCandleStore

                store = SqliteCandleStore(folder / "candles.db", durable=self._settings.durable, on_step=self.on_step)
                await store.open()
                return store
            case "jobs":
                from candlewick.adapters.jobs.pool import PoolJobs

                return PoolJobs(folder / "jobs.db", self.clock, self.ids)
            case "stream":
                from candlewick.adapters.stream.sqlite import SqliteStreamRuntime

                return SqliteStreamRuntime(self._sqlite_log.file, clock=self.clock, member=member, on_step=self.on_step)
            case _:
                raise Rejected(f"the embedded profile offers no port of this name, was {port!r}")

    def recording(
        self, paths: Sequence[str], speed: float, start: tuple[str, int] | None, report: Callable[[str, str], None]
    ) -> Recording:
        from candlewick.adapters.frames.player import Player
        from candlewick.adapters.frames.reader import Position

        position = Position(*start) if start is not None else None
        return Player([Path(p) for p in paths], self.clock, report, speed=speed or None, start=position)

    def venue(self, name: str) -> Venue:
        """The venue's adapter; only its package is imported. Raises UnknownVenue."""
        if name not in self._venues:
            self._venues[name] = new_venue(name, self.clock, self._settings, self._data_dir)
        return self._venues[name]


def _new_ring(venue: str, data_dir: Path, settings: AppSettings, clock: Clock) -> "RingArchive | None":
    from candlewick.adapters.frames.reader import Header
    from candlewick.adapters.frames.writer import RingArchive

    if not settings.frames_max_bytes:
        return None
    header = Header(venue, started=clock.now_ns())
    return RingArchive(data_dir / "frames", venue, header, clock, max_bytes=settings.frames_max_bytes)


def _ignore(step: str) -> None:
    """No one watches the steps."""


def new_venue(name: str, clock: Clock, settings: AppSettings, data_dir: Path) -> Venue:
    """An adapter by the name of its package. Raises UnknownVenue."""
    from candlewick.adapters import venues

    if name == "demo":
        return venues.venue(name, clock=clock, seed=settings.demo_seed)
    options = {"rest_url": settings.venue_rest_url, "stream_url": settings.venue_stream_url}
    given = {k: v for k, v in options.items() if v}
    return venues.venue(name, clock=clock, random=random.Random().random, spool=data_dir / "spool" / name, **given)
