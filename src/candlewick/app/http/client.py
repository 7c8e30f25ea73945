"""HTTP between services: over the network, or straight into the other service's ASGI application.

A call has until the deadline of what it is part of (kernel.net.deadline), else the client's own time-out. What is left
travels along in a header; the service that is asked adopts it, and its own calls have no longer.
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from candlewick.app.http.headers import IDEMPOTENCY_KEY, onward
from candlewick.app.http.service_app import ASGIApp
from candlewick.app.http.upstream import CONNECT_S, TELLING_S, Attempt, ServiceUnreachable, Upstream
from candlewick.app.tracing import NoTracer, Tracer
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.backoff import Backoff
from candlewick.kernel.net.deadline import Deadline, DeadlineExceeded
from candlewick.kernel.system import SystemClock

if TYPE_CHECKING:
    pass

Reply = tuple[int, Mapping[str, str], bytes]
TIMEOUT_S: Final = 10.0
_TRIES: Final = 3
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 1.0
# Answers that say of themselves that the same request may succeed later.
_PASSING: Final = frozenset({429, 502, 503})
_CLOCK = SystemClock()


class AsgiClient:
    """ports.runtime.ServiceClient within one process."""

    def __init__(
        self,
        app: ASGIApp,
        service: str,
        *,
        clock: Clock = _CLOCK,
        tracer: Tracer | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._app, self._service = app, service
        self._clock, self._tracer, self._timeout_s = clock, tracer or NoTracer(), timeout_s

    async def get(self, path: str, params: Mapping[str, str] = {}) -> Reply:
        return await self._ask("GET", path, urlencode(params), b"", None)

    async def post(self, path: str, body: bytes, *, key: str | None = None) -> Reply:
        return await self._ask("POST", path, "", body, key)

    async def _ask(self, method: str, path: str, query: str, body: bytes, key: str | None) -> Reply:
        deadline = deadlines.sooner(Deadline(self._clock, self._timeout_s))
        _check(deadline, self._service)
        headers = [(b"host", b"local"), (b"content-type", b"application/json")]
        headers += [(n.encode(), v.encode("latin-1")) for n, v in onward(self._tracer, deadline).items()]
        if key is not None:
            headers.append((IDEMPOTENCY_KEY, _checked(key).encode()))
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(), "root_path": "",
            "headers": headers, "server": ("local", 0), "client": ("local", 0),
        }  # fmt: skip
        status, out, chunks = 500, {}, []
        asked = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal asked
            if asked:
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, out
            if message["type"] == "http.response.start":
                status = message["status"]
                out = {name.decode().lower(): value.decode("latin-1") for name, value in message.get("headers", ())}
            else:
                chunks.append(message.get("body", b""))

        limit = asyncio.timeout(deadline.remaining_s())
        try:
            async with limit:
                await self._app(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            raise _late(self._service, deadline) from None
        return status, out, b"".join(chunks)


class HttpClient:
    """ports.runtime.ServiceClient over loopback or a network.

    A GET, and a POST with a key, is put again with full jitter when it was not answered, or when the answer says to
    come back (429, 502, 503; ``Retry-After`` is waited out), while the deadline and the retry budget allow; a POST
    without a key only while none of it can have been read.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def get(self, path: str, params: Mapping[str, str] = {}) -> Reply:
        return await self._ask("GET", path, safe=True, params=dict(params))

    async def post(self, path: str, body: bytes, *, key: str | None = None) -> Reply:
        headers = {"content-type": "application/json"}
        if key is not None:
            headers[IDEMPOTENCY_KEY.decode()] = _checked(key)
        return await self._ask("POST", path, safe=key is not None, headers=headers, content=body)

    async def _ask(self, method: str, path: str, *, safe: bool, **what: Any) -> Reply:
        upstream = self._upstream
        deadline = deadlines.sooner(Deadline(upstream.clock, upstream.timeout_s))
        _check(deadline, upstream.service)
        started_ns = upstream.clock.monotonic_ns()
        outcome = "unreachable"
        upstream.budget.called()
        try:
            with upstream.tracer.span(f"{method} {upstream.service}", path=path):
                reply = await self._tried(method, path, safe, deadline, what)
            outcome = f"{reply[0] // 100}xx"
            return reply
        except DeadlineExceeded:
            outcome = "late"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            upstream.metrics.count("service_calls_total", 1, upstream.service, outcome)
            elapsed_s = (upstream.clock.monotonic_ns() - started_ns) / NS_PER_SECOND
            upstream.metrics.observe("service_call_seconds", elapsed_s, upstream.service)

    async def _tried(self, method: str, path: str, safe: bool, deadline: Deadline, what: Any) -> Reply:
        upstream = self._upstream
        backoff = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S, upstream.chance)
        while True:
            reply, failure, asked_s = None, None, 0.0
            try:
                with upstream.attempt() as attempt:
                    reply = await self._once(attempt, method, path, deadline, what)
            except _NotAnswered as error:
                failure = ServiceUnreachable(f"service {upstream.service} did not answer: {error}")
                may_again = safe or not error.was_sent
            else:
                if reply[0] not in _PASSING:
                    return reply
                may_again, asked_s = safe, retry_after_s(reply[1].get("retry-after", ""), upstream.clock)
            wait_s = max(backoff.next_s(), asked_s)
            if may_again and backoff.attempts < _TRIES and wait_s < deadline.remaining_s() and upstream.budget.take():
                upstream.metrics.count("service_retries_total", 1, upstream.service)
                await upstream.clock.sleep(wait_s)
                continue
            if failure is not None:
                raise failure
            assert reply is not None
            return reply

    async def _once(self, attempt: Attempt, method: str, path: str, deadline: Deadline, what: Any) -> Reply:
        """One request. Raises _NotAnswered, DeadlineExceeded."""
        import httpx

        upstream = self._upstream
        left_s = deadline.remaining_s()
        headers = {**what.get("headers", {}), **onward(upstream.tracer, deadline)}
        times = httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))
        limit = asyncio.timeout(left_s)
        is_out = False
        try:
            async with limit, upstream.questions.connection() as http:
                is_out = True
                reply = await http.request(method, path, **{**what, "headers": headers, "timeout": times})
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout) as error:
            if isinstance(error, TimeoutError) and not limit.expired():
                raise
            if is_out and left_s >= min(TELLING_S, upstream.timeout_s):
                attempt.answered = False
            raise _late(upstream.service, deadline) from None
        except httpx.RequestError as error:
            attempt.answered = False
            was_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            raise _NotAnswered(str(error) or type(error).__name__, was_sent=was_sent) from error
        attempt.answered = True
        return reply.status_code, dict(reply.headers), reply.content


class _NotAnswered(Exception):
    """``was_sent`` when the other side may have read the request."""

    def __init__(self, detail: str, *, was_sent: bool) -> None:
        super().__init__(detail)
        self.was_sent = was_sent


def retry_after_s(text: str, clock: Clock) -> float:
    """Seconds that a ``Retry-After`` asks for, given as seconds or as a date (RFC 9110, 10.2.3); 0 without sense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return 0.0
    return max(0.0, at.timestamp() - clock.now_ns() / NS_PER_SECOND)


def _check(deadline: Deadline, service: str) -> None:
    if deadline.is_over():
        raise DeadlineExceeded(f"no time is left to ask service {service}")


def _late(service: str, deadline: Deadline) -> DeadlineExceeded:
    return DeadlineExceeded(f"service {service} did not answer in time, was given {deadline.seconds:g} s in all")


def _checked(key: str) -> str:
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ValueError(f"an idempotency key must be printable ASCII of 1 to 255 characters, was {key[:80]!r}")
    return key
