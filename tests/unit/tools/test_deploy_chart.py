"""The chart runs every service of the registry, as its spec says, and lets it talk to nobody else."""

import json
import re
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from candlewick.app import registry
from candlewick.app.cli import main as cli
from candlewick.app.configuration import ClusterSettings
from candlewick.app.http import server
from candlewick.app.http.addresses import Addresses
from candlewick.app.runtime import host
from candlewick.kernel.metrics import CATALOGUE
from candlewick.kernel.settings import environment_layer
from tools import catalogues
from tools.deploy import chart, programs, services

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy/helm/candlewick"
HELM = programs.helm_here()
SPECS = {name: registry.load(name) for name in registry.SERVICES}
helm = pytest.mark.skipif(
    HELM is None, reason="helm is not here: python -m tools.deploy validate builds it, CANDLEWICK_HELM names one"
)


def test_the_catalogue_says_what_the_registry_says():
    found = {one["name"]: one for one in yaml.safe_load((CHART / "catalogue.yaml").read_text())["services"]}
    assert list(found) == list(SPECS)
    for name, spec in SPECS.items():
        assert found[name]["port"] == 8000 + spec.place
        assert set(spec.calls) <= set(found[name]["asks"]) == set(host.dependencies(spec))
        assert ("postgres" in found[name]["needs"]) == (name in services.keeping())
    assert set(services.SHAPES) <= set(SPECS), "a service that is no more has a shape"


def test_a_service_that_nobody_shaped_runs_all_the_same(monkeypatch):
    monkeypatch.delitem(services.SHAPES, "market")
    found = services.describe(SPECS["market"])
    assert (found["replicas"], found["most"], found["keeps"]) == (1, 1, "")
    assert "scales" not in found


def test_what_scales_does_so_by_a_metric_with_the_labels_it_is_asked_for():
    metrics = {f"candlewick_{metric.name}": metric for metric in CATALOGUE}
    for shape in services.SHAPES.values():
        if shape.scale is not None:
            metric = metrics[shape.scale.metric]
            assert metric.kind == "gauge"
            assert ("service" in metric.labels) == shape.scale.by_service
        assert shape.replicas <= shape.most


def test_values_are_only_for_services_and_keys_that_exist():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values["services"]) <= set(SPECS)
    for own in values["services"].values():
        assert set(own) <= set(values["defaults"])
    used = "\n".join(path.read_text() for path in (CHART / "templates").iterdir())
    for key in values["defaults"]:
        assert f"$settings.{key}" in used, f"defaults.{key} is read by no template"
    for key, value in values.items():
        if key not in ("defaults", "services") and isinstance(value, dict):
            for inner in value:
                pattern = rf"{key}\.{inner}\b|\$image\.{inner}\b|\$servers\b|\.{key} "
                assert re.search(pattern, used), f"{key}.{inner} is read by no template"


def test_the_schema_of_values_knows_every_value():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def unknown(value, rule, where=""):
        rule = schema["definitions"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
        known = rule.get("properties")
        if not isinstance(value, dict) or known is None:
            return []
        found = [f"{where}{key}" for key in value.keys() ^ known.keys() if key != "global"]
        return found + [
            one for key in value.keys() & known.keys() for one in unknown(value[key], known[key], f"{where}{key}.")
        ]

    assert unknown(values, schema) == []


def test_the_page_s_table_of_sizes_says_what_the_chart_does():
    text = (ROOT / "docs/how-to/run-on-servers.md").read_text()
    rows = dict(re.findall(r"^\| (\w+) \| (\d[^|]*?) \|", text, re.MULTILINE))
    wanted = {}
    for name in SPECS:
        shape = services.SHAPES.get(name, services.Shape())
        wanted[name] = "1" if shape.most == 1 else f"1 to {shape.most}, {shape.replicas} by default"
    assert rows == wanted


def test_chart_and_package_have_one_version():
    import candlewick

    found = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (found["version"], found["appVersion"]) == (candlewick.__version__, candlewick.__version__)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in chart.VALUES])
def made(request):
    if HELM is None:
        pytest.skip("helm is not here")
    objects = chart.rendered(HELM, chart.VALUES[request.param])
    return request.param, objects


def kind(objects, *kinds):
    return [one for one in objects if one["kind"] in kinds]


def component(one):
    return one["metadata"]["labels"].get("app.kubernetes.io/component")


def workloads(objects):
    return {component(one): one for one in kind(objects, "Deployment", "StatefulSet")}


def pods(objects):
    for one in kind(objects, "Deployment", "StatefulSet", "Job"):
        yield component(one), one["spec"]["template"]["spec"]


@helm
def test_every_service_has_one_workload_a_service_and_a_budget(made):
    name, objects = made
    found = workloads(objects)
    assert set(found) == set(SPECS)
    for service, one in found.items():
        shape = services.SHAPES.get(service, services.Shape())
        assert one["kind"] == ("StatefulSet" if shape.keeps else "Deployment")
        selector = one["spec"]["selector"]["matchLabels"]
        assert selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        for other in kind(objects, "PodDisruptionBudget"):
            if component(other) == service:
                assert other["spec"]["selector"]["matchLabels"] == selector
                assert other["spec"]["maxUnavailable"] == 1
        ports = [
            s["spec"]["ports"][0]["port"]
            for s in kind(objects, "Service")
            if component(s) == service and s["spec"].get("type")
        ]
        assert ports == [8000 + SPECS[service].place]
        if name != "most" or shape.scale is None:
            assert one["spec"]["replicas"] <= shape.most
        else:
            assert "replicas" not in one["spec"], "KEDA says how many"
    assert len(kind(objects, "PodDisruptionBudget")) == len(SPECS)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    assert all(len(n) <= 52 for _, n in names), "a pod's name adds a hash"


@helm
def test_it_is_started_as_the_command_line_reads_it(made):
    _, objects = made
    for service, one in workloads(objects).items():
        container = one["spec"]["template"]["spec"]["containers"][0]
        parsed = cli._parser("run").parse_args(container["args"])
        assert (parsed.services, parsed.profile, parsed.member) == ([service], "cluster", "$(MEMBER)")
        member = next(entry for entry in container["env"] if entry["name"] == "MEMBER")
        assert member["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    for job in kind(objects, "Job"):
        spec = job["spec"]["template"]["spec"]
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            cli._parser(container["args"][0]).parse_args(container["args"])
        assert spec["containers"][0]["args"][:2] == ["databases", "apply"]
        assert spec["initContainers"][0]["args"] == ["topics", "apply"]
        items = next(v["secret"]["items"] for v in spec["volumes"] if v["name"] == "databases")
        assert sorted(item["path"] for item in items) == sorted(services.keeping())
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"


@helm
def test_pods_have_no_right_and_can_write_two_folders(made):
    _, objects = made
    for service, spec in pods(objects):
        assert spec["automountServiceAccountToken"] is False, service
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
            assert writable == {"/data", "/tmp"}
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "cpu" not in container["resources"]["limits"]


@helm
def test_probes_ask_what_answers_and_the_end_is_waited_for(made):
    _, objects = made
    for service, one in workloads(objects).items():
        spec = one["spec"]["template"]["spec"]
        container = spec["containers"][0]
        assert container["ports"] == [{"name": "http", "containerPort": 8000 + SPECS[service].place}]
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/metrics", "port": "http"}
        before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        assert spec["terminationGracePeriodSeconds"] > before + server._DRAIN_S + host._STOP_TIMEOUT_S
        if one["kind"] == "StatefulSet":
            assert one["spec"]["podManagementPolicy"] == "Parallel"
            assert one["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
            heads = [s for s in kind(objects, "Service") if s["metadata"]["name"] == one["spec"]["serviceName"]]
            assert heads[0]["spec"]["clusterIP"] == "None"
        else:
            assert one["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
            assert any(volume["name"] == "data" for volume in spec["volumes"])


@helm
def test_settings_exist_and_no_service_has_another_one_s_database(made):
    _, objects = made
    known = {f"{section}.{name}" for section, kind_ in catalogues.settings() for name in kind_.__struct_fields__}
    known |= {f"cluster.{name}" for name in ClusterSettings.__struct_fields__}
    shared = [one["data"] for one in kind(objects, "ConfigMap") if one["metadata"]["name"].endswith("-settings")]
    assert shared
    for data in shared:
        assert "PASSWORD" not in json.dumps(data).upper()
        assert not any("POSTGRES" in key for key in data)
    for service, one in workloads(objects).items():
        environment = {entry["name"]: entry for entry in one["spec"]["template"]["spec"]["containers"][0]["env"]}
        layer = environment_layer({**shared[0], **dict.fromkeys(environment, "")})
        assert {f"{section}.{name}" for section, values in layer.values.items() for name in values} <= known
        refs = {
            key: entry["valueFrom"]["secretKeyRef"]
            for key, entry in environment.items()
            if "secretKeyRef" in entry.get("valueFrom", {})
        }
        own = {ref["key"] for key, ref in refs.items() if "POSTGRES" in key}
        assert own == ({service, f"{service}-replica"} if service in services.keeping() else set())
        wanted = {"CANDLEWICK_CLUSTER__REDIS_URL", "CANDLEWICK_CLUSTER__S3_URL"}
        assert wanted <= refs.keys(), "the cluster profile opens these in every process"


@helm
def test_services_find_one_another_under_the_names_that_there_are(made):
    _, objects = made
    settings = next(one["data"] for one in kind(objects, "ConfigMap") if one["metadata"]["name"].endswith("-settings"))
    addresses = Addresses([settings["CANDLEWICK_APP__SERVICE_URLS"]], "0.0.0.0", 8000)
    there = {f"http://{one['metadata']['name']}:{one['spec']['ports'][0]['port']}" for one in kind(objects, "Service")}
    assert {addresses.of(name) for name in SPECS} <= there


def edges(policies):
    """Who may go to whom, as both ends say; the outside is left out."""
    out, into = set(), set()
    for one in policies:
        service = component(one)
        for rule in one["spec"].get("egress", ()):
            for peer in rule.get("to") or ():
                to = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
                if to:
                    out.add((service, to, rule["ports"][0]["port"]))
        for rule in one["spec"].get("ingress", ()):
            for peer in rule.get("from") or ():
                source = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
                if source:
                    into.add((source, service, rule["ports"][0]["port"]))
    return out, into


@helm
def test_the_network_lets_through_what_the_specs_say_and_nothing_else(made):
    name, objects = made
    policies = kind(objects, "NetworkPolicy")
    if name == "demo":
        assert not policies
        return
    denied = [one for one in policies if component(one) is None]
    assert len(denied) == 1
    assert denied[0]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & denied[0]["spec"].keys()
    calls = {
        (name, called, 8000 + SPECS[called].place) for name, spec in SPECS.items() for called in host.dependencies(spec)
    }
    assert edges(policies) == (calls, calls)
    outside = {"gateway"} | ({"realtime"} if name == "most" else set())
    for one in (one for one in policies if component(one) in SPECS):
        service = component(one)
        venues = [
            rule
            for rule in one["spec"]["egress"]
            for peer in rule.get("to") or ()
            if "except" in peer.get("ipBlock", {})
        ]
        assert bool(venues) == services.asks_venues(service), service
        rules = one["spec"]["ingress"]
        open_ones = [r for r in rules if not any("podSelector" in p for p in r.get("from") or ()) and r != rules[-1]]
        assert bool(open_ones) == (service in outside), service
        ports = {port["port"] for rule in one["spec"]["egress"] for port in rule["ports"]}
        assert (5432 in ports) == (service in services.keeping())
        assert {9092, 53, 6379} <= ports


@helm
def test_scaling_asks_for_metrics_that_exist_within_what_a_service_can(made):
    name, objects = made
    found = {component(one): one["spec"] for one in kind(objects, "ScaledObject")}
    assert set(found) == ({n for n, shape in services.SHAPES.items() if shape.scale} if name == "most" else set())
    for service, spec in found.items():
        assert spec["maxReplicaCount"] <= services.SHAPES[service].most
        assert spec["scaleTargetRef"]["name"] == workloads(objects)[service]["metadata"]["name"]
        query = spec["triggers"][0]["metadata"]["query"]
        promql_parser.parse(query)
        assert services.SHAPES[service].scale.metric in query
        assert 'namespace="trading"' in query
        assert int(spec["triggers"][0]["metadata"]["threshold"]) > 0
    if name == "most":
        assert found["stream"]["minReplicaCount"] == 3
        assert found["stream"]["triggers"][0]["metadata"]["threshold"] == "5000"


@helm
def test_rules_and_dashboards_come_whole(made):
    name, objects = made
    rules = kind(objects, "PrometheusRule")
    boards = [one for one in kind(objects, "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]]
    assert bool(rules) == bool(boards) == (name == "most")
    for one in rules:
        alerts = [rule for group in one["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
        assert all(
            rule["annotations"]["runbook_url"].startswith("https://runbooks.example/candlewick/") for rule in alerts
        )
        assert all("{{" not in rule["expr"] for rule in alerts)
        assert any("{{ $labels.service }}" in rule["annotations"]["summary"] for rule in alerts)
    for one in boards:
        for text in one["data"].values():
            assert json.loads(text)["panels"]


def refused(values):
    with pytest.raises(subprocess.CalledProcessError) as told:
        chart.rendered(HELM, values)
    return told.value.stderr


@helm
@pytest.mark.slow
def test_values_that_cannot_work_are_refused_with_a_reason():
    assert "servers.kafka.brokers" in refused({})
    brokers = {"kafka": {"brokers": "kafka:9092"}}
    told = refused({"servers": brokers, "services": {"history": {"replicas": 2}}})
    assert "at most 1, because its database has one writer" in told
    assert "scaling.prometheus" in refused({"servers": brokers, "scaling": {"enabled": True}})
    # misspelt, and of a wrong kind
    assert "replica" in refused({"servers": brokers, "services": {"gateway": {"replica": 3}}})
    assert "digest" in refused({"servers": brokers, "image": {"digest": "latest"}})
    assert "ring_size" in refused({"servers": brokers, "settings": {"market.ring_size": 1}})
