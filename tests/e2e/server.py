"""Starts the product as a user does, in a process of its own, and talks to it over loopback."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from candlewick.quant.market_model.interruptions import halts, silences
from candlewick.quant.market_model.model import MarketModel

READY_WITHIN_S = 90  # the first start of a machine compiles the kernels


def _candidates() -> Iterator[int]:
    """Each worker's own, below what the system gives to clients, with room for the services' own ports above each."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4
    base = 12_000 + 5_000 * worker
    return (base + step * 25 for step in itertools.count(os.getpid() % 100))


_ports = _candidates()


def free_port() -> int:
    """A port that nobody listens on, nor on the twenty above it."""
    return next(port for port in _ports if all(_is_free(port + above) for above in range(21)))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@cache
def calm_seed() -> int:
    """A demo market that no test waits for by luck: no halt, no silence of its feed, many trades in the next hour."""
    start_ns = (int(time.time()) - 600) * 10**9
    end_ns = start_ns + 4_200 * 10**9
    calm = [
        seed
        for seed in range(1, 60)
        if not halts(seed, start_ns // 10**6, end_ns // 10**6) and not silences(seed, start_ns, end_ns)
    ]
    return max(calm, key=lambda seed: len(MarketModel(seed).trades("BTC-USDT", start_ns, end_ns).price))


class Product:
    """``candlewick ARGS`` with its output in a file."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, *, port: int | None = None, env: dict[str, str] | None = None
    ) -> None:
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.output = folder / f"output-{self.port}-{time.monotonic_ns()}.txt"
        command = [sys.executable, "-m", "candlewick.app.cli.main", *arguments]
        surroundings = os.environ | {
            "CANDLEWICK_APP__DEMO_SEED": str(calm_seed()),
            # a year of the demo market is five seconds of processor, and most tests look at its newest hour
            "CANDLEWICK_HISTORY__FETCH_CANDLES": "100",
        }
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=surroundings | (env or {})
            )

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_ready(self, path: str = "/health") -> "Product":
        """Until the path answers 200. Fails with the output when the process ends before."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.text()}"
            try:
                if self.get(path)[0] == 200:
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready within {READY_WITHIN_S} s:\n{self.text()}")

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; error statuses are returned, not raised."""
        try:
            with urllib.request.urlopen(self.base + path, timeout=10) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def json(self, path: str):
        status, _, body = self.get(path)
        assert status == 200, (path, status, body[:500])
        return json.loads(body)

    def until(self, path: str, condition, *, seconds: float = 30):
        """The JSON of the path once it satisfies the condition."""
        deadline = time.monotonic() + seconds
        found = None
        while time.monotonic() < deadline:
            status, _, body = self.get(path)
            if status == 200 and condition(found := json.loads(body)):
                return found
            time.sleep(0.1)
        raise AssertionError(
            f"{path} did not become what was expected within {seconds} s, was {str(found)[:800]}\n{self.text()[-2000:]}"
        )

    def stop(self, number: int = signal.SIGINT, *, seconds: float = 20) -> int:
        """Ask it to end and wait; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop within {seconds} s:\n{self.text()[-3000:]}") from None
