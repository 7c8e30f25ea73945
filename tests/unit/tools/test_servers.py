"""The servers' supervisor on plain processes: nothing here needs a server's program."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from candlewick.testing import servers as known
from tools.servers import __main__ as command
from tools.servers import fetch, place, supervise
from tools.servers.place import Trouble
from tools.servers.server import Server
from tools.servers.supervise import Process

ROOT = Path(__file__).resolve().parents[3]
LISTEN = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("here", flush=True)
time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("on", flush=True)
time.sleep(60)
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Listener(Server):
    """A server of one process that listens."""

    name = "listener"
    ready_seconds = 10

    def fetch(self):
        pass

    def lay(self):
        pass

    def processes(self):
        port = self.ports["listener"]
        return [Process("listener", [sys.executable, "-c", LISTEN, str(port)], self.folder, ports=(port,))]

    def why_not(self):
        return None if supervise.holder(self.ports["listener"]) else "nobody listens"

    def addresses(self):
        return {"listener": self.url("listener")}


@pytest.fixture
def listener(tmp_path):
    server = Listener({"listener": free_port()}, tmp_path)
    yield server
    server.stop()


def test_a_server_starts_once_tells_its_state_and_ends(listener):
    assert listener.state() == ("down", "")
    assert listener.start() is True
    pid = listener.pids()["listener"]
    assert listener.start() is False
    assert listener.pids() == {"listener": pid}
    assert listener.state() == ("up", f"pid {pid}")
    assert supervise.tail(listener.processes()[0].log, 5) == "here"
    assert listener.stop() == []
    assert listener.state() == ("down", "")
    assert supervise.holder(listener.ports["listener"]) is None


def test_a_killed_server_is_broken_not_down_and_starts_again(listener):
    listener.start()
    os.kill(listener.pids()["listener"], signal.SIGKILL)
    while listener.pids():
        pass
    assert listener.state() == ("broken", "listener died")
    assert listener.start() is True
    assert listener.state()[0] == "up"


def test_a_port_that_another_program_has_is_refused_and_its_holder_named(listener):
    port = listener.ports["listener"]
    with socket.create_server(("127.0.0.1", port)), pytest.raises(Trouble) as refused:
        listener.start()
    assert str(port) in str(refused.value)
    assert f"pid {os.getpid()}" in str(refused.value)
    assert place.SHIFT_VARIABLE in str(refused.value)
    assert listener.pids() == {}


def test_a_server_that_ends_at_once_says_what_its_log_says(listener, monkeypatch):
    broken = Process("listener", [sys.executable, "-c", "raise SystemExit('no such setting')"], listener.folder)
    monkeypatch.setattr(listener, "processes", lambda: [broken])
    with pytest.raises(Trouble, match="no such setting"):
        listener.start()
    assert listener.state() == ("down", "")


def test_a_pid_that_belongs_to_another_process_now_is_not_ours(tmp_path):
    process = Process("p", ["true"], tmp_path)
    mine = psutil.Process().create_time()
    process.pid_file.write_text(json.dumps({"pid": os.getpid(), "created": mine - 100}))
    assert process.running() is None
    process.pid_file.write_text(json.dumps({"pid": os.getpid(), "created": mine}))
    assert process.running() is not None


def started(tmp_path, name, program, **options):
    process = Process(name, [sys.executable, "-c", program], tmp_path, **options)
    supervise.spawn(process)
    supervise.wait_ready(lambda: None if process.log.stat().st_size else "silent", [process], 10)
    return process


def test_what_does_not_end_when_asked_is_killed_and_named(tmp_path):
    assert supervise.stop([started(tmp_path, "deaf", DEAF, stop_seconds=0.3)]) == ["deaf"]


@pytest.mark.slow
def test_children_end_with_their_parent(tmp_path):
    process = started(tmp_path, "parent", PARENT)
    (child,) = psutil.Process(process.running().pid).children()
    supervise.stop([process])
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_no_port_is_there_twice_and_none_is_lent_to_outgoing_connections():
    taken = list(place.PORTS.values())
    assert len(set(taken)) == len(taken)
    assert max(*taken, *place.LINKS) + place.LARGEST_SHIFT < 32768
    assert not set(taken) & set(range(place.LINKS[0], place.LINKS[1] + 1))


def test_the_shift_is_kept_for_the_next_command_and_stays_while_servers_run(tmp_path, monkeypatch):
    monkeypatch.delenv(place.SHIFT_VARIABLE, raising=False)
    assert place.shift(tmp_path) == 0
    place.keep_shift(200, tmp_path)
    assert place.shift(tmp_path) == 200
    monkeypatch.setenv(place.SHIFT_VARIABLE, "1000")
    assert place.shift(tmp_path) == 1000
    with pytest.raises(Trouble, match="moved by 200"):
        place.shift(tmp_path, running=True)
    monkeypatch.setenv(place.SHIFT_VARIABLE, "-1")
    with pytest.raises(Trouble, match="'-1'"):
        place.shift(tmp_path)


def test_a_server_of_no_known_name_is_refused():
    servers = dict.fromkeys(command.NAMES)
    with pytest.raises(Trouble, match="mongodb"):
        command.chosen(["mongodb"], servers)


def test_every_server_has_ports_of_the_table_and_addresses_that_tests_know(tmp_path):
    for kind in command.KINDS:
        server = kind(place.ports(), tmp_path)
        used = {port for process in server.processes() for port in process.ports}
        assert used <= set(place.PORTS.values()), server.name
        assert set(server.addresses()) <= set(known.VARIABLES), server.name
        assert all("127.0.0.1:" in text for text in server.addresses().values()), server.name
        assert set(server.needs) <= set(command.NAMES), server.name


def test_a_missing_program_says_what_to_install(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Trouble, match="apt-get install no-such-package"):
        fetch.program("no-such-program", "no-such-package")


def test_root_hands_over_to_the_user_a_server_wants(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert fetch.as_user("nobody", ["id"], home=tmp_path) == ["id"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tmp_path.chmod(0o700)
    assert "--ambient-caps=+dac_override" in fetch.as_user("nobody", ["id"], home=tmp_path)


def test_what_was_made_halfway_is_not_taken_for_whole(tmp_path):
    folder = tmp_path / "made"

    def fail_halfway():
        with fetch.made(folder, "a") as new:
            (new / "half").write_text("")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert not fetch.is_made(folder, "a")
    with fetch.made(folder, "a") as new:
        (new / "whole").write_text("")
    assert fetch.is_made(folder, "a")
    assert not fetch.is_made(folder, "b")
    assert [p.name for p in folder.iterdir() if p.name != ".stamp"] == ["whole"]


def test_help_names_every_server():
    shown = subprocess.run(
        [sys.executable, "-m", "tools.servers", "start", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(name in shown.stdout for name in command.NAMES)
