"""One row an open time, the best of those known [8, 15]."""

import numpy as np

from candlewick.adapters.candles.sqlite.rows import Table, picked
from candlewick.contracts.base import Origin
from candlewick.contracts.stream import GAPPED

_ORIGIN_RANK = np.zeros(256, np.int64)
_ORIGIN_RANK[[Origin.BUILT, Origin.SIMULATED]] = 1
_ORIGIN_RANK[Origin.REPAIRED] = 2


def best(table: Table) -> Table:
    """Rows sorted by open time, each open time once: not gapped before gapped, then the larger revision, then by
    origin (repaired before built and simulated before fetched)."""
    times = table["open_time"]
    if len(times) < 2 or (times[1:] > times[:-1]).all():
        return table
    rank = ((table["flags"] & GAPPED) == 0).astype(np.int64) << 48
    rank += table["revision"].astype(np.int64) << 8
    rank += _ORIGIN_RANK[table["origin"]]
    order = np.lexsort((rank, times))
    ordered = times[order]
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    return picked(table, order[is_last])
