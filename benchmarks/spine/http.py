"""``GET /ohlcv`` of 100 candles over loopback: server CPU a request, beside a FastAPI endpoint with a response model.

The product runs as users start it; the peer is a process of its own with the same 100 candles. CPU time is the server
process's own, over some thousand requests on one kept connection.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import psutil

from benchmarks.measure import Figure, median

REQUESTS = 2_000
ROUNDS = 5
READY_S = 120

_PEER = """
import sys, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Candle(BaseModel):
    open_time: int; open: float; high: float; low: float; close: float; volume: float; quote_volume: float
    taker_buy_volume: float; trades: int | None; final: bool; revision: int; origin: str; quality: str
class Page(BaseModel):
    exchange: str; symbol: str; timeframe: str; candles: list[Candle]; next: str | None
row = dict(open=55695.42, high=55728.5, low=55694.52, close=55728.5, volume=0.21804, quote_volume=12146.0152702,
           taker_buy_volume=0.13539, trades=17, final=True, revision=0, origin="built", quality="ok")
rows = [{"open_time": 1795253700000 + i * 60000, **row} for i in range(100)]
app = FastAPI()
@app.get("/ohlcv", response_model=Page)
async def ohlcv():
    return {"exchange": "demo", "symbol": "BTC-USDT", "timeframe": "1m", "candles": rows, "next": None}
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", loop="uvloop", http="httptools")
"""


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
            if reply.status == 200 and body.count(b"open_time") >= 100:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"nothing to measure at {path} within {READY_S} s")


def _fetched(port: int) -> None:
    """Once the first fetch of history is over, which works as hard as any reader."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/jobs")
        jobs = json.loads(connection.getresponse().read())["jobs"]
        if jobs and all(job["state"] not in ("queued", "running") for job in jobs):
            return
        time.sleep(1.0)
    raise SystemExit(f"history was not fetched within {READY_S} s")


def _cpu_us(process: subprocess.Popen[bytes], port: int, path: str) -> tuple[tuple[float, ...], float]:
    """Of a request, in each round, and what was left out of it: what the server does while nobody asks, measured before
    and behind every round (a product's feed and stream go on)."""
    server = psutil.Process(process.pid)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    samples, idle, left_out = [], _idle_share(server), 0.0
    for _ in range(ROUNDS):
        before, started = sum(server.cpu_times()[:2]), time.monotonic()
        for _ in range(REQUESTS):
            connection.request("GET", path)
            connection.getresponse().read()
        used, took = sum(server.cpu_times()[:2]) - before, time.monotonic() - started
        was, idle = idle, _idle_share(server)
        rest = (was + idle) / 2 * took
        samples.append(max(0.0, used - rest) / REQUESTS * 1e6)
        left_out += rest / REQUESTS / ROUNDS * 1e6
    return tuple(samples), left_out


def _idle_share(server: psutil.Process) -> float:
    """CPU seconds a second."""
    before, started = sum(server.cpu_times()[:2]), time.monotonic()
    time.sleep(3)
    used: float = sum(server.cpu_times()[:2]) - before
    return used / (time.monotonic() - started)


def main() -> list[Figure]:
    ours, theirs = _port(), _port()
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "CANDLEWICK_DATA_DIR": folder}
        up = [sys.executable, "-m", "candlewick.app.cli.main", "up", "--exchange", "demo", "--port", str(ours)]
        product = subprocess.Popen(up, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer = subprocess.Popen([sys.executable, "-c", _PEER, str(theirs)], stderr=subprocess.DEVNULL)
        try:
            path = "/ohlcv/demo/BTC-USDT/1h?limit=100"
            _wait(ours, path, product)
            _wait(theirs, "/ohlcv", peer)
            _fetched(ours)
            net, rest_us = _cpu_us(product, ours, path)
            other, _ = _cpu_us(peer, theirs, "/ohlcv")
        finally:
            product.terminate()
            peer.terminate()
            product.wait(30)
            peer.wait(30)
    ratio = median(other) / median(net)
    note = f"feed and stream beside it: {rest_us:.0f} us a request left out"
    peer_name = "FastAPI response model"
    return [
        Figure("GET /ohlcv of 100 candles, server CPU", median(net), "us", "lower", net, peer_name, ratio, note),
        Figure("the same in FastAPI with a response model", median(other), "us", "lower", other),
    ]


if __name__ == "__main__":
    for figure in main():
        print(figure)
