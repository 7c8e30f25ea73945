"""The timeframes that exist. A day opens at 00:00 UTC, a week on Monday."""

from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.errors import Rejected


class UnknownTimeframe(Rejected):
    """A timeframe that no candle is built for."""

    code = "UNKNOWN_TIMEFRAME"


SECONDS: dict[str, int] = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "4h": 14_400,
    "1d": 86_400,
    "1w": 604_800,
}
NAMES: dict[int, str] = {seconds: name for name, seconds in SECONDS.items()}

# 1970-01-01 was a Thursday; the first Monday came four days later.
_WEEK_SHIFT_NS = 4 * 86_400 * NS_PER_SECOND


def seconds_of(name: str) -> int:
    """Length of a timeframe by its name. Raises UnknownTimeframe."""
    try:
        return SECONDS[name]
    except KeyError:
        raise UnknownTimeframe(f"timeframe must be one of {', '.join(SECONDS)}, was {name!r}") from None


def open_of(ts_ns: int, seconds: int) -> int:
    """Open time (ns) of the candle of this timeframe that holds the instant ``ts_ns``."""
    shift = _WEEK_SHIFT_NS if seconds == SECONDS["1w"] else 0
    length = seconds * NS_PER_SECOND
    return (ts_ns - shift) // length * length + shift
