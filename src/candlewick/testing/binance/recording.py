"""A recording as the fake exchange's news, moved to the present."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from candlewick.testing.binance.server import FakeBinance

_QUOTES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "BUSD", "USD")


def frames(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(receive ns, event) of every whole line of ``<receive ns> <frame>`` files, in order of their names."""
    files = sorted(p for p in path.iterdir() if p.suffix == ".gz") if path.is_dir() else [path]
    for file in files:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            for line in lines:
                digits, _, raw = line.partition(" ")
                if digits.isdigit():
                    yield int(digits), json.loads(raw)


def split(name: str) -> tuple[str, str]:
    quote = next((q for q in _QUOTES if name.endswith(q) and name != q), name[-3:])
    return name[: -len(quote)], quote


async def play(server: FakeBinance, path: Path, *, speed: float = 1.0, loop: bool = False) -> int:
    """Publish a recording as if it happened now; returns how many frames. In a loop ids go on where they ended."""
    sent = 0
    while True:
        first_recv = 0
        start_ns = server.clock.now_ns()
        shift_ms = 0
        ids: dict[str, int] = {}
        for ts_recv, event in frames(path):
            if not first_recv:
                first_recv = ts_recv
                shift_ms = start_ns // 1_000_000 - ts_recv // 1_000_000
            due_ns = start_ns + int((ts_recv - first_recv) / speed)
            ahead_s = (due_ns - server.clock.now_ns()) / 1e9
            if ahead_s > 0.001:
                await asyncio.sleep(ahead_s)
            elapsed_ms = int((ts_recv - first_recv) / 1_000_000 * (1 - 1 / speed))
            _publish(server, event, shift_ms - elapsed_ms, ids)
            sent += 1
        if not loop:
            return sent


def _publish(server: FakeBinance, event: dict[str, Any], shift_ms: int, ids: dict[str, int]) -> None:
    data = event.get("data", event)
    stream = event.get("stream", "")
    name = str(data.get("s", "")) or (next(iter(server.market.symbols), "") if "lastUpdateId" in data else "")
    if not name:
        return
    if name not in server.market.symbols:
        server.market.add(*split(name), tick="0.01000000", step="0.00001000")
    symbol = server.market.symbols[name]
    for key in ("E", "T"):
        if key in data:
            data[key] += shift_ms
    if data.get("e") == "trade":
        offset = ids.setdefault(name, max(0, symbol.next_trade - data["t"]) if symbol.trades else 0)
        data["t"] += offset
        symbol.next_trade = data["t"] + 1
        symbol.trades.append(data)
    elif data.get("e") == "depthUpdate":
        offset = ids.setdefault(f"{name}@depth", max(0, symbol.update + 1 - data["U"]) if symbol.diffs else 0)
        data["U"] += offset
        data["u"] += offset
        symbol.apply(data)
        symbol.diffs += 1
    elif "lastUpdateId" in data and data["lastUpdateId"] >= symbol.update:
        symbol.apply(data)
    if stream:
        server.publish(stream, data)
