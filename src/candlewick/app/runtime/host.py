"""Runs services in this process: start in order, ready, restart what fails, stop in reverse."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from candlewick.app import registry
from candlewick.app.configuration import Configuration
from candlewick.app.http.client import AsgiClient, HttpClient
from candlewick.app.http.proxy import Proxy
from candlewick.app.http.service_app import ServiceApp
from candlewick.app.runtime.context import ServiceContext
from candlewick.app.runtime.resources import Resources
from candlewick.app.tracing import new_tracer
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
        self.restarts = 0
        self._service: Service | None = None
        self._context: ServiceContext | None = None
        self._restart: asyncio.Task[None] | None = None
        self.app = ServiceApp(
            name=spec.name,
            title=spec.purpose,
            mode=host.resources.mode,
            health=self.health,
            dependencies=self._dependencies,
            metrics=host.resources.metrics,
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
        if self.state is State.READY and self._service is not None:
            return self._service.health()
        return Health(self.state, self.detail)

    async def _dependencies(self) -> Any:
        return await self._context.dependencies() if self._context is not None else {}

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
        for each in State:
            self._host.resources.metrics.gauge("service_state", float(each is state), self.spec.name, each.value)


def _reason(error: BaseException) -> str:
    return f"{error.code}: {error}" if isinstance(error, CandlewickError) else f"{type(error).__name__}: {error}"


class Host:
    """The services of one process over one profile's resources."""

    def __init__(
        self, names: Sequence[str], configuration: Configuration, resources: Resources, *, member: str
    ) -> None:
        self.configuration, self.resources, self.member = configuration, resources, member
        self.tracer = new_tracer(configuration.app.otlp_endpoint)
        self.hosted: dict[str, Hosted] = {}
        for name in (n for n in registry.SERVICES if n in names):
            spec = registry.load(name)
            self.hosted[name] = Hosted(self, spec, configuration.section(spec.settings, name)[0])
        self._app = configuration.app
        self._lag: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start every service in order. One that fails is named in the error; those started before are stopped."""
        await self.resources.open()
        self._lag = asyncio.ensure_future(self._watch_loop())
        for hosted in self.hosted.values():
            await hosted.start()

    async def stop(self) -> None:
        for hosted in reversed(self.hosted.values()):
            await hosted.stop()
        if self._lag is not None:
            self._lag.cancel()
        await self.resources.close()
        await asyncio.to_thread(self.tracer.close)

    def address(self, service: str) -> str:
        """Base URL of a service that runs as a process of its own."""
        return f"http://{self._app.host}:{self._app.port + registry.load(service).place}"

    def upstream(self, service: str) -> Any:
        if service in self.hosted:
            return self.hosted[service].app
        return Proxy(self.address(service))

    def client(self, service: str) -> AsgiClient | HttpClient:
        if service in self.hosted:
            return AsgiClient(self.hosted[service].app, service)
        return HttpClient(self.address(service), service)

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
