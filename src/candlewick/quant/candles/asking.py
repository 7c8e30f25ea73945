"""Which cold entries a message will need; mostly the block of the current minute, or none."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from candlewick.contracts.base import Message
from candlewick.contracts.collector import Progress, TradeBatch, TradeIds
from candlewick.quant.candles.cold import minutes_between
from candlewick.quant.candles.layout import (
    DAY,
    FRAME_SECONDS,
    FRAMES,
    GAPS_NAME,
    H_BLOCK,
    H_COLD_GAPS,
    H_COLD_MAX_ID,
    H_GAPS,
    H_HIGH_ID,
    H_LAST_EMPTY,
    H_MINUTE_NEXT,
    H_SECOND_NEXT,
    H_WATERMARK,
    LATENESS,
    MAX_GAPS,
    MINUTE,
    NEVER,
    SECOND,
    Words,
    block_name,
    frame_name,
    frame_open,
    seen_name,
)
from candlewick.quant.compiled import kernel


@kernel("const i8[:]", "const i8[:]", "i8", "i8[:]", is_brief=True)
def survey(times: Any, ids: Any, high_id: int, answer: Any) -> None:
    """``answer``: earliest and latest time, lowest id, and how often an id is not the one after its predecessor."""
    earliest = times[0]
    latest = times[0]
    lowest = ids[0]
    before = high_id
    breaks = 0
    for i in range(times.shape[0]):
        earliest = min(earliest, times[i])
        latest = max(latest, times[i])
        lowest = min(lowest, ids[i])
        if ids[i] != before + 1:
            breaks += 1
        before = ids[i]
    answer[0] = earliest
    answer[1] = latest
    answer[2] = lowest
    answer[3] = breaks


def cold_names(hot: bytes | None, message: Message) -> list[bytes]:
    """The names of the cold entries that the operator may look at for this message."""
    if hot is None:
        return []
    state = np.frombuffer(hot, np.int64)
    if isinstance(message, Progress):
        return _current(state, message.complete_through)
    if not isinstance(message, TradeBatch):
        return []
    columns = message.columns_v1
    if len(columns.price) == 0 or state[H_WATERMARK] == NEVER:
        return []
    answer = np.empty(4, np.int64)
    survey(columns.ts_event, columns.trade_id, int(state[H_HIGH_ID]), answer)
    earliest, latest, lowest, breaks = answer.tolist()
    late = earliest < state[H_SECOND_NEXT]
    names = _late(state, columns.ts_event) if late else _current(state, latest - LATENESS)
    if message.ids == TradeIds.DENSE:
        open_gaps = int(state[H_COLD_GAPS])
        asks = open_gaps and (late or lowest <= state[H_COLD_MAX_ID])
        if asks or (breaks and state[H_GAPS] + breaks >= MAX_GAPS):
            names.append(GAPS_NAME)
    elif message.ids == TradeIds.OPAQUE:
        times = columns.ts_event
        near = times[(times > 0) & (times >= int(state[H_WATERMARK]) - DAY)]
        names.extend(seen_name(m) for m in np.unique(near // MINUTE * MINUTE).tolist())
    return names


def _current(state: Words, until: int) -> list[bytes]:
    if state[H_BLOCK] and until >= state[H_SECOND_NEXT] + SECOND:
        return [block_name(int(state[H_MINUTE_NEXT]))]
    return []


def _late(state: Words, times: Words) -> list[bytes]:
    oldest, minute_next = int(state[H_WATERMARK]) - DAY, int(state[H_MINUTE_NEXT])
    chosen = times[(times >= max(oldest, 1)) & (times < int(state[H_SECOND_NEXT]))]
    if not len(chosen):
        return _current(state, int(times.max()) - LATENESS)
    minutes = set(np.unique(chosen // MINUTE * MINUTE).tolist())
    # A trade that changes a close also changes the empty minutes behind it, as far as there are any.
    minutes.update(minutes_between(min(minutes), int(state[H_LAST_EMPTY])))
    minutes.add(minute_next)
    return [block_name(m) for m in sorted(minutes)] + list(_frames(minutes, minute_next))


def _frames(minutes: Iterable[int], minute_next: int) -> Iterable[bytes]:
    for frame in range(FRAMES):
        length = FRAME_SECONDS[frame] * SECOND
        for opens in sorted({frame_open(m, frame) for m in minutes}):
            if opens + length <= minute_next:
                yield frame_name(frame, opens)
