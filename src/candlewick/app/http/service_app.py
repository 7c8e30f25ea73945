"""One service as an ASGI application: health and metrics, hot paths, then its router; errors as problems."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from candlewick import __version__
from candlewick.app.http import openapi, problems
from candlewick.app.http.headers import CORRELATION, DEGRADED, MODE, Asked
from candlewick.app.http.health import Dependencies, HealthDetail, HealthView, Neighbour
from candlewick.app.tracing import NoTracer, Tracer
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.ids import IdSource
from candlewick.kernel.lifecycle import Health, State
from candlewick.kernel.logging import correlated
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.deadline import Deadline, DeadlineExceeded
from candlewick.kernel.openapi import Problem, reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
# Status, headers and body of an answer that nothing need be waited for.
Ready = tuple[int, list[tuple[bytes, bytes]], bytes]

_SERVING = (State.READY, State.DEGRADED)
# What can be given up at any point, because it changes nothing.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# In the scope of a request that a service of this process has taken up and may hand on to another one.
_SETTLED = "candlewick.settled"


_OWN_SCHEMAS = (HealthView, HealthDetail, Neighbour, Dependencies)


class ServiceApp:
    """The HTTP and WebSocket face of one service. Answers 503 until the service is ready."""

    def __init__(
        self,
        *,
        name: str,
        title: str,
        mode: str,
        health: Callable[[], Health],
        missing: Callable[[], Mapping[str, int]],
        neighbours: Callable[[], Mapping[str, Neighbour]],
        dependencies: Callable[[], Awaitable[Mapping[str, str | None]]],
        metrics: Metrics,
        clock: Clock,
        ids: IdSource,
        logger: Any,
        tracer: Tracer,
    ) -> None:
        self._name, self._mode = name, mode.encode()
        self._health, self._dependencies, self._metrics = health, dependencies, metrics
        self._missing, self._neighbours = missing, neighbours
        self._clock, self._ids, self._logger, self._tracer = clock, ids, logger, tracer
        self._hot: Mapping[str, ASGIApp] = {}
        self._schemas: Sequence[type[msgspec.Struct]] = _OWN_SCHEMAS
        self._title = title
        self.api = self._new_api()
        self._routes: Sequence[BaseRoute] = self.api.routes

    def _new_api(self) -> FastAPI:
        api = FastAPI(
            title=f"Candlewick {self._name}",
            description=self._title,
            version=__version__,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            generate_unique_id_function=lambda route: route.name,
        )
        api.add_exception_handler(CandlewickError, self._known)
        api.add_exception_handler(RequestValidationError, self._invalid)
        api.add_exception_handler(HTTPException, self._http)
        told: tuple[tuple[str, Any, type[msgspec.Struct], bool], ...] = (
            ("", self._get_health, HealthView, True),
            ("/detailed", self._get_detailed, HealthDetail, True),
            ("/dependencies", self._get_dependencies, Dependencies, False),
        )
        for path, answer, kind, may_fail in told:
            docs = reply(kind, "How it is.", errors=())
            if may_fail:
                docs["responses"][503] = {**docs["responses"][200], "description": "It does not serve; the same body."}
            name = f"{self._name}_health{path.replace('/', '_')}"
            api.add_api_route(f"/health{path}", answer, tags=["health"], name=name, **docs)
        api.add_api_route("/service/openapi.json", self._get_openapi, include_in_schema=False)
        api.add_api_route(
            "/metrics",
            self._get_metrics,
            tags=["health"],
            response_class=Response,
            response_model=None,
            responses={200: {"description": "Samples.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
            name=f"{self._name}_metrics",
        )
        return api

    def mount(self, service: Any) -> None:
        """Take over the router and hot paths of a service that has just been built."""
        self.api = self._new_api()
        self._routes = self.api.routes
        self._hot = dict(getattr(service, "hot", {}))
        self._schemas = (*_OWN_SCHEMAS, *getattr(service, "schemas", ()))
        router = getattr(service, "router", None)
        if router is not None:
            self.api.include_router(router)
            self._routes = [*self.api.routes, *router.routes]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http":
            if _SETTLED in scope:
                return self._onward(scope, receive, send)
            return self._http_request(scope, receive, send)
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return self.api(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._health().state not in _SERVING:
            await receive()
            await send({"type": "websocket.accept"})  # refused before, the client would see a bare 403
            await send({"type": "websocket.close", "code": 1013, "reason": f"{self._name} is not ready"})
            return
        hot = self._hot_for(scope["path"])
        await (hot or self.api)(scope, receive, cast(Any, send))

    def _hot_for(self, path: str) -> ASGIApp | None:
        for prefix, app in self._hot.items():
            if path.startswith(prefix):
                return app
        return None

    def at_once(self, scope: Scope) -> Ready | None:
        """The answer to a request that a hot path has ready, as the call would give it; None when it must be called."""
        path = scope["path"]
        find = getattr(self._hot_for(path), "at_once", None)
        if find is None or scope["method"] != "GET" or not isinstance(self._tracer, NoTracer):
            return None
        started, is_outermost = time.perf_counter(), _SETTLED not in scope
        asked = Asked(scope["headers"]) if is_outermost else None
        if (asked is not None and asked.limit_ms == 0) or self._health().state not in _SERVING:
            return None
        scope[_SETTLED] = True
        ready: Ready | None = find(scope)
        if is_outermost:
            del scope[_SETTLED]
        if ready is None:
            return None
        status, headers, body = ready
        headers = self._told(headers)
        if asked is not None:
            headers.append((CORRELATION, asked.correlation or self._ids.new().hex.encode()))
        self._observe(scope, True, status, started)
        return status, headers, body

    async def _onward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that came through another service of this process: id and time are settled, and what is raised is
        told there."""
        started, status = time.perf_counter(), 500

        def answer(message: MutableMapping[str, Any]) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._told(message.get("headers", ()))
            return send(message)

        hot = self._hot_for(scope["path"])
        try:
            if self._health().state in _SERVING:
                with self._tracer.serving(f"{scope['method']} {scope['path']}", {}, service=self._name):
                    await cast(Any, hot if hot is not None else self.api)(scope, receive, answer)
            else:
                detail = f"service {self._name} is {self._health().state.value}"
                await problems.send(problems.plain(503, "SERVICE_NOT_READY", detail), answer)
        finally:
            self._observe(scope, hot is not None, status, started)

    async def _http_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_SETTLED] = True
        asked = Asked(scope["headers"])
        correlation = asked.correlation
        if not correlation:
            correlation = self._ids.new().hex.encode()
            scope["headers"] = [*scope["headers"], (CORRELATION, correlation)]
        started = time.perf_counter()
        status, has_begun = 500, False
        limit: asyncio.Timeout | None = None

        def answer(message: MutableMapping[str, Any]) -> Awaitable[None]:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                if limit is not None and limit.when() is not None:
                    with suppress(RuntimeError):  # it has run out already: this is the problem that tells so
                        limit.reschedule(None)  # what has begun to answer may take its time
                message["headers"] = headers = self._told(message.get("headers", ()))
                headers.append((CORRELATION, correlation))
            return send(message)

        path, method = scope["path"], scope["method"]
        hot = self._hot_for(path)
        trace = self._tracer.serving(f"{method} {path}", asked.trace, service=self._name)
        with correlated(correlation.decode()), trace:
            try:
                if not path.startswith(("/health", "/metrics", "/service/")) and self._health().state not in _SERVING:
                    detail = f"service {self._name} is {self._health().state.value}"
                    await problems.send(problems.plain(503, "SERVICE_NOT_READY", detail), answer)
                    return
                work = cast(Any, hot if hot is not None else self.api)
                if (deadline := asked.deadline(self._clock)) is None:
                    await work(scope, receive, answer)
                else:
                    limit = asyncio.timeout(None)
                    await self._in_time(work(scope, receive, answer), deadline, limit, method)
            except CandlewickError as error:
                if has_begun:  # returning before the end lets the server break the connection off, and that tells
                    self._logger.warning("answer broke off", path=path, code=error.code, detail=error.detail)
                else:
                    await problems.send(problems.of(error), answer, error=error)
            except Exception:
                self._logger.exception("request failed", path=path)
                if not has_begun:
                    await problems.send(
                        problems.plain(500, "INTERNAL", "this request failed; the log has the reason"), answer
                    )
            finally:
                self._observe(scope, hot is not None, status, started)

    def _observe(self, scope: Scope, is_hot: bool, status: int, started: float) -> None:
        label = getattr(scope.get("route"), "path", None) or ("hot" if is_hot else "other")
        self._metrics.observe("http_request_seconds", time.perf_counter() - started, self._name, label, str(status))

    async def _in_time(
        self, work: Coroutine[Any, Any, None], deadline: Deadline, limit: asyncio.Timeout, method: str
    ) -> None:
        """Work for an asker who waits no longer than ``deadline``. Raises DeadlineExceeded when that is over before the
        work began, or before a request that changes nothing was answered."""
        with deadlines.within(deadline) as held:
            if held.is_over():
                work.close()
                self._metrics.count("deadline_exceeded_total", 1, self._name)
                raise DeadlineExceeded("the asker's time was over before this request was begun")
            try:
                async with limit:
                    if method in _SAFE:
                        limit.reschedule(asyncio.get_running_loop().time() + held.remaining_s())
                    await work
            except TimeoutError:
                if not limit.expired():
                    raise
                self._metrics.count("deadline_exceeded_total", 1, self._name)
                raise DeadlineExceeded("the asker's time was over before this request was answered") from None

    def _told(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers of a reply with what each carries. What another service answered says itself what it misses."""
        out, is_told = [], False
        for header in headers:
            if header[0] == MODE:
                is_told = True
            elif header[0] == CORRELATION:
                continue
            out.append(header)
        if not is_told:
            out.append((MODE, self._mode))
            if missing := self._missing():
                out.append((DEGRADED, ", ".join(missing).encode()))
        return out

    # -- errors ------------------------------------------------------------------------------------------------

    async def _known(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, CandlewickError)
        answer = _reply(problems.of(error))
        if answer.status_code == 503:
            answer.headers["retry-after"] = problems.retry_after(error).decode()
        return answer

    async def _invalid(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        detail = f"{where}: {first['msg']}, was {repr(first.get('input'))[:100]}"
        return _reply(problems.plain(422, "BAD_REQUEST", detail))

    async def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return _reply(problems.plain(404, "NOT_FOUND", f"there is nothing at {request.url.path}"))
        if error.status_code == 405:
            allowed = ", ".join(sorted(self._methods_at(request.scope)))
            answer = _reply(
                problems.plain(405, "METHOD_NOT_ALLOWED", f"the path takes {allowed}, was {request.method!r}")
            )
            answer.headers["allow"] = allowed
            return answer
        if error.status_code == 400:  # what FastAPI says of a body that is not even text
            return _reply(problems.plain(422, "BAD_REQUEST", str(error.detail)))
        answer = _reply(problems.plain(error.status_code, "HTTP_ERROR", str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    def _methods_at(self, scope: Scope) -> set[str]:
        """Of all routes of the path: Starlette names those of the first alone."""
        found: set[str] = set()
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                found |= getattr(route, "methods", None) or set()
        return found

    # -- health ------------------------------------------------------------------------------------------------

    async def _get_health(self) -> Response:
        """Whether the service serves: 200 when ready or degraded, 503 otherwise."""
        health = self._health()
        body = {"service": self._name, "status": health.state.value, "missing": self._missing()}
        return _json(body, 200 if health.state in _SERVING else 503)

    async def _get_detailed(self) -> Response:
        """State, reason and the service's own facts."""
        health = self._health()
        body = {
            "service": self._name,
            "version": __version__,
            "mode": self._mode.decode(),
            "status": health.state.value,
            "detail": health.detail,
            "facts": health.facts,
            "missing": self._missing(),
            "services": self._neighbours(),
        }
        return _json(body, 200 if health.state in _SERVING else 503)

    async def _get_dependencies(self) -> Response:
        """Each port the service stands on: ok, or what is wrong with it."""
        found = await self._dependencies()
        body = {name: {"ok": fault is None, "detail": fault} for name, fault in found.items()}
        for name, neighbour in self._neighbours().items():
            body[name] = {"ok": neighbour.serves, "detail": None if neighbour.serves else neighbour.detail}
        return _json({"service": self._name, "dependencies": body}, 200)

    async def _get_openapi(self) -> Response:
        """This service's own part of the API description."""
        return _json(openapi.describe(self.api, self._schemas), 200)

    async def _get_metrics(self) -> Response:
        """Prometheus text format."""
        return Response(self._metrics.export(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _reply(problem: Problem) -> Response:
    return Response(msgspec.json.encode(problem), problem.status, media_type=problems.MEDIA_TYPE)


def _json(body: Any, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
