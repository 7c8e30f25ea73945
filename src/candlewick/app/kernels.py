"""Compiles the numeric kernels before a process calls itself ready, and says so when it takes time [18]."""

import sys
import time
from importlib import import_module

from candlewick.quant import compiled

MODULES = ("candlewick.quant.candles.operator", "candlewick.quant.indicators.registry", "candlewick.quant.market_model")
_WORTH_SAYING_S = 1.5


def warm() -> float:
    """Compile or load every kernel; returns seconds. Says one line on standard error when it had to compile."""
    started = time.perf_counter()
    for module in MODULES:
        import_module(module)
    import_module("candlewick.quant.indicators.registry").catalogue()
    fresh = not compiled.is_cached()
    if fresh:
        print("compiling numeric kernels, once for this machine and version ...", file=sys.stderr, flush=True)
    compiled.warm_all()
    seconds = time.perf_counter() - started
    if fresh and seconds > _WORTH_SAYING_S:
        print(f"compiled in {seconds:.1f} s", file=sys.stderr, flush=True)
    return seconds
