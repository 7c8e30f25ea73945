"""Kernels give the same bits on a plain processor without optimisation as on this one with all its instructions."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib
import numpy as np
from types import SimpleNamespace
from candlewick.quant.indicators.registry import catalogue, compute
from candlewick.quant.market_model.model import DAY_MS, MarketModel

model = MarketModel(seed=1)
made = hashlib.sha256()
start = 20_775 * DAY_MS
for symbol in model.symbols[:3]:
    candles = model.candles(symbol, start, start + DAY_MS)
    trades = model.trades(symbol, start * 1_000_000, (start + 3_600_000) * 1_000_000)
    book = model.book(symbol, (start + 12_345) * 1_000_000)
    for value in (candles, trades, book):
        for name in value.__slots__:
            made.update(np.asarray(getattr(value, name)).tobytes())
    prices = {name: getattr(candles, name) / 10.0**candles.price_scale for name in ("open", "high", "low", "close")}
    bars = SimpleNamespace(open_time=candles.open_time, volume=candles.volume / 10.0**candles.size_scale, **prices)
    for spec in catalogue():
        for values in compute(spec.bind(), bars).values():
            made.update(values.tobytes())
print(made.hexdigest())
"""


def digest(**settings):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | settings, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_any_machine(tmp_path):
    plain = digest(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_OPT="0", NUMBA_CACHE_DIR=str(tmp_path))
    assert plain == digest()
