"""How good the minutes of a symbol are over a stretch of time."""

import msgspec
import numpy as np

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import CandleColumns
from candlewick.services.history.domain import rows
from candlewick.services.history.domain.gaps import MINUTE_NS, OPEN, Gap


class Quality(msgspec.Struct, frozen=True):
    """Counts of 1m candles. ``score`` is the share of expected minutes that are there and whole, 0..100; ``late`` are
    candles that a late trade revised, ``duplicates`` rows that came again since this service started."""

    score: float
    expected: int
    present: int
    final: int
    repaired: int
    gapped: int
    gaps: int
    late: int
    duplicates: int


def quality(columns: CandleColumns, start_ns: int, end_ns: int, entries: list[Gap], duplicates: int) -> Quality:
    """Of the minutes with open times in [start, end)."""
    times = columns.open_time
    expected = max(0, (end_ns - start_ns) // MINUTE_NS)
    gapped = int(rows.is_gapped(columns).sum())
    in_gap = np.zeros(len(times), bool)
    for gap in entries:
        if gap.state != OPEN:
            in_gap |= (times + MINUTE_NS > gap.start_ns) & (times < gap.end_ns)
    revised = columns.revision > 0
    built = (columns.origin == Origin.BUILT) | (columns.origin == Origin.SIMULATED)
    repaired = (columns.origin == Origin.REPAIRED) | (revised & built & in_gap)
    return Quality(
        score=round(100.0 * (len(times) - gapped) / expected, 2) if expected else 100.0,
        expected=expected,
        present=len(times),
        final=len(times),
        repaired=int(repaired.sum()),
        gapped=gapped,
        gaps=len(entries),
        late=int((revised & built & ~in_gap).sum()),
        duplicates=duplicates,
    )
