"""One process: start in order, restart what fails, stop in reverse, answer 503 meanwhile."""

import asyncio
import json
import re

import msgspec
import pytest

from candlewick.app import registry
from candlewick.app.configuration import AppSettings, read
from candlewick.app.http.client import AsgiClient
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime import host as host_module
from candlewick.app.runtime.host import running
from candlewick.kernel.errors import Fatal
from candlewick.kernel.lifecycle import Health, ServiceSpec, State


class NoSettings(msgspec.Struct, frozen=True):
    """None."""


class Recorded:
    """A service that tells what happened to it and fails when asked."""

    events: list[str]

    def __init__(self, context):
        self.context = context
        self.fail = asyncio.Event()

    async def start(self):
        self.events.append(f"start {self.context.name}")
        self.context.background("work", self._work())
        self.context.before_export(lambda: self.events.append(f"export {id(self)}"))

    async def _work(self):
        await self.fail.wait()
        raise Fatal("asked to fail")

    async def stop(self):
        self.events.append(f"stop {self.context.name}")

    def health(self):
        return Health(State.READY)


@pytest.fixture
def services(monkeypatch):
    """Two services instead of the product's."""
    Recorded.events = []
    specs = {
        name: ServiceSpec(name, place, name, NoSettings, Recorded) for place, name in enumerate(("first", "second"))
    }
    monkeypatch.setattr(registry, "SERVICES", tuple(specs))
    monkeypatch.setattr(registry, "load", specs.__getitem__)
    monkeypatch.setattr(host_module, "_RESTART_FIRST_S", 0.05)
    return Recorded.events


def resources(folder):
    return EmbeddedResources(folder, AppSettings(), mode="simulated")


async def status(hosted):
    code, _, body = await AsgiClient(hosted.app, "x").get("/health")
    return code, json.loads(body)["status"]


async def test_starts_in_order_and_stops_in_reverse(tmp_path, services):
    async with running(("second", "first"), read(data_dir=tmp_path, environ={}), resources(tmp_path)):
        assert services == ["start first", "start second"]
    assert services[2:] == ["stop second", "stop first"]


async def test_a_failing_service_restarts_and_the_other_serves_on(tmp_path, services):
    async with running(("first", "second"), read(data_dir=tmp_path, environ={}), resources(tmp_path)) as host:
        first, second = host.hosted["first"], host.hosted["second"]
        first.service.fail.set()
        async with asyncio.timeout(5):
            while first.state is not State.FAILED:
                await asyncio.sleep(0.005)
        assert "asked to fail" in first.detail
        assert await status(first) == (503, "failed")
        code, _, body = await AsgiClient(first.app, "x").get("/anything")
        assert (code, json.loads(body)["code"]) == (503, "SERVICE_NOT_READY")
        assert await status(second) == (200, "ready")
        async with asyncio.timeout(5):
            while first.state is not State.READY:
                await asyncio.sleep(0.005)
        assert await status(first) == (200, "ready")
        assert first.restarts == 1
        host.resources.metrics.export()
        assert [event for event in services if event.startswith("export")] == [
            f"export {id(one.service)}" for one in (second, first)
        ], "the life before is asked no more"
    assert services.count("start first") == 2


async def test_a_service_that_cannot_start_stops_those_before_it(tmp_path, services, monkeypatch):
    async def broken(self):
        raise Fatal("cannot start")

    broken_kind = type("Broken", (Recorded,), {"start": broken})
    spec = ServiceSpec("second", 1, "second", NoSettings, broken_kind)
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda name: spec if name == "second" else load(name))
    with pytest.raises(Fatal, match="cannot start"):
        async with running(("first", "second"), read(data_dir=tmp_path, environ={}), resources(tmp_path)):
            pass
    assert services[-1] == "stop first"


async def test_every_reply_carries_correlation_id_and_mode(tmp_path, services):
    async with running(("first",), read(data_dir=tmp_path, environ={}), resources(tmp_path)) as host:
        _, headers, body = await AsgiClient(host.hosted["first"].app, "x").get("/nothing")
        assert headers["content-type"] == "application/problem+json"
        assert headers["x-candlewick-mode"] == "simulated"
        assert json.loads(body)["correlation_id"] == headers["x-correlation-id"]
        assert json.loads(body)["code"] == "NOT_FOUND"
        _, _, metrics = await AsgiClient(host.hosted["first"].app, "x").get("/metrics")
        assert b'candlewick_service_state{service="first",state="ready"} 1.0' in metrics
        held = re.search(rb"^candlewick_log_bytes (\S+)", metrics, re.MULTILINE)
        assert held is not None
        assert float(held[1]) >= (tmp_path / "log.db").stat().st_size > 0
        _, _, found = await AsgiClient(host.hosted["first"].app, "x").get("/health/dependencies")
        assert json.loads(found)["dependencies"]["log"]["ok"]
