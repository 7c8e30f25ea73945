"""What goes wrong on purpose: halts of the venue, silences of its live feed, trades that the feed loses.

All are planned by hash of the period they fall in, so that they can be listed for any time.
"""

from typing import Protocol

import numpy as np

from candlewick.quant.market_model.chance import MASK, key_of
from candlewick.quant.market_model.columns import Halt, ModelTrades, PlannedGap, Silence

HALTS = "halts"
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
NS_PER_MS = 1_000_000
SILENCE_PERIOD_MS = 12 * 3_600_000
LOSS_PERIOD_MS = 2 * 3_600_000
MINUTE_MS = 60_000


class Tape(Protocol):
    """The part of the model that gaps are cut from."""

    @property
    def seed(self) -> int: ...

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> ModelTrades: ...


def _draw(key: int, which: int) -> int:
    """``chance.draw`` in whole Python numbers."""
    x = (key + 0x9E3779B97F4A7C15 * (which + 1)) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def halts(seed: int, start_ms: int, end_ms: int) -> tuple[Halt, ...]:
    """Planned halts that touch [start_ms, end_ms); the same windows as ``path.halt_of_week``."""
    key = int(key_of(seed, HALTS))
    found = []
    for week in range(start_ms // WEEK_MS, end_ms // WEEK_MS + 1):
        bits = _draw(key, week)
        day = week * 7 + (bits >> 8 & 0xFFFF) % 7
        opens = day * DAY_MS + (60 + (bits >> 24 & 0xFFFF) % 1300) * MINUTE_MS
        halt = Halt(opens, opens + (8 + (bits >> 40 & 0xFFFF) % 23) * MINUTE_MS)
        if halt.start_ms < end_ms and halt.end_ms > start_ms:
            found.append(halt)
    return tuple(found)


def silences(seed: int, start_ns: int, end_ns: int) -> tuple[Silence, ...]:
    """Silences that touch [start_ns, end_ns), one in each half day."""
    key = int(key_of(seed, "silences"))
    period = SILENCE_PERIOD_MS * NS_PER_MS
    found = []
    for number in range(start_ns // period, end_ns // period + 1):
        bits = _draw(key, number)
        begins = number * period + (600_000 + bits % (SILENCE_PERIOD_MS - 1_200_000)) * NS_PER_MS
        ends = begins + (25_000 + (bits >> 32) % 60_001) * NS_PER_MS
        if begins < end_ns and ends > start_ns:
            found.append(Silence(begins, ends))
    return tuple(found)


def gaps(tape: Tape, symbol: str, start_ns: int, end_ns: int) -> list[PlannedGap]:
    """Planned gaps of one symbol that touch [start_ns, end_ns), unordered; a loss never overlaps a silence."""
    quiet = silences(tape.seed, start_ns, end_ns)
    found = [_gap(tape.trades(symbol, s.start_ns, s.end_ns), symbol, "silence") for s in quiet]
    key = int(key_of(tape.seed, f"losses {symbol}"))
    period = LOSS_PERIOD_MS * NS_PER_MS
    for number in range(start_ns // period, end_ns // period + 1):
        bits = _draw(key, number)
        minute = (number * LOSS_PERIOD_MS) // MINUTE_MS + 3 + bits % (LOSS_PERIOD_MS // MINUTE_MS - 6)
        opens, closes = minute * MINUTE_MS * NS_PER_MS, (minute + 1) * MINUTE_MS * NS_PER_MS
        if closes <= start_ns or opens >= end_ns or silences(tape.seed, opens, closes):
            continue
        trades = tape.trades(symbol, opens, closes)
        count = trades.trade_id.size
        if count < 3:  # a halt
            continue
        begin = 1 + (bits >> 16) % (count - 2)
        stop = begin + 1 + (bits >> 40) % min(count - begin - 1, 12)
        found.append(_gap(trades.where(slice(begin, stop)), symbol, "lost"))
    return [gap for gap in found if gap is not None and gap.start_ns < end_ns and gap.end_ns >= start_ns]


def _gap(trades: ModelTrades, symbol: str, reason: str) -> PlannedGap | None:
    ids, times = trades.trade_id, trades.ts_event
    if not np.size(ids):
        return None
    return PlannedGap(symbol, int(ids[0]), int(ids[-1]), int(times[0]), int(times[-1]), reason)
