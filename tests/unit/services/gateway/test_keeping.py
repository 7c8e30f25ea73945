"""Answers that the gateway keeps: given again while fresh, given old while one asks anew, never kept when not whole."""

import asyncio
from types import SimpleNamespace

import pytest

from candlewick.adapters.cache.memory import MemoryCache
from candlewick.adapters.cache.revalidating import RevalidatingAnswers
from candlewick.app.http.client import AsgiClient
from candlewick.app.http.service_app import ServiceApp
from candlewick.app.http.upstream import ServiceUnreachable
from candlewick.app.tracing import NoTracer
from candlewick.kernel.lifecycle import Health, State
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemIds
from candlewick.ports.cache import CacheUnavailable
from candlewick.services.gateway.domain import KEPT, ROUTES, keeping_of, query_of, service_of
from candlewick.services.gateway.service import Gateway
from candlewick.services.gateway.settings import GatewaySettings
from candlewick.testing.clock import VirtualClock

QUALITY = "/quality/demo/BTC-USDT"
FRESH_S, STALE_S = 10, 50


class Service:
    """Answers with a count, when ``gate`` is open."""

    def __init__(self):
        self.asked, self.status, self.headers, self.error = [], 200, {}, None
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, path, params=()):
        self.asked.append((path, dict(params)))
        body = b"%d" % len(self.asked)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        headers = {"content-type": "application/json", "x-correlation-id": "of the first", **self.headers}
        return self.status, headers, body


class NoCache(MemoryCache):
    """A server that cannot be reached."""

    async def get(self, key):
        raise CacheUnavailable("nobody there")

    async def single(self, key, compute, *, ttl_s):
        raise CacheUnavailable("nobody there")


class House:
    """Doors of as many gateways as asked for, over one cache and one service."""

    def __init__(self, kind=MemoryCache):
        self.clock, self.service, self.passed = VirtualClock(), Service(), []
        self._cache = kind(self.clock)

    def gateway(self):
        context = SimpleNamespace(
            answers=RevalidatingAnswers(self._cache, self.clock, logger("answers")),
            client=lambda name: self.service, upstream=lambda name: self._upstream, clock=self.clock, log=None,
            settings=GatewaySettings(), mode="simulated",
        )  # fmt: skip
        app = ServiceApp(
            name="gateway", title="", mode="simulated", health=lambda: Health(State.READY), missing=dict,
            neighbours=dict, dependencies=None, metrics=Metrics(), clock=self.clock, ids=SystemIds(),
            logger=logger("gateway"), tracer=NoTracer(),
        )  # fmt: skip
        app.mount(Gateway(context))
        self.app = app
        return AsgiClient(app, "gateway")

    async def _upstream(self, scope, receive, send):
        self.passed.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"passed"})


@pytest.fixture
def house():
    return House()


async def ask(gateway, path=QUALITY, **query):
    status, headers, body = await gateway.get(path, query)
    return status, body, headers.get("x-cache"), headers.get("age")


async def test_a_fresh_answer_is_given_again(house):
    one, other = house.gateway(), house.gateway()
    assert await ask(one) == (200, b"1", "miss", "0")
    await house.clock.advance(FRESH_S - 1)
    assert await ask(other) == (200, b"1", "hit", "9")
    _, headers, _ = await one.get(QUALITY)
    assert headers["cache-control"] == f"max-age={FRESH_S}, stale-while-revalidate={STALE_S}"
    assert (headers["content-type"], headers["x-candlewick-mode"]) == ("application/json", "simulated")
    assert headers["x-correlation-id"] != "of the first"
    assert house.service.asked == [(QUALITY, {})]
    assert not house.passed


async def test_a_stale_answer_is_given_while_one_asks_anew(house):
    gateways = [house.gateway(), house.gateway()]
    await ask(gateways[0])
    await house.clock.advance(FRESH_S + 1)
    house.service.gate.clear()
    for gateway in (*gateways, *gateways):
        assert await ask(gateway) == (200, b"1", "stale", "11")
    await asyncio.sleep(0)
    assert len(house.service.asked) == 2
    house.service.gate.set()
    await house.clock.advance(1)
    assert await ask(gateways[1]) == (200, b"2", "hit", "1")
    await house.clock.advance(FRESH_S + STALE_S)
    assert await ask(gateways[0]) == (200, b"3", "miss", "0"), "too old to be given at all"


async def test_many_who_ask_at_once_cost_one_question(house):
    gateway = house.gateway()
    house.service.gate.clear()
    asking = [asyncio.ensure_future(ask(gateway)) for _ in range(20)]
    await asyncio.sleep(0.01)
    house.service.gate.set()
    assert await asyncio.gather(*asking) == [(200, b"1", "miss", "0")] * 20


async def test_path_and_query_make_the_key_in_any_order(house):
    gateway = house.gateway()
    assert (await ask(gateway, start="1", end="2"))[1] == b"1"
    assert (await ask(gateway, end="2", start="1"))[1] == b"1"
    assert (await ask(gateway, start="1", end="3"))[1] == b"2"
    assert (await ask(gateway, "/quality/demo/ETH-USDT", start="1", end="2"))[1] == b"3"
    assert house.service.asked[0] == (QUALITY, {"start": "1", "end": "2"})


@pytest.mark.parametrize("status", [404, 422, 500, 503])
async def test_errors_are_given_as_they_are_and_not_kept(house, status):
    gateway = house.gateway()
    house.service.status, house.service.headers = status, {"retry-after": "3"}
    for count in (b"1", b"2"):
        assert await ask(gateway) == (status, count, None, None)
    assert (await gateway.get(QUALITY))[1]["retry-after"] == "3"
    house.service.status = 200
    assert await ask(gateway) == (200, b"4", "miss", "0")
    house.service.status = 503
    await house.clock.advance(FRESH_S + 1)
    for _ in range(3):
        assert await ask(gateway) == (200, b"4", "stale", "11"), "an error does not replace what is there"
        await asyncio.sleep(0)


async def test_an_answer_that_misses_something_is_not_kept(house):
    gateway = house.gateway()
    house.service.headers = {"x-candlewick-degraded": "market"}
    assert await ask(gateway) == (200, b"1", None, None)
    _, headers, body = await gateway.get(QUALITY)
    assert (headers["x-candlewick-degraded"], body) == ("market", b"2")


async def test_a_service_that_cannot_be_asked_is_a_problem_and_not_kept(house):
    gateway = house.gateway()
    house.service.error = ServiceUnreachable("nobody there")
    status, headers, _ = await gateway.get(QUALITY)
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    house.service.error = None
    assert (await ask(gateway))[0] == 200


async def test_without_a_cache_the_service_is_asked():
    house = House(NoCache)
    gateway = house.gateway()
    for count in (b"1", b"2"):
        assert await ask(gateway) == (200, count, "miss", "0")
    house.service.status = 404
    assert (await ask(gateway))[:2] == (404, b"3")


@pytest.mark.parametrize(
    "path",
    ["/ohlcv/demo/BTC-USDT/1m", "/tickers", "/trades/demo/BTC-USDT", "/book/demo/BTC-USDT", "/gaps", "/symbols",
     "/api/v1/price/BTC-USDT", "/events", "/indicators/demo/BTC-USDT/1m", "/quality", f"{QUALITY}/more",
     "/quality/demo/BTC%20USDT", "/quality/../BTC-USDT/x"],
)  # fmt: skip
async def test_what_must_be_fresh_is_never_kept(house, path):
    gateway = house.gateway()
    assert (await gateway.get(path))[2] == b"passed"
    assert not house.service.asked


async def test_other_methods_and_queries_that_nobody_has_cause_to_ask_pass(house):
    gateway = house.gateway()
    await gateway.post(QUALITY, b"")
    assert house.passed == [("POST", QUALITY)]
    assert query_of(b"a=1&b=&a=2") is None
    assert query_of(b"x=" + b"9" * 200) is None
    assert query_of(b"a=%ff") is None
    assert query_of(b"\xff=1") is None
    assert query_of(b"b=&a=%20x") == {"b": "", "a": " x"}


def test_every_path_that_is_kept_has_a_service():
    for path, _ in KEPT:
        example = path.replace("{exchange}", "demo").replace("{symbol}", "BTC-USDT")
        assert keeping_of(example) is not None
        assert service_of(example) in {service for _, service in ROUTES}
