"""The served side: whose deadline is adopted, what is given up, and what a reply says of missing services."""

import asyncio
import json

import pytest
from fastapi import APIRouter

from candlewick.app.http.client import AsgiClient
from candlewick.app.http.health import Neighbour
from candlewick.app.http.service_app import ServiceApp
from candlewick.app.http.upstream import ServiceUnreachable
from candlewick.app.tracing import NoTracer
from candlewick.kernel.lifecycle import Health, State
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.deadline import DeadlineExceeded
from candlewick.kernel.system import SystemClock, SystemIds


class Service:
    """Answers, slowly, with what it was given."""

    def __init__(self):
        self.done = []
        self.router = APIRouter()
        self.hot = {"/hot": self.answer_hot}

        @self.router.get("/left")
        async def left():
            held = deadlines.current()
            return {"left_s": None if held is None else held.remaining_s()}

        @self.router.api_route("/slow", methods=["GET", "POST"])
        async def slow():
            await asyncio.sleep(0.3)
            self.done.append("slow")
            return {}

        @self.router.get("/away")
        async def away():
            raise ServiceUnreachable("history is not asked", retry_after_s=3.2)

        @self.router.get("/onward")
        async def onward():
            raise DeadlineExceeded("history did not answer in time")

    async def answer_hot(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"whole"})


@pytest.fixture
def served():
    """The application, its service, and the services it misses."""
    missing = {}

    async def dependencies():
        return {"log": None}

    app = ServiceApp(
        name="market", title="t", mode="simulated", health=lambda: Health(State.READY), missing=lambda: missing,
        neighbours=lambda: {"history": Neighbour("unreachable" if missing else "ready", 5, "gone" if missing else "")},
        dependencies=dependencies, metrics=Metrics(), clock=SystemClock(), ids=SystemIds(), logger=logger("x"),
        tracer=NoTracer(),
    )  # fmt: skip
    service = Service()
    app.mount(service)
    return app, service, missing


async def ask(app, path, *headers, method="GET"):
    """Status, headers and body as the server would send them; ``None`` for a body that was not ended."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": list(headers), "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
             "root_path": "", "server": ("x", 0), "client": ("x", 0)}  # fmt: skip
    await app(scope, receive, send)
    whole = b"".join(m.get("body", b"") for m in sent[1:]) if len(sent) > 1 else None
    return sent[0]["status"], sent[0]["headers"], whole


def given(ms):
    return (b"x-candlewick-deadline-ms", str(ms).encode())


async def test_the_askers_deadline_is_adopted(served):
    app, _, _ = served
    _, _, body = await ask(app, "/left", given(2000))
    assert 1.5 < json.loads(body)["left_s"] <= 2.0
    for nonsense in (b"", b"-1", b"soon", b"1.5", b"9" * 40, "٣".encode()):
        _, _, body = await ask(app, "/left", (b"x-candlewick-deadline-ms", nonsense))
        assert json.loads(body)["left_s"] is None


async def test_work_that_is_late_already_is_refused(served):
    app, service, _ = served
    for method in ("GET", "POST"):
        status, headers, body = await ask(app, "/slow", given(0), method=method)
        problem = json.loads(body)
        assert (status, problem["code"], problem["status"]) == (504, "DEADLINE_EXCEEDED", 504)
        assert (b"content-type", b"application/problem+json") in headers
    assert service.done == []
    exported = (await ask(app, "/metrics"))[2].decode()
    assert 'candlewick_deadline_exceeded_total{service="market"} 2.0' in exported


async def test_reading_is_given_up_and_changing_is_finished(served):
    app, service, _ = served
    status, _, body = await ask(app, "/slow", given(50))
    assert (status, json.loads(body)["code"]) == (504, "DEADLINE_EXCEEDED")
    assert service.done == []
    status, _, _ = await ask(app, "/slow", given(50), method="POST")
    assert (status, service.done) == (200, ["slow"])


async def test_an_answer_that_has_begun_may_take_its_time(served):
    app, _, _ = served
    status, _, body = await ask(app, "/hot", given(50))
    assert (status, body) == (200, b"whole")


async def test_a_late_answer_of_another_service_is_a_504(served):
    app, _, _ = served
    assert (await AsgiClient(app, "market").get("/onward"))[0] == 504
    status, headers, _ = await AsgiClient(app, "market").get("/away")
    assert (status, headers["retry-after"]) == (503, "4")


async def test_replies_say_which_services_are_missed(served):
    app, _, missing = served
    _, headers, body = await AsgiClient(app, "market").get("/health")
    assert "x-candlewick-degraded" not in headers
    assert json.loads(body) == {"service": "market", "status": "ready", "missing": {}}
    missing |= {"history": 1_767_225_600_000, "stream": 1_767_225_601_000}
    for path in ("/left", "/health", "/nothing", "/hot"):
        _, headers, _ = await AsgiClient(app, "market").get(path)
        assert headers["x-candlewick-degraded"] == "history, stream"
    _, _, body = await AsgiClient(app, "market").get("/health/detailed")
    detail = json.loads(body)
    assert detail["missing"] == missing
    assert detail["services"] == {"history": {"status": "unreachable", "since": 5, "detail": "gone", "missing": {}}}
    _, _, body = await AsgiClient(app, "market").get("/health/dependencies")
    assert json.loads(body)["dependencies"] == {
        "log": {"ok": True, "detail": None}, "history": {"ok": False, "detail": "gone"},
    }  # fmt: skip


async def test_what_another_service_answered_speaks_for_itself(served):
    app, service, missing = served
    missing["history"] = 1

    async def forwarded(scope, receive, send):
        own = [(b"x-candlewick-mode", b"live"), (b"x-candlewick-degraded", b"stream")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    service.hot = {"/other": forwarded}
    app.mount(service)
    _, headers, _ = await ask(app, "/other")
    assert [v for n, v in headers if n == b"x-candlewick-mode"] == [b"live"]
    assert [v for n, v in headers if n == b"x-candlewick-degraded"] == [b"stream"]


async def test_what_fails_in_the_middle_of_an_answer_is_not_answered_twice(served):
    app, service, _ = served

    async def breaking(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ServiceUnreachable("the answer broke off")

    service.hot = {"/breaks": breaking}
    app.mount(service)
    assert (await ask(app, "/breaks"))[0::2] == (200, None)
