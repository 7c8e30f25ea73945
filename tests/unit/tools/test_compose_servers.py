"""The servers under Docker are those of ``./dev servers``: same ports, settings, versions and addresses."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from candlewick.testing import servers as known
from tools.servers import kafka, place, registry, s3, toxiproxy
from tools.servers.__main__ import KINDS

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy/compose"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((FOLDER / "servers.yaml").read_text())["services"]


def version(artefact):
    tree = ElementTree.parse(ROOT / f"tools/servers/maven/{artefact}.xml")
    return tree.findtext("dependencies/dependency/version")


def test_every_port_is_on_loopback_and_of_the_table(services):
    published = {}
    for name, service in services.items():
        host, *ports = service["ports"][0].split(":")
        assert host == "127.0.0.1", name
        published[name] = int(ports[0])
    assert published == {name: place.PORTS[name] for name in published}
    assert {kind.name for kind in KINDS} <= {re.sub(r"-\d$", "", name) for name in services}
    assert f":{place.LINKS[0]}-{place.LINKS[1]}:" in services["toxiproxy"]["ports"][1]


def test_brokers_have_the_settings_of_the_brokers_without_docker(services):
    own = {"controller.listener.names", "listener.security.protocol.map", "process.roles"}
    for node in kafka.NODES:
        given = services[f"kafka-{node}"]["environment"]
        assert given["CLUSTER_ID"] == kafka.CLUSTER_ID
        for key, value in kafka.SETTINGS.items():
            if key not in own:
                assert given["KAFKA_" + key.upper().replace(".", "_")] == value, key


def test_versions_are_pinned_and_the_same(services):
    for name, service in services.items():
        if "image" in service:
            assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), name
    assert services["kafka-1"]["image"].endswith(":" + version("kafka"))
    assert services["registry"]["image"].endswith(":" + version("registry"))
    for name, folder, package in (("s3", "versitygw", s3.PACKAGE), ("toxiproxy", "toxiproxy", toxiproxy.PACKAGE)):
        installed, pinned = re.search(r"go install (\S+)@(\S+)", services[name]["build"]["dockerfile_inline"]).groups()
        assert installed == package
        module = re.escape(package.split("/cmd/", maxsplit=1)[0])
        assert re.search(rf"{module} {pinned}\b", (ROOT / f"tools/servers/go/{folder}/go.mod").read_text())


def test_tests_find_them_at_the_addresses_of_the_file_beside_it():
    told = json.loads((FOLDER / "addresses.json").read_text())["addresses"]
    wanted = {name: where for kind in KINDS for name, where in kind(place.ports()).addresses().items()}
    assert told == {**wanted, "timescale": wanted["postgres"]}
    assert set(told) == set(known.VARIABLES)


def test_the_registry_keeps_its_schemas_where_it_does_without_docker(services):
    url = services["registry"]["environment"]["APICURIO_DATASOURCE_URL"]
    assert url == f"jdbc:postgresql://postgres:5432/{registry.DATABASE}"
