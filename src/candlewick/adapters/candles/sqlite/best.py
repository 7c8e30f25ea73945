"""One row an open time, the best of those known [8, 15]."""

import numpy as np

from candlewick.adapters.candles.sqlite.rows import Table, as_they_are, picked
from candlewick.quant.candles.merge import rank


def best(table: Table) -> Table:
    """Rows sorted by open time, each open time once, chosen by ``quant.candles.merge.rank``."""
    times = table["open_time"]
    if len(times) < 2 or (times[1:] > times[:-1]).all():
        return table
    order = np.lexsort((rank(as_they_are(table)), times))
    ordered = times[order]
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    return picked(table, order[is_last])
