"""Traces go to the configured endpoint, and only there; without one nothing is loaded."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from candlewick.app.tracing import NoTracer, OtlpTracer, TracesUnavailable, carrier_of, new_tracer


@pytest.fixture
def collector():
    """An OTLP/HTTP endpoint on loopback that keeps what it is sent."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans_reach_the_endpoint_with_their_names(collector):
    endpoint, bodies = collector
    tracer = new_tracer(endpoint)
    assert isinstance(tracer, OtlpTracer)
    with tracer.span("GET /ohlcv", service="market"):
        pass
    with pytest.raises(ValueError, match="inside"), tracer.span("handle collector.gaps", service="history"):
        raise ValueError("inside")
    tracer.close()
    assert {path for path, _ in bodies} == {"/v1/traces"}
    sent = b"".join(body for _, body in bodies)
    assert b"GET /ohlcv" in sent
    assert b"handle collector.gaps" in sent
    assert b"candlewick.service" in sent


def test_without_an_endpoint_nothing_is_loaded():
    code = (
        "import sys; from candlewick.app.tracing import new_tracer\n"
        "with new_tracer('').span('x'): pass\n"
        "print(any(m.startswith('opentelemetry') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert isinstance(new_tracer(""), NoTracer)


def test_missing_packages_are_said_with_what_to_do(monkeypatch):
    for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TracesUnavailable) as caught:
        new_tracer("http://127.0.0.1:9")
    assert "candlewick[otel]" in str(caught.value)


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_goes_on_in_the_next_process(collector):
    endpoint, _ = collector
    tracer = new_tracer(endpoint)
    assert tracer.carrier() == {}
    with tracer.serving("GET /ohlcv", {"traceparent": PARENT, "tracestate": "a=b"}, service="gateway"):
        outer = tracer.carrier()
        with tracer.serving("GET /ohlcv", {"traceparent": PARENT}, service="market"), tracer.span("GET history"):
            inner = tracer.carrier()
    assert outer["tracestate"] == inner["tracestate"] == "a=b"
    assert outer["traceparent"].split("-")[1] == inner["traceparent"].split("-")[1] == PARENT.split("-")[1]
    assert len({PARENT, outer["traceparent"], inner["traceparent"]}) == 3, "each span is the next one's parent"
    tracer.close()


def test_a_process_without_traces_hands_them_on():
    tracer = NoTracer()
    with tracer.serving("x", carrier_of(PARENT.encode(), b"a=b")):
        assert tracer.carrier() == {"traceparent": PARENT, "tracestate": "a=b"}
        with tracer.serving("y", {}):
            assert tracer.carrier()["traceparent"] == PARENT
    assert tracer.carrier() == {}


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "00-0-0-01",
        PARENT.upper(),
        PARENT.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        "x" * 5000,
    ],
)
def test_what_is_no_trace_is_not_handed_on(bad):
    assert carrier_of(bad.encode(), b"a=b") == {}
