"""HTTP between services: deadlines that travel, retries only where safe and within a budget, the breaker, the pool."""

import asyncio
from email.utils import formatdate

import httpx  # noqa: F401 -- loaded before time is measured
import pytest

from candlewick.app.http.client import AsgiClient, HttpClient, retry_after_s
from candlewick.app.http.upstream import ServiceUnreachable, Upstream
from candlewick.app.tracing import NoTracer
from candlewick.kernel.logging import correlated
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.breaker import BreakerState
from candlewick.kernel.net.deadline import Deadline, DeadlineExceeded
from candlewick.kernel.system import SystemClock
from candlewick.testing.clock import VirtualClock
from tests.unit.app.http.server import serving

CLOCK = SystemClock()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Waits(SystemClock):
    """Sleeps are told and cut short."""

    def __init__(self):
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)


@pytest.fixture
async def made():
    """Clients, closed in the end."""
    upstreams = []

    def make(url, *, timeout_s=5.0, clock=None, chance=lambda: 0.5):
        upstream = Upstream(
            "market", url, clock=clock or Waits(), metrics=Metrics(), tracer=NoTracer(), timeout_s=timeout_s,
            chance=chance,
        )  # fmt: skip
        upstreams.append(upstream)
        return HttpClient(upstream), upstream

    yield make
    for upstream in upstreams:
        await upstream.close()


def exported(upstream, name):
    return [line for line in upstream.metrics.export().decode().splitlines() if line.startswith(f"candlewick_{name}")]


async def test_a_question_carries_what_it_is_part_of(made):
    async with serving(lambda said: (200, {"x-a": "b"}, b"[]")) as (server, url):
        client, upstream = made(url)
        trace = upstream.tracer.serving("GET /", {"traceparent": TRACE, "tracestate": "a=b"})
        with correlated("c-1"), trace, deadlines.within(Deadline(CLOCK, 2.0)):
            status, headers, body = await client.get("/path/π x", {"symbol": "BTC-USDT,ETH-USDT"})
        assert (status, headers["x-a"], body) == (200, "b", b"[]")
        (said,) = server.said
        assert said.target == "/path/%CF%80%20x?symbol=BTC-USDT%2CETH-USDT"
        assert said.headers["x-correlation-id"] == "c-1"
        assert (said.headers["traceparent"], said.headers["tracestate"]) == (TRACE, "a=b")
        assert 1000 < int(said.headers["x-candlewick-deadline-ms"]) <= 2000
        await client.post("/jobs", b'{"a":1}', key="k-1")
        assert (server.said[1].body, server.said[1].headers["idempotency-key"]) == (b'{"a":1}', "k-1")
        assert 4000 < int(server.said[1].headers["x-candlewick-deadline-ms"]) <= 5000, "its own time-out otherwise"
        assert server.connections == 1, "connections are kept"
        assert exported(upstream, "service_calls_total{") == [
            'candlewick_service_calls_total{outcome="2xx",target="market"} 2.0'
        ]


async def test_a_get_is_put_again_and_a_post_without_a_key_is_not(made):
    answers = iter([None, (503, {}, b""), (200, {}, b"ok")])
    async with serving(lambda said: next(answers)) as (server, url):
        client, upstream = made(url)
        assert (await client.get("/a"))[2] == b"ok"
        assert len(server.said) == 3
        assert upstream.clock.slept == pytest.approx([0.025, 0.05]), "full jitter over a doubling pause"
        answers = iter([None, (200, {}, b"never")])
        with pytest.raises(ServiceUnreachable, match="service market did not answer"):
            await client.post("/a", b"x")
        assert len(server.said) == 4, "its body had been sent"
        answers = iter([(503, {}, b"busy"), (200, {}, b"never")])
        assert (await client.post("/a", b"x"))[0] == 503
        answers = iter([None, (429, {}, b"busy"), (201, {}, b"kept")])
        assert (await client.post("/a", b"x", key="k"))[2] == b"kept"
        assert exported(upstream, "service_retries_total{") == ['candlewick_service_retries_total{target="market"} 4.0']


async def test_a_post_that_never_left_is_put_again(made):
    async with serving(lambda said: (200, {}, b"")) as (_, url):
        pass
    client, upstream = made(url)
    with pytest.raises(ServiceUnreachable):
        await client.post("/a", b"x")
    assert len(upstream.clock.slept) == 2, "refused connections: nothing was sent"


async def test_answers_are_not_put_again_unless_they_say_so(made):
    for status in (200, 404, 409, 422, 500, 504, 507):
        async with serving(lambda said, status=status: (status, {}, b"")) as (server, url):
            client, _ = made(url)
            assert (await client.get("/a"))[0] == status
            assert len(server.said) == 1


async def test_retry_after_is_waited_out_or_the_answer_given_as_it_is(made):
    answers = iter([(503, {"retry-after": "2"}, b""), (200, {}, b"ok")])
    async with serving(lambda said: next(answers)) as (server, url):
        client, upstream = made(url)
        assert (await client.get("/a"))[2] == b"ok"
        assert upstream.clock.slept == [2.0]
        answers = iter([(503, {"retry-after": "60"}, b"later"), (200, {}, b"never")])
        assert await client.get("/a") == (503, {"content-length": "5", "retry-after": "60"}, b"later")
        assert len(server.said) == 3, "the pause would outlast the deadline"


def test_retry_after_is_seconds_or_a_date():
    clock = VirtualClock()
    assert retry_after_s("3", clock) == 3
    assert retry_after_s(formatdate(clock.now_ns() / 1e9 + 90, usegmt=True), clock) == pytest.approx(90, abs=1)
    assert retry_after_s(formatdate(clock.now_ns() / 1e9 - 90, usegmt=True), clock) == 0
    for nonsense in ("", "soon", "-1", "1.5", "9999999999999 GMT"):
        assert retry_after_s(nonsense, clock) == 0


async def test_retries_stay_within_their_budget(made):
    async with serving(lambda said: (503, {}, b"")) as (server, url):
        client, _ = made(url)
        for _ in range(100):
            await client.get("/a")
        # 10 to begin with, and a tenth of the calls.
        assert 100 + 15 <= len(server.said) <= 100 + 20


async def test_a_call_ends_by_its_deadline(made):
    async def never(said):
        await asyncio.sleep(30)

    async with serving(never) as (server, url):
        client, _ = made(url, timeout_s=0.2)
        with pytest.raises(DeadlineExceeded, match=r"service market did not answer in time, was given 0\.2 s"):
            await client.get("/a")
        with deadlines.within(Deadline(CLOCK, 0.05)), pytest.raises(DeadlineExceeded):
            await client.post("/a", b"")
        with deadlines.within(Deadline(CLOCK, 0.0)), pytest.raises(DeadlineExceeded, match="no time is left"):
            await client.get("/a")
        assert len(server.said) == 2, "what is late already is not sent"


async def test_a_service_that_does_not_answer_is_spared_and_found_again(made):
    async with serving(lambda said: None) as (server, url):
        client, upstream = made(url)
        for _ in range(5):
            with pytest.raises(ServiceUnreachable):
                await client.post("/a", b"")
        assert upstream.breaker.state is BreakerState.OPEN
        before = len(server.said)
        with pytest.raises(ServiceUnreachable, match="service market is not asked now") as refused:
            await client.get("/a")
        assert 0 < refused.value.retry_after_s <= 1
        assert len(server.said) == before
        assert exported(upstream, "service_breaker_open{") == ['candlewick_service_breaker_open{target="market"} 1.0']
        server.answer = lambda said: (200, {}, b"ok")
        upstream.alive()
        assert (await client.get("/a"))[2] == b"ok"
        assert upstream.breaker.state is BreakerState.CLOSED
        assert exported(upstream, "service_breaker_open{") == ['candlewick_service_breaker_open{target="market"} 0.0']


async def test_answers_of_any_status_keep_the_breaker_closed(made):
    """A service that cannot answer one path for lack of another service still answers the others."""
    async with serving(lambda said: (503 if said.target == "/b" else 200, {}, b"")) as (_, url):
        client, upstream = made(url)
        for _ in range(20):
            await client.get("/b")
        assert upstream.breaker.state is BreakerState.CLOSED
        assert (await client.get("/a"))[0] == 200


async def test_hurried_and_cancelled_calls_say_nothing_of_the_service(made):
    async def never(said):
        await asyncio.sleep(30)

    async with serving(never) as (_, url):
        client, upstream = made(url)
        for _ in range(10):
            with deadlines.within(Deadline(CLOCK, 0.02)), pytest.raises(DeadlineExceeded):
                await client.get("/a")
        call = asyncio.create_task(client.get("/a"))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert upstream.breaker.state is BreakerState.CLOSED
        assert 'candlewick_service_calls_total{outcome="cancelled",target="market"} 1.0' in exported(
            upstream, "service_calls_total{"
        )


async def test_closed_clients_leave_no_connection(made):
    async with serving(lambda said: (200, {}, b"")) as (server, url):
        client, upstream = made(url)
        await asyncio.gather(*(client.get("/a") for _ in range(200)))
        assert server.connections <= 32, "the pool has a limit"
        await upstream.close()
        assert (await client.get("/a"))[0] == 200, "and opens again when asked"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\r\nb", "π"])
async def test_a_key_must_fit_a_header(made, key):
    client, _ = made("http://127.0.0.1:9")
    with pytest.raises(ValueError, match="idempotency key"):
        await client.post("/a", b"", key=key)


# -- in one process ------------------------------------------------------------------------------------------------


async def test_within_one_process_the_same_deadline_holds():
    seen = {}

    async def app(scope, receive, send):
        seen.update(dict(scope["headers"]))
        await asyncio.sleep(30)

    client = AsgiClient(app, "history", timeout_s=0.05)
    with correlated("c-2"), pytest.raises(DeadlineExceeded, match="service history did not answer in time"):
        await client.post("/a", b"", key="k")
    assert seen[b"x-correlation-id"] == b"c-2"
    assert seen[b"idempotency-key"] == b"k"
    assert 0 < int(seen[b"x-candlewick-deadline-ms"]) <= 50
    with deadlines.within(Deadline(CLOCK, 0.0)), pytest.raises(DeadlineExceeded, match="no time is left"):
        await client.get("/a")


async def test_a_time_out_of_the_application_itself_is_not_taken_for_the_deadline():
    async def app(scope, receive, send):
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await AsgiClient(app, "history").get("/a")
