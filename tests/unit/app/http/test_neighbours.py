"""Who is only starting is not missed; who has been heard and falls silent is."""

import asyncio
import json

import pytest

from candlewick.app.http import neighbours as module
from candlewick.app.http.addresses import Addresses
from candlewick.app.http.neighbours import Neighbours
from candlewick.app.http.upstream import Upstreams
from candlewick.app.tracing import NoTracer
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock


class Silent:
    """Takes connections, and answers once it is told to."""

    def __init__(self):
        self.speaks = asyncio.Event()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await self.speaks.wait()
                told = {"service": "history", "version": "1", "mode": "live", "status": "ready", "detail": ""}
                body = json.dumps({**told, "facts": {}}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def __aexit__(self, *_):
        self.server.close()


class Told:
    """A logger that keeps what it was told."""

    def __init__(self):
        self.lines = []

    def warning(self, event, **_):
        self.lines.append(event)

    info = warning


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(module, "_LOOK_WITHIN_S", 0.1)
    return monkeypatch


async def looking(port, told):
    clock = SystemClock()
    addresses = Addresses([f"history=http://127.0.0.1:{port}"], "127.0.0.1", 1)
    upstreams = Upstreams(addresses, clock=clock, metrics=Metrics(), tracer=NoTracer(), timeout_s=1.0)
    found = Neighbours([upstreams.of("history")], clock, told, lambda: None)
    found.start()
    return found, upstreams


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_one_that_takes_connections_and_says_nothing_yet_is_starting_not_missing(quick):
    told = Told()
    async with Silent() as history:
        found, upstreams = await looking(history.port, told)
        await asyncio.sleep(1.0)
        assert (found.of("history").status, told.lines) == ("unknown", [])
        assert found.of("history").serves
        history.speaks.set()
        await until(lambda: found.of("history").status == "ready")
        history.speaks.clear()
        await until(lambda: found.of("history").status == "unreachable")
        assert told.lines == ["a service is missing"], "it was heard before, so its silence counts at once"
        await found.stop()
        await upstreams.close()


async def test_one_that_never_says_anything_is_missing_in_the_end(quick):
    quick.setattr(module, "_STARTS_WITHIN_S", 0.5)
    told = Told()
    async with Silent() as history:
        found, upstreams = await looking(history.port, told)
        await until(lambda: found.of("history").status == "unreachable")
        assert told.lines == ["a service is missing"]
        await found.stop()
        await upstreams.close()


async def test_one_that_refuses_is_missing_at_once(quick):
    async with Silent() as history:
        port = history.port
    told = Told()
    found, upstreams = await looking(port, told)
    await until(lambda: found.of("history").status == "unreachable")
    await found.stop()
    await upstreams.close()
