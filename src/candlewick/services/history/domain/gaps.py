"""The gap ledger's rules: what an entry is, how suspicions merge, what must be asked again, what the answer means."""

from typing import Final

import msgspec
import numpy as np

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.timeframes import NAMES, SECONDS, open_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.services.history.domain import rows

MINUTE_S: Final = SECONDS["1m"]
MINUTE_NS: Final = MINUTE_S * NS_PER_SECOND
_DAY_NS: Final = 86_400 * NS_PER_SECOND

REASONS: Final[dict[str, str]] = {
    "missing_ids": "trade ids are missing",
    "venue_halt": "the venue halted trading",
    "disconnect": "the connection to the venue was lost",
    "silence": "the feed fell silent",
    "downtime": "nothing was running here",
    "joined_late": "the feed was joined within the minute",
    "no_data": "no candle came",
}
"""Why a hole is in the ledger, the most telling first."""

OPEN, REPAIRED, VERIFIED_EMPTY, LOST = "open", "repaired", "verified_empty", "lost"
STATES: Final = (OPEN, REPAIRED, VERIFIED_EMPTY, LOST)
# What the venue closes at T it may serve a moment later.
GRACE_NS: Final = 2 * NS_PER_SECOND
# 1s candles are kept for a day; a gap longer than this in them is no one's picture.
_SECONDS_MOST_NS: Final = 3600 * NS_PER_SECOND


class Gap(msgspec.Struct, frozen=True):
    """One entry. Times are ns; ``repaired`` and ``empty`` count minutes so far, ``tries`` answers without candles."""

    id: str
    exchange: str
    symbol: str
    start_ns: int
    end_ns: int
    reason: str
    state: str
    trades_missing: int
    detail: str
    detected_at: int
    closed_at: int | None = None
    tries: int = 0
    delays: int = 0
    repaired: int = 0
    empty: int = 0


class Pending(msgspec.Struct, frozen=True):
    """Candles of one timeframe that are to be asked again, open times [from, to), not before ``due_ns``."""

    gap_id: str
    timeframe_s: int
    from_ns: int
    to_ns: int
    due_ns: int


def reason_of(text: str) -> str:
    """A reason of the ledger's vocabulary."""
    return text if text in REASONS else "no_data"


def merged(gap: Gap, start_ns: int, end_ns: int, reason: str, trades_missing: int, detail: str) -> Gap:
    """The entry with one more suspicion in it."""
    order = list(REASONS)
    known = [n for n in (gap.trades_missing, trades_missing) if n >= 0]
    is_same = start_ns == gap.start_ns and end_ns == gap.end_ns
    return msgspec.structs.replace(
        gap,
        start_ns=min(gap.start_ns, start_ns),
        end_ns=max(gap.end_ns, end_ns),
        reason=min(gap.reason, reason, key=order.index),
        trades_missing=(max(known) if is_same else sum(known)) if known else -1,
        detail=gap.detail if detail in ("", gap.detail) or detail in gap.detail else f"{gap.detail}; {detail}"[:500],
    )


def touched(timeframe_s: int, start_ns: int, end_ns: int) -> tuple[int, int]:
    """Open times [from, to) of the candles that [start, end) touches."""
    first, last = open_of(start_ns, timeframe_s), open_of(max(start_ns, end_ns - 1), timeframe_s)
    return first, last + timeframe_s * NS_PER_SECOND


def to_ask(gap: Gap, now_ns: int) -> list[Pending]:
    """Every timeframe's candles that the gap touches; minutes first, then seconds, then longer ones."""
    asked = []
    for seconds in (MINUTE_S, *(s for s in sorted(NAMES) if s != MINUTE_S)):
        if seconds < MINUTE_S and (gap.end_ns - gap.start_ns > _SECONDS_MOST_NS or now_ns - gap.start_ns > _DAY_NS):
            continue
        first, end = touched(seconds, gap.start_ns, gap.end_ns)
        asked.append(Pending(gap.id, seconds, first, end, due_of(first, seconds)))
    return asked


def due_of(open_ns: int, timeframe_s: int) -> int:
    """When the candle can be asked for: a moment after its close."""
    return open_ns + timeframe_s * NS_PER_SECOND + GRACE_NS


def wait_ns(delays: int, first_s: float, most_s: float) -> int:
    """Back-off before the next try."""
    return int(min(first_s * 2 ** min(delays, 30), most_s) * NS_PER_SECOND)


class Answer(msgspec.Struct, frozen=True):
    """What the venue's candles mean for the stored ones: rows to publish as repaired and as fetched, and the open
    times the venue has no candle for."""

    repaired: CandleColumns
    fetched: CandleColumns
    agreed: int
    empty: int
    missing: tuple[int, ...]


def judge(
    gap: Gap, stored: CandleColumns, served: CandleColumns, start_ns: int, end_ns: int, timeframe_s: int, known_at: int
) -> Answer:
    """Compare what is stored with what the venue serves for open times [start, end).

    A row that stands instead of a stored one (gapped, or of other values) is REPAIRED with the next revision. A row
    where nothing is stored is REPAIRED too, except after a downtime, where it was merely not there yet (FETCHED).
    Seconds without trades are no candles.
    """
    inside = (served.open_time >= start_ns) & (served.open_time < end_ns)
    served = rows.marked(rows.picked(served, inside), known_at=known_at)
    nothing = (served.volume_hi == 0) & (served.volume_lo == 0)
    if timeframe_s < MINUTE_S:
        served = rows.picked(served, ~nothing)
        nothing = np.zeros(len(served.open_time), bool)
    _, here, there = np.intersect1d(served.open_time, stored.open_time, return_indices=True)
    is_new = np.ones(len(served.open_time), bool)
    is_new[here] = False
    revision = np.zeros(len(served.open_time), np.int64)
    revision[here] = stored.revision[there] + 1
    replaces = np.zeros(len(served.open_time), bool)
    mine, theirs = rows.picked(stored, there), rows.picked(served, here)
    replaces[here] = rows.is_gapped(mine) | ~rows.same_values(mine, theirs)
    late = is_new if gap.reason != "downtime" else np.zeros(len(is_new), bool)
    repaired = rows.marked(served, origin=Origin.REPAIRED, revision=revision)
    step = timeframe_s * NS_PER_SECOND
    holes = rows.absent(served.open_time, start_ns, end_ns, step) if timeframe_s >= MINUTE_S else []
    return Answer(
        repaired=rows.picked(repaired, replaces | late),
        fetched=rows.picked(rows.marked(served, revision=revision), is_new & ~late),
        agreed=int((~is_new & ~replaces).sum()),
        empty=int(nothing.sum()),
        missing=tuple(time for first, last in holes for time in range(first, last, step)),
    )


def outcome(gap: Gap) -> tuple[str, str]:
    """State and detail of a gap whose minutes have all been answered."""
    if gap.repaired:
        return REPAIRED, f"{gap.repaired} minutes asked from the venue again"
    if gap.empty:
        return VERIFIED_EMPTY, f"the venue has no trades in {gap.empty} minutes"
    return VERIFIED_EMPTY, "the venue's candles agree with ours"
