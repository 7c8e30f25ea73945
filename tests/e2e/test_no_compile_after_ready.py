"""Nothing is compiled, and no kernel is loaded, once the product says that it is ready [18]."""

import json
import subprocess
import sys
import time

import pytest

from tests.e2e.server import Product, free_port

pytestmark = pytest.mark.e2e

WATCHED = """
import atexit, json, sys
from numba.core import event
from candlewick.app.cli.main import main
from candlewick.quant import compiled


class Watch(event.Listener):
    def __init__(self):
        self.after = 0
        self.waiting = None

    def on_start(self, started):
        self.after += self.waiting is not None

    def on_end(self, ended):
        pass

    def write(self, text):
        if "is ready in" in text:
            self.waiting = [k.function.__module__ for k in compiled._kernels if k._compiled is None]
        return sys.__stdout__.write(text)

    def flush(self):
        sys.__stdout__.flush()


watch = sys.stdout = Watch()
event.register("numba:compile", watch)


def tell():
    left = [k.function.__module__ for k in compiled._kernels if k._compiled is None]
    warm = sum(k._compiled is not None for k in compiled._kernels)
    told = {"compiled after ready": watch.after, "waiting at ready": watch.waiting, "waiting at end": left}
    print(json.dumps(told | {"warm": warm}), file=sys.stderr, flush=True)


atexit.register(tell)
sys.exit(main(sys.argv[1:]))
"""


class WatchedProduct(Product):
    """The product with a listener to numba's compiler."""

    def __init__(self, arguments, folder):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.output = folder / "output.txt"
        command = [sys.executable, "-c", WATCHED, *arguments, "--port", str(self.port)]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)


def test_no_compile_after_ready(tmp_path):
    product = WatchedProduct(["up", "--exchange", "demo", "--data-dir", str(tmp_path / "data")], tmp_path)
    product.wait_ready()
    product.until("/tickers", lambda page: len(page["tickers"]) == 8 and all(t["last"] for t in page["tickers"]))
    before = product.json("/ohlcv/demo/BTC-USDT/1m?limit=1")["candles"]
    catalogue = product.json("/indicators/catalogue")["indicators"]
    names = ",".join(one["name"] for one in catalogue)
    assert product.json(f"/indicators/demo/BTC-USDT/1m?series={names}&limit=50")["series"]
    for timeframe in ("1s", "5m", "1h", "1d"):
        product.json(f"/ohlcv/demo/ETH-USDT/{timeframe}?limit=100")
    # The first minute that ends brings final candles of every kind of row.
    deadline = time.monotonic() + 70
    while product.json("/ohlcv/demo/BTC-USDT/1m?limit=1")["candles"][-1]["open_time"] == before[-1]["open_time"]:
        assert time.monotonic() < deadline, product.text()
        time.sleep(0.5)
    time.sleep(3)
    assert product.stop() == 0, product.text()
    told = json.loads([line for line in product.text().splitlines() if line.startswith("{")][-1])
    assert told["compiled after ready"] == 0
    assert told["waiting at ready"] == told["waiting at end"] == []
    assert told["warm"] >= 23
