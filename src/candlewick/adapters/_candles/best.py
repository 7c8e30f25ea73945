"""One row an open time, the best of those known [8, 15]."""

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters._candles.rows import Table, as_they_are, joined, picked
from candlewick.quant.candles.merge import rank


def best(table: Table) -> Table:
    """Rows sorted by open time, each open time once, chosen by ``quant.candles.merge.rank``."""
    times = table["open_time"]
    if len(times) < 2 or (times[1:] > times[:-1]).all():
        return table
    return picked(table, _standing(table))


def _standing(table: Table) -> NDArray[np.int64]:
    """The places of the rows that ``best`` keeps, by open time. Of rows that come sorted only those are compared whose
    open time comes more than once: a few repaired candles do not cost the sorting of a year."""
    times = table["open_time"]
    if (times[1:] < times[:-1]).any():
        return _last_of_each(table)
    same = times[1:] == times[:-1]
    is_kept = np.ones(len(times), np.bool_)
    is_kept[1:] &= ~same
    is_kept[:-1] &= ~same
    repeated = np.flatnonzero(~is_kept)
    is_kept[repeated[_last_of_each(picked(table, repeated))]] = True
    return np.flatnonzero(is_kept)


def _last_of_each(table: Table) -> NDArray[np.int64]:
    """The place of the highest rank of each open time, of equal ranks the last."""
    times = table["open_time"]
    order = np.lexsort((rank(as_they_are(table)), times))
    ordered = times[order]
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    return order[is_last]


def overlaid(rows: Table, count: int, recent: Table) -> Table:
    """``best`` of the first ``count`` rows and of ``recent``, which are few; both sorted by open time.

    ``rows`` has room for ``recent`` behind its first ``count`` rows and is written to: where the recent ones replace a
    few or lie behind the others, as they nearly always do, a year is not sorted and copied for them.
    """
    times = rows["open_time"][:count]
    if not len(recent["open_time"]):
        return best(picked(rows, slice(0, count)))
    if not (times[1:] > times[:-1]).all():
        standing = _standing(picked(rows, slice(0, count)))
        rows = picked(rows, np.append(standing, np.arange(count, len(rows["open_time"]))))
        count = len(standing)
        times = rows["open_time"][:count]
    place = np.searchsorted(times, recent["open_time"])
    is_there = np.zeros(len(place), np.bool_)
    inside = place < count
    is_there[inside] = times[place[inside]] == recent["open_time"][inside]
    if is_there.any():
        replaced = np.unique(place[is_there])
        chosen = best(joined([picked(rows, replaced), picked(recent, is_there)]))
        for name, column in rows.items():
            column[replaced] = chosen[name]
    fresh = best(picked(recent, ~is_there))
    added = len(fresh["open_time"])
    if added and count and fresh["open_time"][0] < times[-1]:
        between = np.searchsorted(times, fresh["open_time"])
        return {name: np.insert(column[:count], between, fresh[name]) for name, column in rows.items()}
    for name, column in rows.items():
        column[count : count + added] = fresh[name]
    return picked(rows, slice(0, count + added))
