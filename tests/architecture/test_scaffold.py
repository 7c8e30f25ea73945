"""What ``./dev new`` makes passes the gates before anyone has touched it."""

import os
import shutil
import subprocess
import sys

import pytest

from tools import scaffold

pytestmark = pytest.mark.slow
MADE = ["src/candlewick/services/alpha", "src/candlewick/quant/indicators/library/momentum.py"]


def run(tree, *command):
    env = {**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "MYPYPATH": str(tree / "src")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_service_and_indicator_are_formatted_linted_and_typed(copied_tree, root):
    run(copied_tree, "ruff", "format", "--check", *MADE, "tests/unit/services/alpha")
    run(copied_tree, "ruff", "check", *MADE, "tests/unit/services/alpha")
    # what is known of the rest of the tree is known of its copy: paths are relative and times are kept
    if (root / ".mypy_cache").is_dir():
        shutil.copytree(root / ".mypy_cache", copied_tree / ".mypy_cache")
    run(copied_tree, "mypy", *MADE)


def test_a_new_service_s_own_test_passes(copied_tree):
    assert "3 passed" in run(copied_tree, "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/services/alpha")


def test_a_new_service_is_registered_before_the_gateway(copied_tree):
    code = "from candlewick.app import registry; s = registry.load('alpha'); print(registry.SERVICES[-1], s.place)"
    env = {**os.environ, "PYTHONPATH": str(copied_tree / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gateway", "30"]


RUN = """
import asyncio, sys
from pathlib import Path
import httpx, numpy as np
from candlewick.app.configuration import read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime.host import running
from candlewick.contracts.stream import FINAL, CandleBatch, CandleColumns

one = {name: np.ones(1, np.int64) for name in CandleColumns.__struct_fields__}
for name, kind in (("timeframe", np.int32), ("revision", np.int32), ("flags", np.uint8), ("origin", np.uint8),
                   ("volume_lo", np.uint64), ("taker_lo", np.uint64), ("quote_lo", np.uint64)):
    one[name] = one[name].astype(kind)
one |= {"timeframe": np.array([60], np.int32), "flags": np.array([FINAL], np.uint8), "close": np.array([12345])}
batch = CandleBatch("binance", "BTC-USDT", CandleColumns(**(one | {"price_scale": 2, "size_scale": 0})))

async def main(folder):
    config = read(data_dir=folder, environ={})
    async with running(("alpha",), config, EmbeddedResources(folder, config.app, mode="simulated")) as host:
        alpha = host.hosted["alpha"]
        transport = httpx.ASGITransport(app=alpha.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://alpha") as http:
            missing = await http.get("/alpha/binance/BTC-USDT")
            print(missing.status_code, missing.json()["code"])
            await alpha._context.messaging.publish("normalized.ohlcv", [(batch, 1, 1)])
            for _ in range(500):
                found = await http.get("/alpha/binance/BTC-USDT")
                if found.status_code == 200:
                    break
                await asyncio.sleep(0.02)
            print(found.status_code, found.json()["close"])

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_new_service_takes_its_facts_keeps_its_table_and_answers(copied_tree, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(copied_tree / "src")}
    command = [sys.executable, "-c", RUN, str(tmp_path / "data")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stdout.splitlines() if " unit=" not in line]  # not the log's lines
    assert said == ["404 ALPHA_NO_CLOSE_YET", "200 123.45"], done.stderr


def test_a_new_indicator_is_found_and_right(copied_tree):
    code = (
        "import numpy as np; from types import SimpleNamespace as N\n"
        "from candlewick.quant.indicators.registry import compute, parse\n"
        "c = np.array([1.0, 2, 4, np.nan, 8, 16, 32]); t = np.arange(7) * 60_000\n"
        "candles = N(open_time=t, open=c, high=c, low=c, close=c, volume=c)\n"
        "print(compute(parse('momentum:2'), candles)['momentum'].tolist())"
    )
    env = {**os.environ, "PYTHONPATH": str(copied_tree / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[nan, nan, 3.0, nan, nan, nan, 24.0]"


def test_nothing_is_overwritten(copied_tree):
    with pytest.raises(scaffold.Refused, match="'alpha'"):
        scaffold.new_service(copied_tree, "alpha", 32)
    with pytest.raises(scaffold.Refused, match="'momentum'"):
        scaffold.new_indicator(copied_tree, "momentum")
