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
        self.address = f"ray://127.0.0.1:{self.client_port}"

    def start(self):
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--node-ip-address", "127.0.0.1",
            "--port", str(self.port), "--ray-client-server-port", str(self.client_port), "--num-cpus", str(self._cpus),
            "--include-dashboard", "false", "--temp-dir", str(self.folder), "--object-store-memory", str(80 << 20),
            "--min-worker-port", "0", "--max-worker-port", "0", "--disable-usage-stats", "--include-log-monitor",
            "false",
        ]  # fmt: skip
        # Workers import what tests hand to them.
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_raylet_start_wait_time_s": str(READY_WITHIN_S)}
        self.output = self.folder / "output.txt"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + READY_WITHIN_S
        while "Ray runtime started" not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.2)

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
