"""deploy/compose/cluster.yaml has every service of the registry, told what the code reads."""

import re
from pathlib import Path

import pytest
import yaml

from candlewick.app import registry
from candlewick.app.cli import databases
from candlewick.app.cli import main as cli
from candlewick.app.http.addresses import Addresses
from candlewick.kernel.settings import environment_layer
from tools import catalogues
from tools.deploy import services

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy/compose"
NOT_OURS = {"migration", "metrics", "grafana"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((FOLDER / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def ours(compose):
    return {name: service for name, service in compose["services"].items() if name not in NOT_OURS}


def test_every_service_has_a_container(ours):
    assert set(ours) == set(registry.SERVICES)


def test_it_is_started_as_the_command_line_reads_it(ours):
    for name, service in ours.items():
        parsed = cli._parser("run").parse_args(
            [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in service["command"]]
        )
        assert parsed.services == [name]
        assert parsed.profile == "cluster"
        assert parsed.member == f"{name}-0"


def test_its_health_is_asked_at_its_own_port(ours):
    for name, service in ours.items():
        port = str(8000 + registry.load(name).place)
        assert service["healthcheck"]["test"] == ["CMD", "python", "-IS", "/opt/health.py", port]
        assert name == "gateway" or "ports" not in service


def test_settings_exist_and_no_service_has_another_one_s_database(ours, compose):
    known = {f"{section}.{name}" for section, kind in catalogues.settings() for name in kind.__struct_fields__}
    known |= {f"cluster.{name}" for name in cluster_fields()}
    for name, service in {**ours, "migration": compose["services"]["migration"]}.items():
        layer = environment_layer(service["environment"])
        assert {f"{section}.{field}" for section, fields in layer.values.items() for field in fields} <= known, name
        if name == "migration":
            continue
        urls = [url for key, url in service["environment"].items() if "POSTGRES" in key]
        assert bool(urls) == (name in services.keeping()), name
        for url in urls:
            assert url.startswith(f"postgresql://candlewick_{name}:${{{name.upper()}_PASSWORD}}@")
            assert url.endswith(f"/candlewick_{name}")
        assert "CANDLEWICK_CLUSTER__POSTGRES_ADMIN_URL" not in service["environment"]


def cluster_fields():
    from candlewick.app.configuration import ClusterSettings

    return ClusterSettings.__struct_fields__


def test_services_find_one_another_by_the_names_of_their_containers(ours):
    for service in ours.values():
        addresses = Addresses([service["environment"]["CANDLEWICK_APP__SERVICE_URLS"]], "0.0.0.0", 8000)
        assert {name: addresses.of(name) for name in ours} == {
            name: f"http://{name}:{8000 + registry.load(name).place}" for name in ours
        }


def test_nothing_can_be_written_but_data_and_tmp_and_no_right_is_left(ours, compose):
    for name, service in {**ours, "migration": compose["services"]["migration"]}.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "10001:10001"
        kept = [volume.partition(":")[2] for volume in service.get("volumes", ())]
        kept += [place.partition(":")[0] for place in service["tmpfs"]]
        assert sorted(kept) == ["/data", "/tmp"], name
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in compose["volumes"]


def test_nothing_starts_before_the_migration_is_done(ours, compose):
    migration = compose["services"]["migration"]
    for service in ours.values():
        assert service["depends_on"]["migration"] == {"condition": "service_completed_successfully"}
    servers = yaml.safe_load((FOLDER / "servers.yaml").read_text())["services"]
    for name in set(migration["depends_on"]) | set(ours["stream"]["depends_on"]) - {"migration"}:
        assert "healthcheck" in servers[name], name
    script = migration["command"][0].replace("\\\n", " ").replace("$$", "$")
    ran = [line.split() for line in script.splitlines() if line.strip()]
    assert [words[:3] for words in ran] == [
        ["candlewick", "topics", "apply"],
        ["candlewick", "schemas", "register"],
        ["candlewick", "databases", "apply"],
    ]
    given = [word.strip('"') for word in ran[2][3:] if word != "--url"]
    assert set(databases.collect(services.keeping(), None, given)) == set(services.keeping())
    for words in ran:
        cli._parser(words[1]).parse_args(words[1:3])


def test_prometheus_reads_every_service_by_the_chart_s_rules(ours, compose):
    text = compose["configs"]["metrics"]["content"]
    found = yaml.safe_load(text)
    targets = found["scrape_configs"][0]["static_configs"][0]["targets"]
    assert sorted(targets) == sorted(f"{name}:{8000 + registry.load(name).place}" for name in ours)
    assert found["scrape_configs"][0]["job_name"] == "candlewick"
    for volume in (*compose["services"]["metrics"]["volumes"], *compose["services"]["grafana"]["volumes"]):
        source = volume.split(":")[0]
        assert not source.startswith(".") or (FOLDER / source).exists(), source


def test_what_it_includes_is_there_and_names_clash_with_nothing(compose):
    for file in compose["include"]:
        servers = yaml.safe_load((FOLDER / file).read_text())
        for kind in ("services", "volumes", "configs"):
            assert not set(servers[kind]) & set(compose[kind]), kind


def test_the_example_names_every_variable_and_holds_no_password(compose):
    text = (FOLDER / "cluster.yaml").read_text()
    example = (FOLDER / "cluster.env.example").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    assert needed == {f"{name.upper()}_PASSWORD" for name in services.keeping()}
    for name in needed:
        assert re.search(rf"^{name}=$", example, re.MULTILINE)
    assert "deploy/compose/cluster.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_waits_as_long_as_a_service_may_take_to_stop(ours):
    from candlewick.app.http import server
    from candlewick.app.runtime import host

    for service in ours.values():
        assert int(service["stop_grace_period"].rstrip("s")) > server._DRAIN_S + host._STOP_TIMEOUT_S


def test_what_must_outlive_a_container_has_a_volume(ours):
    for name, shape in services.SHAPES.items():
        if shape.keeps:
            assert ours[name]["volumes"] == [f"{name}:/data"]
