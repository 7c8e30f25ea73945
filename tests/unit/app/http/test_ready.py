"""Answers that are ready: the same as the application gives, in the order of the requests, never past a server that
leaves or a service that does not serve."""

import asyncio
import re

import pytest

from candlewick.app.http.page import Page
from candlewick.app.http.server import Server, bind
from candlewick.app.http.service_app import ServiceApp
from candlewick.app.tracing import NoTracer
from candlewick.kernel.lifecycle import Health, State
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


class Hot:
    """Has ``found`` ready; is called for everything else."""

    def __init__(self):
        self.is_ready, self.called = True, 0

    def at_once(self, scope):
        return (200, HEADERS, b"found") if self.is_ready and scope["query_string"] != b"other" else None

    async def __call__(self, scope, receive, send):
        self.called += 1
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        await send({"type": "http.response.body", "body": b"found" if scope["method"] == "GET" else b""})


class House:
    def __init__(self):
        self.hot, self.missing, self.state, self.metrics = Hot(), {}, State.READY, Metrics()
        self.market = self._service("market", self.hot)
        self.gateway = self._service("gateway", Door(self.market))

    def _service(self, name, hot):
        app = ServiceApp(
            name=name, title="", mode="simulated", health=lambda: Health(self.state), missing=lambda: self.missing,
            neighbours=dict, dependencies=None, metrics=self.metrics, clock=SystemClock(), ids=SystemIds(),
            logger=logger(name), tracer=NoTracer(),
        )  # fmt: skip
        app.mount(type("Service", (), {"hot": {"/ohlcv/": hot}})())
        return app


class Door:
    def __init__(self, market):
        self.at_once = market.at_once
        self._market = market

    async def __call__(self, scope, receive, send):
        await self._market(scope, receive, send)


@pytest.fixture
async def served():
    house = House()
    listener = bind("127.0.0.1", 0)
    server = Server(Page(house.gateway), listener)
    await server.start()
    house.server = server
    house.reader, house.writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    yield house
    house.writer.close()
    await server.stop()
    listener.close()


async def answers(house, *requests, bodies=True):
    """All requests in one go; (status line, headers, body) of each."""
    house.writer.write("".join(f"{line} HTTP/1.1\r\nhost: x\r\n{rest}\r\n" for line, rest in requests).encode())
    found = []
    for _ in requests:
        head = (await asyncio.wait_for(house.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await house.reader.readexactly(int(headers["content-length"])) if bodies else b""
        found.append((status, headers, body.decode()))
    return found


GET = ("GET /ohlcv/demo/BTC-USDT/1m", "")


async def test_what_is_ready_is_what_a_call_gives(served):
    served.missing = {"history": 1}
    own = ("GET /ohlcv/demo/BTC-USDT/1m", "x-correlation-id: mine\r\n")
    [ready] = await answers(served, own)
    assert served.hot.called == 0
    served.hot.is_ready = False
    [called] = await answers(served, own)
    assert served.hot.called == 1
    assert ready == called
    assert ready[1] == {
        "content-type": "text/plain", "content-length": "5", "x-candlewick-mode": "simulated",
        "x-candlewick-degraded": "history", "x-correlation-id": "mine",
    }  # fmt: skip
    told = served.metrics.export().decode()
    for service in ("market", "gateway"):
        labels = f'{{route="hot",service="{service}",status="200"}}'
        assert f"candlewick_http_request_seconds_count{labels} 2.0" in told


async def test_each_request_has_an_id_of_its_own(served):
    ids = [(await answers(served, GET))[0][1]["x-correlation-id"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


async def test_many_in_one_go_are_answered_in_their_order(served):
    asked = [(GET[0] + ("?other" if n % 3 == 2 else ""), f"x-correlation-id: {n}\r\n") for n in range(10)]
    found = await answers(served, *asked)
    assert [headers["x-correlation-id"] for _, headers, _ in found] == [str(n) for n in range(10)]
    assert served.hot.called == 9, "one read, one answer without a task"


async def test_what_must_be_called_is(served):
    [(_, headers, _)] = await answers(served, ("HEAD /ohlcv/demo/BTC-USDT/1m", ""), bodies=False)
    assert (headers["content-length"], served.hot.called) == ("5", 1)
    [(status, _, _)] = await answers(served, (GET[0], "x-candlewick-deadline-ms: 0\r\n"))
    assert status == "HTTP/1.1 504 Gateway Timeout"
    served.state = State.STARTING
    [(status, _, _)] = await answers(served, GET)
    assert status == "HTTP/1.1 503 Service Unavailable"
    served.state = State.READY
    [(_, headers, body)] = await answers(served, (GET[0], "connection: close\r\n"))
    assert (headers["connection"], body, served.hot.called) == ("close", "found", 2)
    assert await served.reader.read() == b""


async def test_a_server_that_leaves_says_so(served):
    leaving = asyncio.ensure_future(served.server.leave(lambda: None))
    await asyncio.sleep(0)
    [(_, headers, body)] = await answers(served, GET)
    assert (headers["connection"], body, served.hot.called) == ("close", "found", 1)
    served.writer.close()
    await leaving
