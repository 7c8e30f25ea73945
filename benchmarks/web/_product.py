"""The product as users start it, on a free port of loopback and a data dir of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from candlewick.quant.market_model.interruptions import halts, silences

CHART = "/chart/demo/BTC-USDT/15m"
_READY_S = 120.0
_AHEAD_S = 3_600


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read(url: str) -> Any:
    """The JSON at an address. Raises OSError when nobody answers."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.loads(reply.read())


def until(url: str, condition: Callable[[Any], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until the JSON at ``url`` satisfies the condition. Raises SystemExit when it never does."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server of {url} ended with {process.returncode}")
        try:
            if condition(read(url)):
                return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.2)
    raise SystemExit(f"nothing to measure at {url} within {_READY_S:.0f} s")


def _calm_seed() -> int:
    """A demo market that neither halts nor falls silent in the next hour: a chart that stands still is no load."""
    start_s = int(time.time()) - 600
    end_s = start_s + _AHEAD_S
    return next(
        seed
        for seed in range(1, 1_000)
        if not halts(seed, start_s * 1_000, end_s * 1_000) and not silences(seed, start_s * 10**9, end_s * 10**9)
    )


@contextmanager
def running() -> Iterator[str]:
    """Address of a warm product: history is there, every symbol has a price and its day's line."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        env = {**os.environ, "CANDLEWICK_DATA_DIR": folder, "CANDLEWICK_APP__DEMO_SEED": str(_calm_seed())}
        command = [sys.executable, "-m", "candlewick.app.cli.main", "up", "--exchange", "demo", "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        base = f"http://127.0.0.1:{port}"
        try:
            until(f"{base}/api/v1/status", lambda status: bool(status["ready"]), process)
            until(f"{base}/tickers", lambda page: all(_warm(ticker) for ticker in page["tickers"] or [{}]), process)
            until(f"{base}/ohlcv/demo/BTC-USDT/15m", lambda page: len(page["candles"]) == 500, process)
            yield base
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextmanager
def front(product: str) -> Iterator[str]:
    """Address of a door before the product that adds 500 moving symbols, and serves the bare page at /bare."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.web._front", str(port), product])
    base = f"http://127.0.0.1:{port}"
    try:
        until(f"{base}/symbols", lambda page: len(page["symbols"]) > 500, process)
        yield base
    finally:
        process.terminate()
        process.wait(30)


def _warm(ticker: dict[str, Any]) -> bool:
    return bool(ticker.get("last")) and len(ticker.get("sparkline") or ()) == 48
