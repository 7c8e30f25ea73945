"""``candlewick doctor --profile cluster`` says of each server what is wrong and what to do."""

import json

import pytest

from candlewick.app.cli import main as cli
from tests.cluster import Cluster, needs_cluster

SERVERS = ("kafka", "postgres", "redis", "rabbitmq", "s3", "registry")


def findings(capsys, *arguments):
    cli.main(["doctor", "--profile", "cluster", "--json", *arguments])
    return {one["what"]: one for one in json.loads(capsys.readouterr().out) if one["what"] in SERVERS}


@needs_cluster
def test_what_answers_is_told_from_what_is_missing_on_it(tmp_path, capsys):
    made = Cluster(tmp_path)
    found = findings(capsys, "--config", str(made.file), "--data-dir", str(tmp_path))
    assert {name: one["level"] for name, one in found.items()} == dict.fromkeys(SERVERS, "ok") | {"kafka": "bad"}
    assert "candlewick topics apply" in found["kafka"]["advice"]
    assert not any("candlewick-secret" in one["found"] for one in found.values()), "passwords are not shown"


@pytest.mark.slow
def test_servers_that_are_not_there_and_settings_that_are_empty(tmp_path, capsys):
    nowhere = {
        "kafka_brokers": "127.0.0.1:1",
        "postgres_admin_url": "postgresql://u:hidden@127.0.0.1:1/postgres",
        "redis_url": "redis://127.0.0.1:1/0",
        "s3_url": "http://a:hidden@127.0.0.1:1/bucket",
    }
    flags = [part for name, value in nowhere.items() for part in ("--set", f"cluster.{name}={value}")]
    found = findings(capsys, "--data-dir", str(tmp_path), *flags)
    assert {one["level"] for name, one in found.items() if name != "registry"} == {"bad"}
    assert "SERVER_NOT_NAMED" in found["rabbitmq"]["found"]
    assert "CANDLEWICK_CLUSTER__RABBITMQ_URL" in found["rabbitmq"]["advice"]
    assert all(one["advice"] for name, one in found.items() if name != "registry")
    assert not any("hidden" in one["found"] for one in found.values())
