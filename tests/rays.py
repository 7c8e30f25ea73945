"""A small Ray cluster of the test's own: all that it writes lies in one short-named folder, and none of its processes
is left when it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

from candlewick.adapters.jobs.ray.cluster import settle

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 240  # 5 s on a machine of one's own
# Ray gives a node 30 s to come up, whatever else the machine does meanwhile.
_STARTS = 3
# On loopback, and yet no address that Ray takes for a mistake and replaces with the machine's own.
HOST = "127.0.0.2"


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes_of(folder):
    """Every process that was started with the folder in its command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("RAY_AUTH_TOKEN_PATH", "")]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(process)
    return found


class LocalRay:
    """``address`` is that of the client server; ``folder`` holds logs, sockets and the token."""

    def __init__(self, folder, cpus):
        self.folder, self._cpus = folder, cpus
        self.port, self.client_port = _free_port(), _free_port()
        self.address = f"ray://{HOST}:{self.client_port}"

    def start(self):
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--node-ip-address", HOST,
            "--port", str(self.port), "--ray-client-server-port", str(self.client_port), "--num-cpus", str(self._cpus),
            "--include-dashboard", "false", "--temp-dir", str(self.folder), "--object-store-memory", str(80 << 20),
            "--min-worker-port", "0", "--max-worker-port", "0", "--disable-usage-stats", "--include-log-monitor",
            "false",
        ]  # fmt: skip
        # A node whose agents choose their ports themselves dies when a busy machine lets them take their time.
        for agent in ("metrics-export", "dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent"):
            command += [f"--{agent}-port", str(_free_port())]
        # Workers import what tests hand to them.
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(READY_WITHIN_S)}
        self.output = self.folder / "output.txt"
        for _ in range(_STARTS):
            with self.output.open("wb") as out:
                self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
            if self._is_up():
                return
            self.stop()
        raise AssertionError(f"Ray did not start:\n{self.output.read_text()}")

    def _is_up(self):
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if "Ray runtime started" in self.output.read_text():
                return True
            time.sleep(0.2)
        return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        left = processes_of(self.folder)
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=10)


@contextmanager
def local_ray(*, cpus=4):
    """A running cluster, connected to from this process's environment."""
    folder = Path(tempfile.mkdtemp(prefix="cw-ray-", dir="/tmp"))
    before = dict(os.environ)
    settle(folder, os.environ)
    ray = LocalRay(folder, cpus)
    try:
        ray.start()
        yield ray
    finally:
        ray.stop()
        for name in set(os.environ) - set(before):
            del os.environ[name]
        shutil.rmtree(folder, ignore_errors=True)
