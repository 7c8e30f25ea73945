"""Recordings made for a test: Binance's trade frames as a recorder would have kept them."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

T0_MS = 1_723_075_200_000  # 2024-08-08T00:00Z
NS_PER_MS = 1_000_000


def trade(number: int, ms: int, price: Any = "100.00", size: Any = "0.50", pair: str = "BTCUSDT", **more: Any) -> bytes:
    """One combined-stream trade frame; ``more`` replaces fields."""
    data = {"e": "trade", "E": ms, "s": pair, "t": number, "p": price, "q": size, "T": ms, "m": False, "M": True}
    frame = {"stream": f"{pair.lower()}@trade", "data": data | more}
    return json.dumps(frame, separators=(",", ":")).encode()


def steady(count: int, *, every_ms: int = 10, first: int = 1, start_ms: int = T0_MS) -> list[tuple[int, bytes]]:
    """Good trades in a row, as (receive ms, frame)."""
    times = [start_ms + i * every_ms for i in range(count)]
    prices = [f"{100 + i % 7 / 100:.2f}" for i in range(count)]
    return [(ms, trade(first + i, ms, price)) for i, (ms, price) in enumerate(zip(times, prices, strict=True))]


def write(path: Path, frames: Iterable[tuple[int, bytes]]) -> Path:
    """A recording at ``path``, gzip where its name says so."""
    body = b"".join(b"%d %s\n" % (ms * NS_PER_MS, frame) for ms, frame in frames)
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path
