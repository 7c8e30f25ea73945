"""Duplicates where the hot state alone cannot tell: opaque ids, and gaps by id that moved to a cold entry."""

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.collector import TradeColumns
from candlewick.quant.candles.cold import Cold
from candlewick.quant.candles.layout import (
    C_DUPLICATES,
    C_ID_DONE,
    C_NEXT,
    C_REFUSED,
    DAY,
    DUPLICATE,
    GAP,
    GAPS_AT,
    H_COLD_FROM,
    H_COLD_GAPS,
    H_COLD_MAX_ID,
    H_COLD_TO,
    H_GAPS,
    H_MINUTE_NEXT,
    H_WATERMARK,
    MINUTE,
    OK,
    TOO_LATE,
    Words,
    seen_name,
)

Ids = NDArray[np.int64]
_EVICT = 4


def _seen(cold: Cold, minute: int) -> Ids:
    data = cold.get(seen_name(minute))
    return np.frombuffer(data, np.int64) if data else np.empty(0, np.int64)


def earlier_rows(cold: Cold, ids: Ids, times: Ids) -> Ids:
    """For each row: -2 when its minute already holds its id, else the row before with the same id and minute, or -1."""
    earlier = np.full(len(ids), -1, np.int64)
    minutes = times // MINUTE * MINUTE
    order = np.lexsort((np.arange(len(ids)), ids, minutes))
    same = (ids[order[1:]] == ids[order[:-1]]) & (minutes[order[1:]] == minutes[order[:-1]])
    earlier[order[1:][same]] = order[:-1][same]
    for minute in np.unique(minutes).tolist():
        seen = _seen(cold, minute)
        if len(seen):
            earlier[(minutes == minute) & np.isin(ids, seen)] = -2
    earlier.flags.writeable = False
    return earlier


def remember(cold: Cold, ids: Ids, times: Ids, status: NDArray[np.uint8]) -> None:
    """The accepted opaque ids of a batch join their minutes' sets."""
    taken = status == OK
    minutes = times // MINUTE * MINUTE
    for minute in np.unique(minutes[taken]).tolist():
        fresh = ids[taken & (minutes == minute)]
        cold.written[seen_name(minute)] = np.union1d(_seen(cold, minute), fresh).tobytes()


def evict(state: Words, cold: Cold) -> None:
    """Move the oldest of the hot gaps into the cold entry."""
    n = int(state[H_GAPS])
    hot = sorted(state[GAPS_AT : GAPS_AT + n * GAP].reshape(-1, GAP).tolist())
    leaving, staying = hot[:_EVICT], hot[_EVICT:]
    if state[H_COLD_TO] < state[H_MINUTE_NEXT]:
        state[H_COLD_FROM], state[H_COLD_TO] = min(leaving[0][2:]), max(leaving[0][2:])
    state[H_COLD_FROM] = min(int(state[H_COLD_FROM]), *(min(g[2:]) for g in leaving))
    state[H_COLD_TO] = max(int(state[H_COLD_TO]), *(max(g[2:]) for g in leaving))
    _keep(state, cold, cold.gaps() + leaving)
    state[GAPS_AT:] = 0
    state[GAPS_AT : GAPS_AT + len(staying) * GAP] = np.array(staying, np.int64).ravel()
    state[H_GAPS] = len(staying)


def settle_cold_gap(
    state: Words, cold: Cold, columns: TradeColumns, status: NDArray[np.uint8], control: NDArray[np.int64]
) -> None:
    """The trade at C_NEXT has an id that only the cold entry can place: fill its gap, or drop it."""
    i = int(control[C_NEXT])
    trade_id, ts = int(columns.trade_id[i]), int(columns.ts_event[i])
    gaps = cold.gaps()
    found = next((g for g in gaps if g[0] <= trade_id <= g[1]), None)
    if found is None:
        status[i] = DUPLICATE
        control[C_DUPLICATES] += 1
        control[C_NEXT] += 1
        return
    if ts < int(state[H_WATERMARK]) - DAY:
        status[i] = TOO_LATE
        control[C_REFUSED] += 1
        control[C_NEXT] += 1
        return
    gaps.remove(found)
    first, last, before, after = found
    if first < trade_id:
        gaps.append([first, trade_id - 1, before, ts])
    if trade_id < last:
        gaps.append([trade_id + 1, last, ts, after])
    _keep(state, cold, gaps)
    control[C_ID_DONE] = 1


def _keep(state: Words, cold: Cold, gaps: list[list[int]]) -> None:
    kept = cold.put_gaps(gaps)
    state[H_COLD_GAPS] = len(kept)
    state[H_COLD_MAX_ID] = kept[-1][1] if kept else 0
