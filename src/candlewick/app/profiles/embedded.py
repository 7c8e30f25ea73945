"""The embedded profile: SQLite files, memory and a local folder, all in one data dir; no server, no network needed."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from candlewick.app.configuration import AppSettings
from candlewick.app.profiles.machine import Machine
from candlewick.kernel.errors import CandlewickError, Rejected
from candlewick.kernel.logging import logger
from candlewick.ports.answers import Answers
from candlewick.ports.cache import Cache
from candlewick.ports.log import EventLog
from candlewick.ports.objects import Objects

_CACHE_BYTES = 64 << 20
_EXPIRE_INTERVAL_S = 60.0


class EmbeddedResources(Machine):
    """app.runtime.resources.Resources on embedded stores. Opening makes nothing heavy."""

    def __init__(
        self,
        data_dir: Path,
        settings: AppSettings,
        *,
        mode: str,
        archived: str = "",
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """As Machine."""
        from candlewick.adapters.cache.memory import MemoryCache
        from candlewick.adapters.cache.revalidating import RevalidatingAnswers
        from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
        from candlewick.adapters.objects.local import LocalObjects

        super().__init__(data_dir, settings, mode=mode, archived=archived, on_step=on_step)
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
        self.metrics.before_export(self._measure)
        self.cache: Cache = MemoryCache(self.clock, max_bytes=_CACHE_BYTES)
        self.answers: Answers = RevalidatingAnswers(self.cache, self.clock, logger("answers"))
        self.objects: Objects = LocalObjects(data_dir / "objects", self.clock, self.ids)

    async def open(self) -> None:
        await self.log.open()
        self.begin(self._expire())

    async def close(self) -> None:
        await self.end()
        await self.objects.close()
        await self.answers.close()
        await self.cache.close()
        await self.log.close()

    def _measure(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # SQLite takes its own files away at a close
            size = sum(file.stat().st_size for file in self.data_dir.glob("log.db*"))
            self.metrics.gauge("log_bytes", size)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_INTERVAL_S)
            try:
                await self.log.expire(self.clock.now_ns())
            except CandlewickError as error:
                logger("log").warning("retention waits", code=error.code, detail=error.detail)

    async def own(self, port: str, service: str, member: str) -> Any:
        folder = self.data_dir / service
        folder.mkdir(exist_ok=True)
        match port:
            case "database":
                from candlewick.adapters.db.sqlite import SqliteDatabase

                database = SqliteDatabase(folder / f"{service}.db", durable=self.settings.durable)
                await database.open()
                return database
            case "candles":
                from candlewick.adapters.candles.sqlite import SqliteCandleStore

                store = SqliteCandleStore(folder / "candles.db", durable=self.settings.durable, on_step=self.on_step)
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
