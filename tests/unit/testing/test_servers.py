"""Tests find their servers, or a reason to skip with."""

import json
import socket

import pytest

from candlewick.testing import servers


@pytest.fixture
def file(tmp_path, monkeypatch):
    for variable in servers.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    file = tmp_path / "addresses.json"
    monkeypatch.setenv(servers.FILE_VARIABLE, str(file))
    return file


def test_without_servers_every_name_has_a_reason_and_a_remedy(file):
    for name, variable in servers.VARIABLES.items():
        assert servers.address(name) is None
        assert variable in servers.why_not(name)
    assert "./dev servers start postgres," in servers.why_not("postgres_replica")
    assert "./dev" not in servers.why_not("timescale")


@pytest.mark.parametrize("shape", ["redis://127.0.0.1:{}/0", "127.0.0.1:{},127.0.0.1:1"])
def test_a_server_that_answers_is_given_and_one_that_does_not_is_not(file, shape):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = shape.format(listening.getsockname()[1])
        file.write_text(json.dumps({"addresses": {"redis": here}, "pids": {}}))
        assert servers.address("redis") == here
        assert servers.why_not("redis") == ""
    assert servers.address("redis") is None
    assert "does not answer" in servers.why_not("redis")


def test_what_the_environment_names_is_believed(file, monkeypatch):
    monkeypatch.setenv("CANDLEWICK_TEST_REDIS_URL", "redis://127.0.0.1:1/0")
    assert servers.address("redis") == "redis://127.0.0.1:1/0"


def test_a_broken_file_is_a_reason_and_a_wrong_name_an_error(file):
    file.write_text("{")
    assert "cannot be read" in servers.why_not("redis")
    with pytest.raises(KeyError):
        servers.address("mongodb")
