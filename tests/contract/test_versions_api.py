"""A client of the last release is served by this version, and its database still used by the one before."""

import ast
import copy
import json
import re
from pathlib import Path

import pytest

from candlewick.app.cluster import handover
from candlewick.app.http import headers
from candlewick.app.registry import SERVICES, load
from tools import check_api

ROOT = Path(__file__).resolve().parents[2]
RELEASED = {
    name: json.loads((ROOT / check_api.RELEASED / f"{name}.json").read_text()) for name in ("openapi", "asyncapi")
}
PAGE = "/ohlcv/{exchange}/{symbol}/{timeframe}"


def test_clients_of_the_last_release_are_served():
    assert check_api.check() == []


def changed(change, name="openapi"):
    after = copy.deepcopy(RELEASED[name])
    change(after)
    compare = check_api.http_faults if name == "openapi" else check_api.socket_faults
    return compare(RELEASED[name], after)


def parameter(document, name):
    return next(p for p in document["paths"][PAGE]["get"]["parameters"] if p["name"] == name)


def view(document, name):
    return document["components"]["schemas"][name]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/new": {"get": {"responses": {"200": {"description": ""}}}}}),
        lambda d: d["paths"][PAGE]["get"]["parameters"].append(
            {"name": "quality", "in": "query", "required": False, "schema": {"type": "string"}}
        ),
        lambda d: view(d, "CandlePage")["properties"].update(note={"type": "string"}),
        lambda d: parameter(d, "timeframe")["schema"]["enum"].append("2w"),
        lambda d: d["paths"][PAGE]["get"]["responses"].update({"429": {"description": "Too many."}}),
        lambda d: parameter(d, "exchange")["schema"].update(maxLength=80),
    ],
    ids=["path", "optional parameter", "field of an answer", "value that is taken", "error status", "wider bound"],
)  # fmt: skip
def test_what_older_clients_survive_is_accepted(change):
    assert changed(change) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["paths"].pop(PAGE), f"GET {PAGE} is gone"),
        (lambda d: d["paths"]["/symbols"].pop("post"), "POST /symbols is gone"),
        (lambda d: d["paths"][PAGE]["get"]["parameters"].remove(parameter(d, "limit")), "?limit (query) is gone"),
        (lambda d: parameter(d, "start").update(required=True), "?start must be given now"),
        (lambda d: d["paths"][PAGE]["get"]["parameters"].append(
            {"name": "key", "in": "header", "required": True, "schema": {"type": "string"}}
        ), "?key is new and must be given"),
        (lambda d: parameter(d, "timeframe")["schema"]["enum"].remove("3m"), "?timeframe may no longer be '3m'"),
        (lambda d: parameter(d, "exchange")["schema"].update(maxLength=3), "maxLength was 40 and is 3"),
        (lambda d: view(d, "CandlePage")["properties"].pop("candles"), ".candles is gone"),
        (lambda d: view(d, "CandlePage")["required"].remove("candles"), ".candles may be missing"),
        (lambda d: view(d, "BackupView")["properties"].update(rows={"type": "string"}), ".rows may be string"),
        (lambda d: view(d, "BackupView")["properties"].update(
            rows={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        ), ".rows may be null"),
        (lambda d: view(d, "HealthView")["properties"]["status"]["enum"].append("resting"), "may be 'resting'"),
        (lambda d: d["paths"][PAGE]["get"]["responses"].pop("200"), "no longer answers 200"),
        (lambda d: d["paths"][PAGE]["get"]["responses"]["200"]["content"].pop("text/csv"),
         "no longer answers as text/csv"),
    ],
)  # fmt: skip
def test_what_they_would_not_survive_is_refused(change, says):
    found = changed(change)
    assert any(says in fault for fault in found), found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["channels"].pop("book"), "WS /ws/book/{exchange}/{symbol} is gone"),
        (lambda d: d["channels"]["trades"].pop("bindings"), "?after is gone"),
        (lambda d: d["channels"]["ohlcv"]["parameters"]["timeframe"]["enum"].remove("1s"), "may no longer be '1s'"),
        (lambda d: d["components"]["messages"]["ohlcv"]["payload"]["properties"].pop("id"), ".id is gone"),
        (lambda d: d["components"]["messages"]["ohlcv"]["payload"]["properties"]["type"]["enum"].append("bye"),
         "may be 'bye'"),
    ],
)  # fmt: skip
def test_sockets_are_held_to_the_same(change, says):
    found = changed(change, "asyncapi")
    assert any(says in fault for fault in found), found


def test_headers_between_services_have_the_names_that_the_last_release_reads():
    """One that is dropped or renamed is lost between two versions: deadlines, traces and keys would end there."""
    assert {
        headers.CORRELATION, headers.DEADLINE, headers.DEGRADED, headers.MODE, headers.IDEMPOTENCY_KEY,
    } == {
        b"x-correlation-id", b"x-candlewick-deadline-ms", b"x-candlewick-degraded", b"x-candlewick-mode",
        b"idempotency-key",
    }  # fmt: skip
    unknown = headers.Asked([(b"x-candlewick-of-the-next-version", b"1"), (headers.DEADLINE, b"250")])
    assert unknown.limit_ms == 250


def test_a_supervisor_of_one_version_can_hand_over_to_a_process_of_another():
    words = {name: getattr(handover, name) for name in ("OWN", "GO", "SERVE", "LEAVE", "WARM", "READY", "LEVEL",
                                                      "SERVING", "CLOSED")}  # fmt: skip
    assert words == {"OWN": b"o", "GO": b"g", "SERVE": b"s", "LEAVE": b"l", "WARM": b"w", "READY": b"r", "LEVEL": b"c",
                     "SERVING": b"t", "CLOSED": b"x"}  # fmt: skip


NARROWING = re.compile(r"^(drop_|alter_column|rename_)|^execute$|^batch_alter_table$")


def steps():
    for name in SERVICES:
        folder = load(name).schema
        for file in sorted((folder / "versions").glob("[0-9]*.py")) if folder is not None else ():
            yield pytest.param(file, id=f"{name} {file.stem}")


def narrowings(source):
    """What in ``upgrade`` takes something away from the version before, or asks something new of it."""
    tree = ast.parse(source)
    upgrade = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "upgrade")
    found = []
    for call in (n for n in ast.walk(upgrade) if isinstance(n, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if NARROWING.search(name):
            found.append(name)
        if name == "add_column":
            column = next((a for a in call.args if isinstance(a, ast.Call)), None)
            given = {k.arg: k.value for k in column.keywords} if column is not None else {}
            null = given.get("nullable")
            if isinstance(null, ast.Constant) and null.value is False and "server_default" not in given:
                found.append("add_column without a default")
    return found


@pytest.mark.parametrize("file", list(steps()))
def test_a_schema_step_leaves_the_version_before_at_work_or_says_that_it_does_not(file):
    text = file.read_text()
    says_so = re.search(r"^narrows = True$", text, re.MULTILINE) is not None
    assert bool(narrowings(text)) == says_so, "see app.runtime.schema"


def test_the_check_of_steps_sees_what_narrows():
    step = "def upgrade():\n    op.{}\n"
    assert narrowings(step.format("drop_column('gaps', 'detail')")) == ["drop_column"]
    assert narrowings(step.format("add_column('gaps', sa.Column('x', sa.Text, nullable=False))"))
    assert not narrowings(step.format("add_column('gaps', sa.Column('x', sa.Text, nullable=False, server_default=''))"))
    assert not narrowings(step.format("add_column('gaps', sa.Column('x', sa.Text))"))
