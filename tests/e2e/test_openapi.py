"""Schemathesis questions every operation of the served OpenAPI document: no 5xx but the documented ones, no reply that
the document does not allow, no method but the documented ones. What else is wrong with a request has a stable code."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.server import Product, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
CONFIG = Path(__file__).with_name("schemathesis.toml")
CANDLES = "/ohlcv/demo/BTC-USDT/1m"


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A demo product of its own: symbols are added and removed, jobs started and cancelled."""
    folder = tmp_path_factory.mktemp("openapi")
    port = free_port()
    product = Product(
        ["up", "--exchange", "demo", "--port", str(port), "--data-dir", str(folder / "data")], folder, port=port
    )
    product.wait_ready()
    product.until("/symbols", lambda page: len(page["symbols"]) == 8)
    yield product
    assert product.stop() == 0, product.text()


def asked(product, method, path, body=None, kind="application/json"):
    """Status, headers and body of a request with any method and body."""
    request = urllib.request.Request(product.base + path, data=body, method=method, headers={"content-type": kind})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def cursor(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{CANDLES}?limit={'9' * 5000}", 422, "BAD_QUERY"),
        (f"{CANDLES}?limit=%D9%A1", 422, "BAD_QUERY"),
        (f"{CANDLES}?start={'9' * 5000}", 422, "BAD_QUERY"),
        (f"{CANDLES}?start=4398046511104", 422, "BAD_QUERY"),
        (f"{CANDLES}?as_of=8796093022207", 422, "BAD_QUERY"),
        (f"{CANDLES}?start=9999-12-31T23:59:59-23:59", 422, "BAD_QUERY"),
        (f"{CANDLES}?start=NaN", 422, "BAD_QUERY"),
        (f"{CANDLES}?start=", 422, "BAD_QUERY"),
        (f"{CANDLES}?cursor={cursor('from:' + '9' * 22)}", 422, "BAD_QUERY"),
        (f"{CANDLES}?cursor={cursor('before:-5')}", 422, "BAD_QUERY"),
        (f"{CANDLES}?cursor={cursor('before:' + '9' * 5000)}", 422, "BAD_QUERY"),
        (f"{CANDLES}?format=xml", 422, "BAD_QUERY"),
        ("/ohlcv/demo//1m", 422, "BAD_QUERY"),
        ("/ohlcv/%00/%FF/1m", 422, "BAD_QUERY"),
        (f"/ohlcv/demo/{'x' * 3000}/1m", 422, "BAD_QUERY"),
        ("/ohlcv/nowhere/BTC-USDT/1m", 404, "SYMBOL_NOT_FOLLOWED"),
        (f"/indicators/demo/BTC-USDT/1m?series=sma:20&limit={'9' * 5000}", 422, "BAD_QUERY"),
        ("/indicators/demo/BTC-USDT/1m?series=bollinger:20:inf", 422, "INDICATOR_PARAMETER"),
        ("/indicators/demo/BTC-USDT/1m", 422, "BAD_REQUEST"),
        (f"/trades/demo/BTC-USDT?limit={'9' * 5000}", 422, "BAD_REQUEST"),
        ("/book/nowhere/BTC-USDT", 404, "SYMBOL_NOT_FOLLOWED"),
        ("/symbols/nowhere/listed", 404, "UNKNOWN_VENUE"),
        ("/symbols/binance/listed", 422, "EXCHANGE_NOT_FOLLOWED"),
        ("/gaps?start=9999-12-31T23:59:59-23:59", 422, "BAD_HISTORY_QUERY"),
        ("/gaps?state=ajar", 422, "BAD_REQUEST"),
        ("/quality/demo/BTC-USDT?start=9&end=8", 422, "BAD_HISTORY_QUERY"),
        ("/history/candles/demo/BTC-USDT/1m?start_ns=9223372036854775807", 422, "BAD_REQUEST"),
        (f"/events/raw.market-data:0:{'9' * 30}.{'9' * 30}", 404, "EVENT_NOT_FOUND"),
        ("/events/no.such.topic:0:1.1", 404, "EVENT_NOT_FOUND"),
        ("/jobs/%00", 404, "UNKNOWN_JOB"),
    ],
)
def test_what_no_query_may_say_is_refused_with_a_code(product, path, status, code):
    found, headers, body = product.get(path)
    problem = json.loads(body)
    assert (found, problem["code"]) == (status, code), problem
    assert headers["content-type"] == "application/problem+json"
    assert len(problem["detail"]) < 400, "a reply does not give back what is enormous"


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", "application/json", 422, "BAD_REQUEST"),
        (b"null", "application/json", 422, "BAD_REQUEST"),
        (b"[]", "application/json", 422, "BAD_REQUEST"),
        (b"\xff\xfe", "application/json", 422, "BAD_REQUEST"),
        (b"[" * 100_000, "application/json", 422, "BAD_REQUEST"),
        (b'{"exchange":"demo","symbol":"BTC-USDT"}', "text/plain", 422, "BAD_REQUEST"),
        (b"exchange=demo&symbol=BTC-USDT", "application/x-www-form-urlencoded", 422, "BAD_REQUEST"),
        (b"{}", "application/json", 422, "BAD_QUERY"),
        (b'{"exchange":null,"symbol":null}', "application/json", 422, "BAD_QUERY"),
        (b'{"exchange":"demo","symbol":"BTC-USDT","more":1}', "application/json", 422, "BAD_QUERY"),
        (b'{"exchange":"nowhere","symbol":"BTC-USDT"}', "application/json", 404, "UNKNOWN_VENUE"),
        (b'{"exchange":"../demo","symbol":"BTC-USDT"}', "application/json", 404, "UNKNOWN_VENUE"),
        (b'{"exchange":"binance","symbol":"BTC-USDT"}', "application/json", 422, "EXCHANGE_NOT_FOLLOWED"),
        (b'{"exchange":"demo","symbol":"NOPE-USDT"}', "application/json", 422, "SYMBOL_NOT_LISTED"),
        (b'{"exchange":"demo","symbol":"XRP-USDT"}', "application/json", 409, "SYMBOL_TAKEN"),
    ],
)
def test_a_body_that_is_no_symbol_is_refused_with_a_code(product, body, kind, status, code):
    found, headers, reply = asked(product, "POST", "/symbols", body, kind)
    assert (found, json.loads(reply)["code"]) == (status, code), reply
    assert headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/symbols", {"GET", "POST"}),
        ("GET", "/symbols/demo/BTC-USDT", {"DELETE"}),
        ("DELETE", "/symbols/demo/listed", {"GET"}),
        ("POST", CANDLES, {"GET"}),
        ("DELETE", "/history/backups", {"GET", "POST"}),
        ("PATCH", "/api/v1/status", {"GET"}),
        ("POST", "/health", {"GET"}),
    ],
)
def test_a_method_that_is_not_there_names_those_that_are(product, method, path, allowed):
    status, headers, body = asked(product, method, path)
    assert status == 405
    assert {name.strip() for name in headers["allow"].split(",")} == allowed
    assert json.loads(body)["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("path", ["/quality/demo/BTC-USDT", "/indicators/catalogue", "/symbols/demo/listed"])
def test_what_may_be_a_little_old_says_how_old_it_is(product, path):
    product.until("/quality/demo/BTC-USDT", lambda found: found["present"])
    _, _, first = product.get(path)
    status, headers, again = product.get(path)
    assert (status, again) == (200, first)
    assert headers["x-cache"] in ("hit", "stale")
    assert int(headers["age"]) <= 660
    assert headers["cache-control"].startswith("max-age=")
    assert product.get("/tickers")[1].get("x-cache") is None


def test_schemathesis_finds_nothing(product, tmp_path):
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", "--warnings", "off"]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*map(str, command), "--report-json-path", str(report), f"{product.base}/openapi.json"],
        capture_output=True, text=True, check=False, timeout=360, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
    operations = sum(len(item) for item in product.json("/openapi.json")["paths"].values())
    assert f"Tested: {operations}" in done.stdout
    assert report.stat().st_size > 0
    assert "Traceback" not in product.text()
    assert product.get("/health")[0] == 200
