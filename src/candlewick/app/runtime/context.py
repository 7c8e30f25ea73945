"""The context of one running service: the ports its spec needs, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from candlewick.app.runtime.backups import schedule
from candlewick.app.runtime.backups.archive import Archive
from candlewick.app.runtime.measured_log import MeasuredLog
from candlewick.app.runtime.messaging import LogMessaging
from candlewick.app.runtime.resources import Resources
from candlewick.app.runtime.schema import bring_up
from candlewick.app.tracing import Tracer
from candlewick.kernel.errors import Fatal
from candlewick.kernel.lifecycle import ServiceSpec
from candlewick.kernel.net import deadline
from candlewick.ports.answers import Answers
from candlewick.ports.cache import Cache
from candlewick.ports.candles import CandleStore
from candlewick.ports.database import Database
from candlewick.ports.frames import FrameTap, Recording
from candlewick.ports.jobs import Jobs
from candlewick.ports.log import EventLog
from candlewick.ports.objects import Objects
from candlewick.ports.runtime import ServiceClient
from candlewick.ports.stream import StreamRuntime
from candlewick.ports.venue import Venue


class ServiceContext:
    """ports.runtime.Context. ``opened`` closes what belongs to this service alone."""

    def __init__(
        self,
        spec: ServiceSpec[Any],
        settings: Any,
        resources: Resources,
        *,
        member: str,
        logger: Any,
        upstreams: Callable[[str], Any],
        clients: Callable[[str], ServiceClient],
        on_failure: Callable[[str, BaseException], None],
        tracer: Tracer,
        backup_hours: float = 0.0,
        backup_keep: int = 1,
    ) -> None:
        """Backups are made every ``backup_hours`` (0: never by themselves), and so many are kept."""
        self._backup_hours, self._backup_keep = backup_hours, backup_keep
        self._spec, self._resources = spec, resources
        self.name, self.settings, self.logger = spec.name, settings, logger
        self.clock, self.ids, self.metrics, self.mode = (
            resources.clock,
            resources.ids,
            resources.metrics,
            resources.mode,
        )
        self._upstreams, self._clients, self._on_failure = upstreams, clients, on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._exporting: list[Callable[[], None]] = []
        self._owned: dict[str, Any] = {}
        self._member = self.member = member
        self._tracer = tracer
        self._log = MeasuredLog(resources.log, self.name, self.metrics, self.clock)
        self.messaging: LogMessaging

    async def open(self) -> None:
        """Open the service's own stores and bring its schema to head."""
        for port in sorted(self._spec.needs & {"database", "candles", "jobs", "stream"}):
            self._owned[port] = await self._resources.own(port, self._spec.name, self._member)
        database: Database | None = self._owned.get("database")
        if database is not None and self._spec.schema is not None:
            await bring_up(database, self._spec.schema, self.logger)
        self.messaging = LogMessaging(
            service=self.name,
            member=self._member,
            log=self._log,
            database=database,
            clock=self.clock,
            ids=self.ids,
            metrics=self.metrics,
            logger=self.logger,
            tracer=self._tracer,
            background=self.background,
        )
        await self.messaging.open()
        self.background("lag", self._log.measure())
        if self._owned.keys() & {"database", "candles"} and self._backup_hours and self.mode != "replay":
            every_s = self._backup_hours * 3600
            self.background("backups", schedule.watch(self.backups, self.clock, self.logger, self.metrics, every_s))

    async def close(self) -> None:
        """What may still speak stops first (tasks, jobs, the stream), then the door to the log, then the stores."""
        for tell_no_more in self._exporting:
            tell_no_more()
        self._exporting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for port in ("jobs", "stream"):
            if port in self._owned:
                await self._owned.pop(port).stop()
        if hasattr(self, "messaging"):
            await self.messaging.close()
        for store in self._owned.values():
            await store.close()
        self._owned.clear()

    def _port(self, name: str) -> Any:
        if name not in self._spec.needs:
            raise Fatal(f"service {self.name} asked for the port {name!r}, which its spec does not need")
        return self._owned[name] if name in self._owned else getattr(self._resources, name)

    @property
    def log(self) -> EventLog:
        return self._log

    @property
    def database(self) -> Database:
        port: Database = self._port("database")
        return port

    @property
    def candles(self) -> CandleStore:
        port: CandleStore = self._port("candles")
        return port

    @property
    def cache(self) -> Cache:
        port: Cache = self._port("cache")
        return port

    @property
    def answers(self) -> Answers:
        port: Answers = self._port("answers")
        return port

    @property
    def objects(self) -> Objects:
        port: Objects = self._port("objects")
        return port

    @property
    def jobs(self) -> Jobs:
        port: Jobs = self._port("jobs")
        return port

    @property
    def backups(self) -> Archive:
        return Archive(
            self.name,
            database=self._owned.get("database"),
            store=self._owned.get("candles"),
            objects=self._resources.objects,
            clock=self.clock,
            keep=self._backup_keep,
            on_step=self.on_step,
        )

    @property
    def stream(self) -> StreamRuntime:
        port: StreamRuntime = self._port("stream")
        return port

    def venue(self, name: str) -> Venue:
        return self._resources.venue(name)

    @property
    def archive(self) -> FrameTap | None:
        return self._resources.archive

    def recording(
        self, paths: Sequence[str], speed: float, start: tuple[str, int] | None, report: Callable[[str, str], None]
    ) -> Recording:
        return self._resources.recording(paths, speed, start, report)

    def on_step(self, step: str) -> None:
        self._resources.on_step(step)

    def client(self, service: str) -> ServiceClient:
        if service not in (*self._spec.calls, self.name):
            raise Fatal(f"service {self.name} asked {service!r}, which its spec does not call")
        return self._clients(service)

    def upstream(self, service: str) -> Any:
        return self._upstreams(service)

    def before_export(self, refresh: Callable[[], None]) -> None:
        self._exporting.append(self.metrics.before_export(refresh))

    def background(self, name: str, work: Awaitable[None]) -> None:
        with deadline.without():  # begun by a request perhaps, but not part of it
            task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finished(name, done))

    def _finished(self, name: str, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(name, error)

    async def dependencies(self) -> Mapping[str, str | None]:
        """Each opened port and what is wrong with it, None when well."""
        found: dict[str, str | None] = {"log": await self._resources.log.check()}
        for name, thing in self._owned.items():
            if (check := getattr(thing, "check", None)) is not None:
                found[name] = await check()
        return found
