"""What to fetch for a symbol: recent candles of every timeframe, the minutes first, only what is not there yet."""

from typing import Final

import msgspec

from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.services.history.domain.gaps import MINUTE_S

ORDER: Final = ("1m", "5m", "15m", "1h", "4h", "1d", "30m", "3m", "1w")
"""The chart opens with the first ones."""


class Wanted(msgspec.Struct, frozen=True):
    """Open times [start, end) of one timeframe."""

    timeframe: str
    start_ns: int
    end_ns: int


def wanted(timeframes: tuple[str, ...], venue_now_ns: int, minutes: int, candles: int) -> list[Wanted]:
    """Closed candles (by venue time) of each timeframe that the venue serves."""
    plan = []
    for name in ORDER:
        if name not in timeframes:
            continue
        seconds = SECONDS[name]
        count = minutes if seconds == MINUTE_S else candles // 2 if name == "3m" else candles
        end = open_of(venue_now_ns, seconds)
        if count:
            plan.append(Wanted(name, max(0, end - count * seconds * NS_PER_SECOND), end))
    return plan


def pages(start_ns: int, end_ns: int, timeframe_s: int, most: int) -> list[tuple[int, int]]:
    """[start, end) in pages of at most ``most`` candles, newest first."""
    step = timeframe_s * NS_PER_SECOND * most
    found = []
    while end_ns > start_ns:
        found.append((max(start_ns, end_ns - step), end_ns))
        end_ns -= step
    return found
