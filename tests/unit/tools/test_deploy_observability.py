"""Alerts, dashboards and runbooks say the same as the metrics catalogue, and alerts fire when they should."""

import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from candlewick.kernel.metrics import CATALOGUE
from tools.deploy import dashboards, pages, readings, rules
from tools.deploy.alerts import ALERTS, RECORDINGS

ROOT = Path(__file__).resolve().parents[3]
CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
# not ours: what Prometheus itself says of a target
BORROWED = {"up", "ALERTS"}
SUFFIXES = ("_bucket", "_count", "_sum")
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: it is in Debian's package prometheus"
)


def selected(expression):
    """Names of all series that an expression reads; raises ValueError when it is no PromQL."""
    shown = expression.replace("$__rate_interval", "5m")
    promql_parser.parse(shown)
    text = re.sub(r'"[^"]*"', '""', shown)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\{[^}]*\}", "", text)
    return set(re.findall(r"\b(?:candlewick[:_][\w:]*|up|ALERTS)\b(?!\s*\()", text))


KNOWN = {f"candlewick_{m.name}": m for m in CATALOGUE}
RECORDED = {one.name for one in RECORDINGS}


def unknown(expression):
    found = set()
    for name in selected(expression) - BORROWED - RECORDED:
        base = next(
            (name.removesuffix(s) for s in SUFFIXES if name.endswith(s) and name.removesuffix(s) in KNOWN), name
        )
        metric = KNOWN.get(base)
        if metric is None or (metric.kind == "histogram") != (base != name):
            found.add(name)
    return found


def test_the_check_itself_sees_a_name_that_does_not_exist():
    assert unknown('sum by (service) (rate(candlewick_nothing_total{a="candlewick_x"}[5m]))') == {
        "candlewick_nothing_total"
    }
    assert unknown("rate(candlewick_loop_lag_seconds[5m])") == {"candlewick_loop_lag_seconds"}
    assert unknown("rate(candlewick_loop_lag_seconds_bucket[$__rate_interval]) > 0") == set()
    with pytest.raises(ValueError, match=r"."):
        selected("sum(")


@pytest.mark.parametrize("one", [*ALERTS, *RECORDINGS], ids=lambda one: one.name)
def test_rules_are_promql_over_metrics_of_the_catalogue(one):
    assert unknown(one.expression) == set()


def test_labels_that_rules_choose_by_are_labels_of_their_metric():
    for one in [*ALERTS, *RECORDINGS]:
        for name, chosen in re.findall(r"(candlewick_\w+)\{([^}]*)\}", one.expression):
            base = next((name.removesuffix(s) for s in SUFFIXES if name.removesuffix(s) in KNOWN), name)
            used = set(re.findall(r"(\w+)\s*=", chosen))
            assert used <= set(KNOWN[base].labels), f"{one.name}: {name}"


def test_alerts_read_only_what_some_code_exports():
    code = "\n".join(path.read_text() for path in (ROOT / "src/candlewick").rglob("*.py") if path.name != "metrics.py")
    read = {name for one in (*ALERTS, *RECORDINGS) for name in selected(one.expression) - BORROWED - RECORDED}
    names = {next((n.removesuffix(s) for s in SUFFIXES if n.removesuffix(s) in KNOWN), n) for n in read}
    assert [name for name in names if f'"{name.removeprefix("candlewick_")}"' not in code] == []


def test_every_metric_has_a_panel_and_a_reading():
    shown = [panel["title"] for board in dashboards.BOARDS for panel in dashboards.document(board)["panels"]]
    assert sorted(shown) == sorted(KNOWN)
    silent = [m.name for m in CATALOGUE if not readings.of(m.name).endswith(".")]
    assert silent == [], "say in tools/deploy/readings.py how to read these"
    assert set(readings.READINGS) <= {m.name for m in CATALOGUE}


@pytest.mark.parametrize("board", dashboards.BOARDS, ids=lambda board: board.name)
def test_panels_ask_for_what_exists_and_lie_beside_one_another(board):
    document = dashboards.document(board)
    assert document["panels"], "an empty dashboard"
    taken, ids = set(), set()
    for panel in document["panels"]:
        assert panel["description"]
        for target in panel["targets"]:
            assert unknown(target["expr"]) == set(), panel["title"]
            assert target["datasource"]["uid"] == "${source}"
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        ids.add(panel["id"])
    assert len(ids) == len(document["panels"])


def test_every_alert_has_a_page_and_every_page_an_alert():
    folder = ROOT / "docs/runbooks"
    here = {str(path.relative_to(ROOT)) for path in folder.glob("*.md")} - {"docs/runbooks/index.md"}
    assert here == {alert.page for alert in ALERTS}
    for alert in ALERTS:
        text = (ROOT / alert.page).read_text()
        parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
        found = dict(zip(parts[::2], parts[1::2], strict=True))
        assert tuple(found) == pages.HEADINGS, alert.page
        assert all(len(said.split()) >= 1 for said in found.values()), (
            f"{alert.page} has a heading with nothing under it"
        )


def test_runbooks_name_commands_metrics_and_codes_that_exist():
    from candlewick.app.cli import main as cli
    from tools import catalogues

    text = "\n".join((ROOT / alert.page).read_text() for alert in ALERTS)
    assert set(re.findall(r"`candlewick (\w+)", text)) <= set(cli.COMMANDS)
    assert {n for n in re.findall(r"\bcandlewick_\w+", text) if unknown(n) and unknown(f"{n}_bucket")} == set()
    told = (ROOT / "docs/reference/errors.md").read_text() + (ROOT / "docs/explanation/bad-input.md").read_text()
    told += (ROOT / "src/candlewick/ports/venue.py").read_text()
    assert [code for code in set(re.findall(r"`([A-Z]+_[A-Z_]+)`", text)) if code not in told] == []
    values = yaml.safe_load((ROOT / "deploy/helm/candlewick/values.yaml").read_text())
    for service, key in re.findall(r"`services\.(\w+)\.(\w+)", text):
        assert service == "NAME" or service in (ROOT / "docs/reference/services.md").read_text()
        assert key in values["defaults"]
    known = {f"{section}.{name}" for section, kind in catalogues.settings() for name in kind.__struct_fields__}
    assert set(re.findall(r"`((?:history|realtime|market|collector)\.\w+)`", text)) <= known


def test_names_are_used_once():
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    assert len(RECORDED) == len(RECORDINGS)


@promtool
def test_prometheus_takes_the_rules(tmp_path):
    (tmp_path / "rules.yaml").write_text(rules.text())
    done = subprocess.run(
        ["promtool", "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(case):
    done = subprocess.run(["promtool", "test", "rules", str(case)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_every_one_that_can_be_silent_is_seen_silent():
    fired, silent = set(), set()
    for case in CASES:
        for test in yaml.safe_load(case.read_text())["tests"]:
            for rule in test.get("alert_rule_test", ()):
                (fired if rule["exp_alerts"] else silent).add(rule["alertname"])
    names = {alert.name for alert in ALERTS}
    assert fired == names
    assert silent == names - {"AlertsReachSomebody"}
