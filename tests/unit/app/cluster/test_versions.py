"""The versions that services were switched to, from one start to the next."""

import json
import sys

import pytest

from candlewick import __version__
from candlewick.app.cli.main import main
from candlewick.app.cluster.versions import (
    BadInterpreter,
    Version,
    VersionGone,
    Versions,
    VersionsUnreadable,
    remembered,
    version_of,
)

SERVICES = ("market", "stream", "gateway")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cluster" / "versions.json"


def stand_in(folder, *, status=0):
    """An interpreter that says that it has version 9.9.9, or ends with a status."""
    python = folder / f"python-{status}"
    python.write_text(f"#!/bin/sh\necho 9.9.9\nexit {status}\n")
    python.chmod(0o755)
    return str(python)


def test_what_is_kept_is_read_at_the_next_start(file):
    versions = Versions(file)
    assert versions.of("market") is None
    versions.keep("market", Version("/opt/2/bin/python", "/opt/1/bin/python"))
    versions.keep("stream", Version("/opt/1/bin/python"))
    again = Versions(file)
    assert again.of("market") == Version("/opt/2/bin/python", "/opt/1/bin/python")
    assert again.of("stream") == Version("/opt/1/bin/python", None)
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing half written is left"


def test_what_cannot_be_written_leaves_the_file_as_it_was(file):
    versions = Versions(file)
    versions.keep("market", Version("/opt/2/bin/python"))
    file.with_suffix(".new").mkdir()
    with pytest.raises(OSError, match="directory"):
        versions.keep("market", Version("/opt/3/bin/python"))
    assert versions.of("market") == Versions(file).of("market") == Version("/opt/2/bin/python")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"market": {}}', b'{"market": {"python": 3}}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told_and_not_passed_over(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(VersionsUnreadable) as raised:
        remembered(file, SERVICES, sys.executable, forget=False)
    assert "--forget-versions" in raised.value.hint
    versions, lines = remembered(file, SERVICES, sys.executable, forget=True)
    assert versions.of("market") is None
    assert lines == []


def test_each_version_that_is_not_the_starting_one_is_told_in_a_line(file, tmp_path):
    new = stand_in(tmp_path)
    versions = Versions(file)
    for name in ("market", "stream"):
        versions.keep(name, Version(new, sys.executable))
    versions.keep("gateway", Version(sys.executable, new))
    _, lines = remembered(file, SERVICES, sys.executable, forget=False)
    assert lines == [f"market, stream run Candlewick 9.9.9 of {new}, as switched to (--forget-versions ends that)"]


@pytest.mark.parametrize("what", ["gone", "without Candlewick"])
def test_a_version_that_is_gone_stops_the_start_and_says_what_to_do(file, tmp_path, what):
    python = stand_in(tmp_path, status=1) if what != "gone" else str(tmp_path / "gone")
    Versions(file).keep("market", Version(python))
    with pytest.raises(VersionGone) as raised:
        remembered(file, SERVICES, sys.executable, forget=False)
    assert raised.value.detail.startswith("market was switched to a version that is gone")
    assert python in raised.value.detail
    assert "--forget-versions" in raised.value.hint
    assert sys.executable in raised.value.hint
    assert remembered(file, ("stream",), sys.executable, forget=False)[1] == [], "others are not concerned"
    assert remembered(file, SERVICES, sys.executable, forget=True)[1] == []
    assert not file.exists()


def test_the_version_of_an_interpreter_is_its_own_word(tmp_path):
    assert version_of(sys.executable) == __version__
    with pytest.raises(BadInterpreter, match="it says nothing"):
        version_of(stand_in(tmp_path, status=3))


def test_forgetting_versions_is_for_processes_of_a_service_each(capsys):
    assert main(["up", "--forget-versions"]) != 0
    assert "--forget-versions is for the cluster profile" in capsys.readouterr().err


def test_the_file_is_for_people_too(file):
    Versions(file).keep("market", Version("/opt/2/bin/python", "/opt/1/bin/python"))
    assert json.loads(file.read_text()) == {"market": {"python": "/opt/2/bin/python", "before": "/opt/1/bin/python"}}
