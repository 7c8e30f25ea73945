"""The gateway's way to another process: headers, bodies both ways, deadlines, the breaker, and clients that leave."""

import asyncio
import json

import httpx
import pytest

from candlewick.app.http.addresses import Addresses
from candlewick.app.http.proxy import Proxy, end_to_end
from candlewick.app.http.upstream import ServiceUnreachable, Upstream
from candlewick.app.tracing import NoTracer
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.breaker import BreakerState
from candlewick.kernel.net.deadline import Deadline, DeadlineExceeded
from candlewick.kernel.settings import BadSettings
from candlewick.kernel.system import SystemClock
from tests.unit.app.http.server import serving

CLOCK = SystemClock()


@pytest.fixture
async def proxied():
    """Proxies and their upstreams, closed in the end."""
    upstreams = []

    def make(url):
        upstream = Upstream("market", url, clock=CLOCK, metrics=Metrics(), tracer=NoTracer(), timeout_s=5)
        upstreams.append(upstream)
        return Proxy(upstream), upstream

    yield make
    for upstream in upstreams:
        await upstream.close()


class Client:
    """The gateway's client: what it sends, and what it was sent."""

    def __init__(self, *chunks, stays=True):
        self._chunks, self._stays = list(chunks) or [b""], stays
        self.left, self.status, self.headers, self.body = asyncio.Event(), None, {}, []
        self.is_done = False

    async def receive(self):
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body.append(message["body"])
            self.is_done = not message.get("more_body", False)


def scope(path, *headers, method="GET", query=b""):
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
        "headers": [(b"host", b"door.example"), *headers], "client": ("10.1.2.3", 5), "scheme": "http",
    }  # fmt: skip


async def test_headers_are_those_of_the_ends(proxied):
    reply = {"connection": "x-secret", "x-secret": "1", "keep-alive": "5", "etag": '"a"', "retry-after": "7"}
    async with serving(lambda said: (503, reply, b"later")) as (server, url):
        proxy, _ = proxied(f"{url}/behind/")
        client = Client()
        given = [(b"connection", b"close, x-mine"), (b"x-mine", b"1"), (b"te", b"trailers"), (b"accept", b"a/b"),
                 (b"x-forwarded-for", b"1.1.1.1"),
                 (b"x-correlation-id", b"c"), (b"x-candlewick-deadline-ms", b"9")]  # fmt: skip
        await proxy(scope("/ohlcv/a%2Fb", *given, query=b"limit=5&x=%20"), client.receive, client.send)
        (said,) = server.said
        assert said.target == "/behind/ohlcv/a%2Fb?limit=5&x=%20", "as the client wrote it"
        assert said.headers["accept"] == "a/b"
        assert said.headers["x-correlation-id"] == "c"
        assert said.headers["x-forwarded-for"] == "1.1.1.1, 10.1.2.3"
        assert said.headers["x-forwarded-host"] == "door.example"
        assert int(said.headers["x-candlewick-deadline-ms"]) > 20_000, "what is left, not what was told to the door"
        assert not {"x-mine", "te", "transfer-encoding", "content-length"} & set(said.headers)
        assert (client.status, b"".join(client.body), client.is_done) == (503, b"later", True)
        assert client.headers[b"retry-after"] == b"7"
        assert client.headers[b"content-length"] == b"5"
        assert not {b"connection", b"x-secret", b"keep-alive"} & set(client.headers)


def test_what_connection_names_is_hop_by_hop():
    kept = end_to_end([(b"Connection", b"X-A ,keep-alive"), (b"x-a", b"1"), (b"X-B", b"2"), (b"Upgrade", b"h2c")])
    assert kept == [(b"X-B", b"2")]


async def test_bodies_go_through_as_they_come(proxied):
    arrived = asyncio.Event()

    async def reading(reader, writer):
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await writer.drain()
        await answered.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    answered = asyncio.Event()
    listener = await asyncio.start_server(reading, "127.0.0.1", 0)
    proxy, _ = proxied(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    client = Client(b"first")
    more = asyncio.Event()

    async def receive():
        if client._chunks:
            return {**await client.receive(), "more_body": True}
        if not more.is_set():
            await arrived.wait()
            more.set()
            return {"type": "http.request", "body": b"second", "more_body": False}
        await client.left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        await client.send(message)
        if message.get("body") == b"one":
            assert not client.is_done
            answered.set()

    async with asyncio.timeout(10):
        posted = scope("/jobs", (b"transfer-encoding", b"chunked"), method="POST")
        await proxy(posted, receive, send)
    assert b"".join(client.body) == b"onetwo"
    assert client.is_done
    listener.close()


async def test_a_body_of_known_length_keeps_it(proxied):
    async with serving(lambda said: (200, {}, said.body)) as (server, url):
        proxy, _ = proxied(url)
        client = Client(b"abc", b"def")
        await proxy(scope("/jobs", (b"content-length", b"6"), method="POST"), client.receive, client.send)
        assert server.said[0].headers["content-length"] == "6"
        assert "transfer-encoding" not in server.said[0].headers
        assert b"".join(client.body) == b"abcdef"


async def test_a_service_that_is_gone_is_told_as_such_and_spared(proxied):
    async with serving(lambda said: None) as (_, url):
        pass
    proxy, upstream = proxied(url)
    for _ in range(5):
        with pytest.raises(ServiceUnreachable, match="service market did not answer"):
            await proxy(scope("/a"), (client := Client()).receive, client.send)
        assert client.status is None
    assert upstream.breaker.state is BreakerState.OPEN
    with pytest.raises(ServiceUnreachable, match="not asked now"):
        await proxy(scope("/a"), (client := Client()).receive, client.send)


async def test_nothing_is_sent_twice(proxied):
    async with serving(lambda said: None) as (server, url):
        proxy, _ = proxied(url)
        with pytest.raises(ServiceUnreachable):
            await proxy(scope("/a"), (client := Client()).receive, client.send)
        assert len(server.said) == 1


async def test_the_askers_time_holds_until_the_answer_begins(proxied):
    async def never(said):
        await asyncio.sleep(30)

    async with serving(never) as (server, url):
        proxy, upstream = proxied(url)
        with deadlines.within(Deadline(CLOCK, 0.1)), pytest.raises(DeadlineExceeded, match="did not begin to answer"):
            await proxy(scope("/a"), (client := Client()).receive, client.send)
        assert int(server.said[0].headers["x-candlewick-deadline-ms"]) <= 100
        assert upstream.breaker.state is BreakerState.CLOSED, "so short a time says nothing of the service"


async def test_a_client_that_leaves_ends_the_request_onward(proxied):
    gone = asyncio.Event()

    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await writer.drain()
        await reader.read()
        gone.set()
        writer.close()

    listener = await asyncio.start_server(endless, "127.0.0.1", 0)
    proxy, upstream = proxied(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    client = Client()

    async def send(message):
        await client.send(message)
        if message.get("body") == b"one":
            client.left.set()

    async with asyncio.timeout(10):
        await proxy(scope("/events"), client.receive, send)
        await gone.wait()
    assert not client.is_done
    assert upstream.breaker.state is BreakerState.CLOSED
    listener.close()


async def test_an_answer_that_breaks_off_is_not_passed_on_as_whole(proxied):
    async def breaking(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(breaking, "127.0.0.1", 0)
    proxy, _ = proxied(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    client = Client()
    with pytest.raises(ServiceUnreachable, match="broke off"):
        await proxy(scope("/a"), client.receive, client.send)
    assert (client.body, client.is_done) == ([b"half"], False)
    listener.close()


async def test_outer_cancellation_is_not_swallowed(proxied):
    async def never(said):
        await asyncio.sleep(30)

    async with serving(never) as (server, url):
        proxy, _ = proxied(url)
        client = Client()
        task = asyncio.create_task(proxy(scope("/a"), client.receive, client.send))
        while not server.said:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# -- addresses -----------------------------------------------------------------------------------------------------


def test_services_are_found_by_configuration():
    found = Addresses(["market=http://10.0.0.5:9000/", "*=https://{service}.local:{port}/x"], "127.0.0.1", 8000)
    assert found.of("market") == "http://10.0.0.5:9000"
    assert found.of("history") == "https://history.local:8016/x"
    assert Addresses([], "0.0.0.0", 8000).of("market") == "http://127.0.0.1:8001"
    assert Addresses([], "::", 8100).of("gateway") == "http://[::1]:8100"
    assert httpx.URL(Addresses([], "::1", 8100).of("market")).port == 8101


@pytest.mark.parametrize(
    "entry",
    ["market", "market=", "nobody=http://a", "market=ftp://a", "market=http://a?x=1", "market=http://a:x", "*=http://{a}",
     "market=//a"],
)  # fmt: skip
def test_an_address_that_cannot_be_meant_is_refused(entry):
    with pytest.raises(BadSettings) as refused:
        Addresses([entry], "127.0.0.1", 8000)
    assert repr(entry) in json.dumps(str(refused.value)).replace('\\"', '"')
