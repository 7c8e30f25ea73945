"""Compiles the numeric kernels before a process calls itself ready, and says so when it takes time [18]."""

import sys
import time
from importlib import import_module

from candlewick.quant import compiled

# Packages with kernels, and the module that brings them all.
_EVERY_SESSION = {"candlewick.quant.candles": "operator", "candlewick.quant.indicators": "registry"}
_OF_VENUE = {
    "demo": {"candlewick.quant.market_model": "model"},
    "binance": {"candlewick.adapters.venues.binance": "scan"},
}
_WORTH_SAYING_S = 1.5


def warm(venue: str = "") -> float:
    """Compile or load every kernel that a session with this venue calls; returns seconds.

    Says one line on standard error before it compiles, and one behind it when that took time.
    """
    started = time.perf_counter()
    packages = _EVERY_SESSION | _OF_VENUE.get(venue, {})
    for package, module in packages.items():
        import_module(f"{package}.{module}")
    import_module("candlewick.quant.indicators.registry").catalogue()
    fresh = not all(compiled.is_cached(package) for package in packages)
    if fresh:
        print("compiling numeric kernels, once for this machine and version ...", file=sys.stderr, flush=True)
    for package in packages:
        compiled.warm_all(package)
    seconds = time.perf_counter() - started
    if fresh and seconds > _WORTH_SAYING_S:
        print(f"compiled in {seconds:.1f} s", file=sys.stderr, flush=True)
    return seconds
