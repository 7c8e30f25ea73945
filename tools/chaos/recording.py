"""The known input: Binance trade frames of a few symbols, drawn from a seed, as a recorder would have kept them.

Ids are dense but for what is left out on purpose (a gap for the ledger), and now and then a trade comes seconds after
its time (a gap first, then a revision of its candles).
"""

import gzip
import heapq
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PAIRS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
SYMBOLS: Final = tuple(f"{pair[:-4]}-USDT" for pair in PAIRS)
EXCHANGE: Final = "binance"
T0_MS: Final = 1_723_075_200_000  # 2024-08-08T00:00Z
RATE: Final = 3.0
_GAP_EVERY_S, _LATE_EVERY_S = 45.0, 60.0
_LATE_S: Final = (4.0, 9.0)


def write(path: Path, seed: int, seconds: float) -> int:
    """A recording of so many seconds of event time; returns how many trades it holds."""
    frames = heapq.merge(*(_ordered(_frames(pair, seed, seconds)) for pair in PAIRS))
    count = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for recv_ms, _, frame in frames:
            file.write(b"%d000000 %s\n" % (recv_ms, frame))
            count += 1
    return count


def _ordered(frames: Iterator[tuple[int, int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    return iter(sorted(frames))


def _frames(pair: str, seed: int, seconds: float) -> Iterator[tuple[int, int, bytes]]:
    """(receive ms, ordinal, frame)."""
    draw = random.Random(f"{seed} {pair}")
    ms, number, cents = float(T0_MS), draw.randrange(1, 10**6), draw.randrange(1_000, 6_000_000)
    recv = 0
    while ms < T0_MS + seconds * 1000:
        ms += draw.expovariate(RATE) * 1000
        number += 1
        cents = max(100, cents + draw.randrange(-40, 41))
        if draw.random() < 1 / (RATE * _GAP_EVERY_S):
            number += draw.randrange(1, 6)
        at, late_ms = int(ms), 0.0
        if draw.random() < 1 / (RATE * _LATE_EVERY_S):
            late_ms = draw.uniform(*_LATE_S) * 1000
        # One connection gives its frames in order; only what is late on purpose is out of it.
        recv = max(recv, at + draw.randrange(5, 80))
        trade = {
            "e": "trade", "E": at + int(late_ms), "s": pair, "t": number, "p": f"{cents / 100:.2f}000000",
            "q": f"{draw.randrange(1, 500_000) / 100_000:.5f}000", "T": at, "m": draw.random() < 0.5, "M": True,
        }  # fmt: skip
        frame = {"stream": f"{pair.lower()}@trade", "data": trade}
        yield recv + int(late_ms), number, json.dumps(frame, separators=(",", ":")).encode()
