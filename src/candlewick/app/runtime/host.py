"""Runs services in this process: start in order, ready, restart what fails, stop in reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from candlewick.app import registry
from candlewick.app.configuration import Configuration
from candlewick.app.http.addresses import Addresses
from candlewick.app.http.client import AsgiClient, HttpClient
from candlewick.app.http.health import Neighbour
from candlewick.app.http.neighbours import Neighbours
from candlewick.app.http.proxy import Proxy
from candlewick.app.http.service_app import ServiceApp
from candlewick.app.http.upstream import Upstreams
from candlewick.app.runtime.context import ServiceContext
from candlewick.app.runtime.resources import Companion, Resources
from candlewick.app.tracing import new_tracer
from candlewick.contracts import topics
from candlewick.kernel.clock import NS_PER_MS
from candlewick.kernel.errors import CandlewickError, Fatal
from candlewick.kernel.lifecycle import Health, Service, ServiceSpec, State
from candlewick.kernel.logging import logger as new_logger

_RESTART_FIRST_S, _RESTART_MOST_S = 0.5, 30.0
_LAG_INTERVAL_S = 0.1
_STOP_TIMEOUT_S = 15.0


class Hosted:
    """One service of this process, whatever state it is in."""

    def __init__(self, host: "Host", spec: ServiceSpec[Any], settings: Any) -> None:
        self.spec, self.settings = spec, settings
        self._host = host
        self.logger = new_logger(spec.name)
        self.state, self.detail = State.STOPPED, ""
        self.since_ms = host.resources.clock.now_ns() // NS_PER_MS
        self.restarts = 0
        self.depends_on = dependencies(spec)
        self._missing: tuple[int, dict[str, int]] = (-1, {})
        self._service: Service | None = None
        self._context: ServiceContext | None = None
        self._restart: asyncio.Task[None] | None = None
        self.app = ServiceApp(
            name=spec.name,
            title=spec.purpose,
            mode=host.resources.mode,
            health=self.health,
            missing=self.missing,
            neighbours=self.neighbours,
            dependencies=self._dependencies,
            metrics=host.resources.metrics,
            clock=host.resources.clock,
            ids=host.resources.ids,
            logger=self.logger,
            tracer=host.tracer,
        )

    @property
    def service(self) -> Any:
        """The running service itself, for the commands that wait for it. Raises Fatal when it does not run."""
        if self._service is None:
            raise Fatal(f"service {self.spec.name} does not run: {self.detail}")
        return self._service

    def health(self) -> Health:
        if self.state is not State.READY or self._service is None:
            return Health(self.state, self.detail)
        own = self._service.health()
        if not self.missing() or own.state not in (State.READY, State.DEGRADED):
            return own
        told = [own.detail] if own.detail else []
        told += [_told(name, at) for name, at in self.neighbours().items() if not at.serves]
        return Health(State.DEGRADED, "; ".join(told), own.facts)

    def missing(self) -> Mapping[str, int]:
        """The services that this one asks or hears of and that do not serve, and since when (ms UTC)."""
        if self._missing[0] != self._host.changes:
            found = {name: at.since for name, at in self.neighbours().items() if not at.serves}
            self._missing = self._host.changes, found
        return self._missing[1]

    def neighbours(self) -> Mapping[str, Neighbour]:
        """Every service that this one asks or hears of, as it is known here."""
        return {name: self._host.neighbour(name) for name in self.depends_on}

    async def _dependencies(self) -> Any:
        return await self._context.dependencies() if self._context is not None else {}

    async def caught_up(self) -> None:
        """Returns when the service knows nearly all that was in the log at the call."""
        if self._context is not None:
            await self._context.messaging.caught_up()
        if (caught_up := getattr(self._service, "caught_up", None)) is not None:
            await caught_up()

    async def start(self) -> None:
        """Build and start; returns when ready. What fails on the way is closed and raised."""
        self._become(State.STARTING)
        self._context = ServiceContext(
            self.spec,
            self.settings,
            self._host.resources,
            member=self._host.member,
            logger=self.logger,
            upstreams=self._host.upstream,
            clients=self._host.client,
            on_failure=self._failed,
            tracer=self._host.tracer,
            backup_hours=self._own_or_app("backup_hours"),
            backup_keep=self._own_or_app("backup_keep"),
        )
        try:
            await self._context.open()
            self._service = self.spec.build(self._context)
            self.app.mount(self._service)
            await self._service.start()
        except BaseException as error:
            await self._close()
            self._become(State.FAILED, _reason(error))
            raise
        self._become(State.READY)

    def _own_or_app(self, setting: str) -> Any:
        """A setting of the whole process that a service may have for itself."""
        own = getattr(self.settings, setting, None)
        return getattr(self._host.configuration.app, setting) if own is None else own

    async def stop(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            with suppress(asyncio.CancelledError):
                await self._restart
        self._become(State.STOPPING)
        await self._close()
        self._become(State.STOPPED)

    async def _close(self) -> None:
        service, context = self._service, self._context
        self._service = self._context = None
        if service is not None:
            try:
                await asyncio.wait_for(service.stop(), _STOP_TIMEOUT_S)
            except CandlewickError as error:
                self.logger.error("stopped badly", code=error.code, detail=str(error))
            except Exception:
                self.logger.exception("stop failed")
        if context is not None:
            await context.close()

    def _failed(self, task: str, error: BaseException) -> None:
        """A background task ended with an error: the service restarts with back-off, the others serve on."""
        if self.state in (State.STOPPING, State.STOPPED) or self._restart is not None:
            return
        known = isinstance(error, CandlewickError)
        self.logger.error("service failed", task=task, reason=_reason(error), exc_info=None if known else error)
        self._become(State.FAILED, _reason(error))
        self._restart = asyncio.ensure_future(self._again())

    async def _again(self) -> None:
        delay = _RESTART_FIRST_S * 2 ** min(self.restarts, 6)
        while True:
            await self._close()
            delay = min(delay, _RESTART_MOST_S)
            self.logger.warning("service starts again", in_s=delay)
            await self._host.resources.clock.sleep(delay)
            self.restarts += 1
            self._host.resources.metrics.count("service_restarts_total", 1, self.spec.name)
            try:
                await self.start()
            except Exception as error:
                self.logger.error("service did not start", reason=_reason(error))
                delay *= 2
            else:
                self._restart = None
                return

    def _become(self, state: State, detail: str = "") -> None:
        self.state, self.detail = state, detail
        self.since_ms = self._host.resources.clock.now_ns() // NS_PER_MS
        self._host.changed()
        for each in State:
            self._host.resources.metrics.gauge("service_state", float(each is state), self.spec.name, each.value)


def dependencies(spec: ServiceSpec[Any]) -> tuple[str, ...]:
    """The services that this one asks, and those whose events it takes, in the order of their start."""
    wanted = {*spec.calls, *(topics.BY_NAME[taken.topic].producer for taken in spec.consumes)} - {spec.name}
    return tuple(name for name in registry.SERVICES if name in wanted)


def _told(name: str, at: Neighbour) -> str:
    since = datetime.fromtimestamp(at.since // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{name} is {at.status} since {since}{f' ({at.detail})' if at.detail else ''}"


def _reason(error: BaseException) -> str:
    return f"{error.code}: {error}" if isinstance(error, CandlewickError) else f"{type(error).__name__}: {error}"


class Host:
    """The services of one process over one profile's resources."""

    def __init__(
        self, names: Sequence[str], configuration: Configuration, resources: Resources, *, member: str
    ) -> None:
        self.configuration, self.resources, self.member = configuration, resources, member
        app = configuration.app
        self.tracer = new_tracer(app.otlp_endpoint)
        self.hosted: dict[str, Hosted] = {}
        self.changes = 0
        self._timeout_s = app.call_timeout_s
        self._upstreams = Upstreams(
            Addresses(app.service_urls, app.host, app.port),
            clock=resources.clock,
            metrics=resources.metrics,
            tracer=self.tracer,
            timeout_s=app.call_timeout_s,
        )
        for name in (n for n in registry.SERVICES if n in names):
            spec = registry.load(name)
            self.hosted[name] = Hosted(self, spec, configuration.section(spec.settings, name)[0])
        elsewhere = {name for hosted in self.hosted.values() for name in hosted.depends_on} - self.hosted.keys()
        upstreams = [self._upstreams.of(name) for name in registry.SERVICES if name in elsewhere]
        self._neighbours = Neighbours(upstreams, resources.clock, new_logger("host"), self.changed)
        self._lag: asyncio.Task[None] | None = None
        self._companions: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start every service in order. One that fails is named in the error; those started before are stopped."""
        await self.resources.open()
        self._lag = asyncio.ensure_future(self._watch_loop())
        self._neighbours.start()
        for hosted in self.hosted.values():
            await hosted.start()
        companions = self.resources.companions(self.client, self.member)
        self._companions = [asyncio.ensure_future(self._keep(name, run)) for name, run in companions.items()]

    async def _keep(self, name: str, run: Companion) -> None:
        """Run what stands beside the services, again and again should it fail."""
        while True:
            try:
                await run()
            except Exception as error:
                new_logger(name).error(
                    "it failed and begins again",
                    reason=_reason(error),
                    exc_info=None if isinstance(error, CandlewickError) else error,
                )
            await self.resources.clock.sleep(_RESTART_MOST_S)

    async def stop(self) -> None:
        for companion in self._companions:
            companion.cancel()
        await asyncio.gather(*self._companions, return_exceptions=True)
        for hosted in reversed(self.hosted.values()):
            await hosted.stop()
        if self._lag is not None:
            self._lag.cancel()
        await self._neighbours.stop()
        await self._upstreams.close()
        await self.resources.close()
        await asyncio.to_thread(self.tracer.close)

    async def caught_up(self) -> None:
        """Returns when every service knows nearly all that was in the log at the call."""
        await asyncio.gather(*(hosted.caught_up() for hosted in self.hosted.values()))

    def upstream(self, service: str) -> Any:
        if service in self.hosted:
            return self.hosted[service].app
        return Proxy(self._upstreams.of(service))

    def client(self, service: str) -> AsgiClient | HttpClient:
        if service in self.hosted:
            return AsgiClient(
                self.hosted[service].app,
                service,
                clock=self.resources.clock,
                tracer=self.tracer,
                timeout_s=self._timeout_s,
            )
        return HttpClient(self._upstreams.of(service))

    def neighbour(self, service: str) -> Neighbour:
        """A service as this process knows it, its own or another's."""
        if (hosted := self.hosted.get(service)) is None:
            return self._neighbours.of(service)
        if hosted.state is State.READY:
            return Neighbour("ready", hosted.since_ms)
        if hosted.state is State.STARTING and not hosted.restarts:
            return Neighbour("unknown", hosted.since_ms, "it has not started yet")
        return Neighbour(hosted.state.value, hosted.since_ms, hosted.detail)

    def changed(self) -> None:
        """A service of this process, or one that it looks after, is not what it was."""
        self.changes += 1
        for hosted in self.hosted.values():
            missing = hosted.missing()
            for name in hosted.depends_on:
                self.resources.metrics.gauge("service_missing", float(name in missing), hosted.spec.name, name)

    async def _watch_loop(self) -> None:
        """Law 16's gate: how late timers run."""
        clock = self.resources.clock
        while True:
            due = clock.monotonic_ns() + int(_LAG_INTERVAL_S * 1e9)
            await asyncio.sleep(_LAG_INTERVAL_S)
            self.resources.metrics.observe("loop_lag_seconds", max(0, clock.monotonic_ns() - due) / 1e9)


@asynccontextmanager
async def running(
    names: Sequence[str], configuration: Configuration, resources: Resources, *, member: str = "main"
) -> AsyncIterator[Host]:
    """The named services, ready, for the time of the block."""
    host = Host(names, configuration, resources, member=member)
    try:
        await host.start()
        yield host
    finally:
        await host.stop()
