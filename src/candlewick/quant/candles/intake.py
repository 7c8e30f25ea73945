"""The kernel that takes trades, and the one that shows the candles still open."""

from typing import Any

import numpy as np

from candlewick.quant.candles.kernels import (
    BUY,
    add_trade,
    begin,
    emit_slot,
    forward,
    frame_takes,
    touched,
)
from candlewick.quant.candles.layout import (
    B_GAPPED,
    B_RECEIVE_TIMES,
    B_SIMULATED,
    BAD,
    C_BITS,
    C_DUPLICATES,
    C_END,
    C_ID_DONE,
    C_KIND,
    C_NEXT,
    C_REFUSED,
    C_ROWS,
    C_WHY,
    CLOCK_JUMP,
    COLD_GAP,
    DAY,
    DONE,
    DUPLICATE,
    F_COUNTS,
    F_OPEN,
    FRAME,
    FRAME_SECONDS,
    FRAMES,
    FRAMES_AT,
    FULL,
    GAP,
    GAPS_AT,
    GAPS_FULL,
    H_COLD_GAPS,
    H_COLD_MAX_ID,
    H_COVERED_FROM,
    H_DIRTY,
    H_GAPS,
    H_HIGH_ID,
    H_HIGH_TS,
    H_IDS,
    H_LOW_ID,
    H_LOW_TS,
    H_MAX_TS,
    H_MINUTE_NEXT,
    H_PRICE_SCALE,
    H_SECOND_NEXT,
    H_SIMULATED,
    H_SIZE_SCALE,
    H_WATERMARK,
    LATE,
    LATENESS,
    MAX_GAPS,
    MAX_TIME,
    MINUTE,
    MINUTES_AT,
    NEVER,
    OK,
    R_BITS,
    R_KNOWN_AT,
    R_OPEN,
    R_OPEN_TIME,
    R_PRICE_SCALE,
    R_REVISION,
    R_SIZE_SCALE,
    R_TIMEFRAME,
    ROWS_A_TRADE,
    S_OPEN_TIME,
    SECOND,
    SECOND_SLOTS,
    SECONDS_AT,
    SLOT,
    TOO_LATE,
    WEEK_SHIFT,
)
from candlewick.quant.compiled import inlined, kernel

DENSE, MONOTONIC, OPAQUE = 1, 2, 3
KIND_MASK = 15

_DUP, _NEW_HIGH, _NEW_LOW, _IN_GAP, _ASK, _FIRST = -1, -2, -3, 0, -4, -5


@inlined
def place_of(state: Any, trade_id: int) -> int:
    """What a dense id is: seen, beyond the known ids, or in the gap whose number is returned."""
    if trade_id > state[H_HIGH_ID]:
        return _NEW_HIGH
    if trade_id < state[H_LOW_ID]:
        return _NEW_LOW
    for g in range(state[H_GAPS]):
        if state[GAPS_AT + g * GAP] <= trade_id <= state[GAPS_AT + g * GAP + 1]:
            return g
    if state[H_COLD_GAPS] > 0 and trade_id <= state[H_COLD_MAX_ID]:
        return _ASK
    return _DUP


@inlined
def add_gap(state: Any, first: int, last: int, before: int, after: int) -> None:
    at = GAPS_AT + state[H_GAPS] * GAP
    state[at] = first
    state[at + 1] = last
    state[at + 2] = before
    state[at + 3] = after
    state[H_GAPS] += 1


@inlined
def fill_gap(state: Any, g: int, trade_id: int, ts: int) -> None:
    """One missing id has come: its gap shrinks, splits or goes."""
    at = GAPS_AT + g * GAP
    first = state[at]
    last = state[at + 1]
    after = state[at + 3]
    if first == last:
        end = GAPS_AT + (state[H_GAPS] - 1) * GAP
        for k in range(GAP):
            state[at + k] = state[end + k]
            state[end + k] = 0
        state[H_GAPS] -= 1
    elif trade_id == first:
        state[at] = first + 1
        state[at + 2] = ts
    elif trade_id == last:
        state[at + 1] = last - 1
        state[at + 3] = ts
    else:
        state[at + 1] = trade_id - 1
        state[at + 3] = ts
        add_gap(state, trade_id + 1, last, ts, after)


@kernel(
    "i8[:]",
    "const i8[:]",
    "const i8[:]",
    "const i8[:]",
    "const i8[:]",
    "const u1[:]",
    "const i8[:]",
    "u1[:]",
    "i8[:,:]",
    "i8[:]",
    is_brief=True,
)
def take(
    state: Any, ids: Any, prices: Any, sizes: Any, times: Any, sides: Any, earlier: Any, status: Any, out: Any, c: Any
) -> None:
    """Trades ``c[C_NEXT]`` up to ``c[C_END]`` in order, until one needs the caller: ``c[C_WHY]``, ``c[C_NEXT]``.

    ``earlier`` is for opaque ids: -1, or -2 for an id seen before this batch, or the row of the same id before.
    ``status`` gets what became of each trade. LATE: the trade at C_NEXT - 1 is accepted and its candle was final.
    """
    kind = c[C_KIND]
    bits = c[C_BITS]
    n = c[C_ROWS]
    limit = out.shape[0] - ROWS_A_TRADE
    why = DONE
    i = c[C_NEXT]
    end = c[C_END]
    second_at = SECONDS_AT
    minute_at = MINUTES_AT
    second = NEVER
    minute = NEVER
    while i < end:
        ts = times[i]
        price = prices[i]
        size = sizes[i]
        trade_id = ids[i]
        if price <= 0 or size <= 0 or ts <= 0 or ts > MAX_TIME:
            status[i] = BAD
            c[C_REFUSED] += 1
            i += 1
            continue
        if n > limit:
            why = FULL
            break
        watermark = state[H_WATERMARK]
        if watermark == NEVER:
            begin(state, ts - LATENESS, ts)
            watermark = ts - LATENESS
        elif ts > watermark + DAY:
            status[i] = CLOCK_JUMP
            c[C_REFUSED] += 1
            i += 1
            continue
        fresh = state[H_IDS] == 0
        place = _FIRST
        if kind == DENSE:
            if c[C_ID_DONE] == 0 and not fresh and trade_id != state[H_HIGH_ID] + 1:
                place = place_of(state, trade_id)
                if place == _ASK:
                    why = COLD_GAP
                    break
                if place == _DUP:
                    status[i] = DUPLICATE
                    c[C_DUPLICATES] += 1
                    i += 1
                    continue
                if state[H_GAPS] == MAX_GAPS:
                    why = GAPS_FULL
                    break
        elif kind == MONOTONIC:
            if not fresh and trade_id <= state[H_HIGH_ID]:
                status[i] = DUPLICATE
                c[C_DUPLICATES] += 1
                i += 1
                continue
        else:
            same = earlier[i]
            if same == -2 or (same >= 0 and (status[same] == OK or status[same] == DUPLICATE)):
                status[i] = DUPLICATE
                c[C_DUPLICATES] += 1
                i += 1
                continue
        if ts < watermark - DAY:
            status[i] = TOO_LATE
            c[C_REFUSED] += 1
            c[C_ID_DONE] = 0
            i += 1
            continue
        if fresh:
            state[H_IDS] = kind
            state[H_HIGH_ID] = trade_id
            state[H_LOW_ID] = trade_id
            state[H_HIGH_TS] = ts
            state[H_LOW_TS] = ts
        elif kind == MONOTONIC:
            state[H_HIGH_ID] = trade_id
        elif kind == DENSE and c[C_ID_DONE] == 0:
            if place == _FIRST:
                state[H_HIGH_ID] = trade_id
                state[H_HIGH_TS] = ts
            elif place == _NEW_HIGH:
                add_gap(state, state[H_HIGH_ID] + 1, trade_id - 1, state[H_HIGH_TS], ts)
                state[H_HIGH_ID] = trade_id
                state[H_HIGH_TS] = ts
            elif place == _NEW_LOW:
                if trade_id + 1 < state[H_LOW_ID]:
                    add_gap(state, trade_id + 1, state[H_LOW_ID] - 1, ts, state[H_LOW_TS])
                state[H_LOW_ID] = trade_id
                state[H_LOW_TS] = ts
            else:
                fill_gap(state, place, trade_id, ts)
        c[C_ID_DONE] = 0
        status[i] = OK
        state[H_SIMULATED] = bits & B_SIMULATED
        i += 1
        state[H_MAX_TS] = max(state[H_MAX_TS], ts)
        if ts < state[H_SECOND_NEXT]:
            why = LATE
            break
        state[H_COVERED_FROM] = min(state[H_COVERED_FROM], ts)
        if ts - LATENESS > watermark:
            watermark = ts - LATENESS
            state[H_WATERMARK] = watermark
            if watermark >= state[H_SECOND_NEXT] + SECOND:
                n = forward(state, watermark, watermark, out, n)
        if ts < second or ts >= second + SECOND:
            second = ts // SECOND * SECOND
            second_at = SECONDS_AT + ts // SECOND % SECOND_SLOTS * SLOT
            minute = ts // MINUTE * MINUTE
            minute_at = MINUTES_AT + ts // MINUTE % 2 * SLOT
        buys = sides[i - 1] == BUY
        add_trade(state, second_at, second, ts, trade_id, price, size, buys, bits)
        add_trade(state, minute_at, minute, ts, trade_id, price, size, buys, bits)
        state[H_DIRTY] = 1
    c[C_NEXT] = i
    c[C_ROWS] = n
    c[C_WHY] = why


@inlined
def _newest(state: Any, at: int, slots: int) -> int:
    found = 0
    for k in range(slots):
        slot = at + k * SLOT
        if state[slot + S_OPEN_TIME] >= 0 and (found == 0 or state[slot + S_OPEN_TIME] > state[found + S_OPEN_TIME]):
            found = slot
    return found


@kernel("i8[:]", "i8[:,:]", "i8[:]", is_brief=True)
def show_open(state: Any, out: Any, rows: Any) -> None:
    """The newest open candle of every timeframe that has one, lower timeframe first; ``rows[0]`` is set. A frame is
    gapped when a final minute of it is missing or gapped, or when what is open of it is touched by silence or a gap."""
    n = 0
    known_at = state[H_MAX_TS]
    second = _newest(state, SECONDS_AT, SECOND_SLOTS)
    minute = _newest(state, MINUTES_AT, 2)
    if second > 0:
        opens = state[second + S_OPEN_TIME]
        emit_slot(state, second, 1, touched(state, opens, opens + SECOND), known_at, out, n)
        n += 1
    next_minute = state[H_MINUTE_NEXT]
    instant = next_minute
    if minute > 0:
        opens = state[minute + S_OPEN_TIME]
        emit_slot(state, minute, 60, touched(state, opens, opens + MINUTE), known_at, out, n)
        n += 1
        instant = max(opens, instant)
    # The minutes still open go into a copy of their frame: rows n and n + 1 hold them, the copy lies behind the state.
    copy = np.empty(FRAME, np.int64)
    older = 0
    if minute > 0:
        for k in range(2):
            slot = MINUTES_AT + k * SLOT
            if slot != minute and state[slot + S_OPEN_TIME] >= 0:
                older = slot
    for frame in range(FRAMES):
        length = FRAME_SECONDS[frame] * SECOND
        shift = WEEK_SHIFT if frame == FRAMES - 1 else 0
        opens = (instant - shift) // length * length + shift
        final_minutes = 0
        if opens <= next_minute:
            final_minutes = (next_minute - opens) // MINUTE
            for k in range(FRAME):
                copy[k] = state[FRAMES_AT + frame * FRAME + k]
        else:
            for k in range(FRAME):
                copy[k] = 0
        seen = copy[F_COUNTS] & 0xFFFF
        if older > 0 and state[older + S_OPEN_TIME] >= opens:
            emit_slot(state, older, 60, 0, known_at, out, n)
            frame_takes(copy, 0, out[n])
        if minute > 0 and state[minute + S_OPEN_TIME] >= opens:
            emit_slot(state, minute, 60, 0, known_at, out, n)
            frame_takes(copy, 0, out[n])
        counts = copy[F_COUNTS]
        if (counts >> 32) & 0xFFFF == 0:
            continue
        row = out[n]
        row[R_TIMEFRAME] = FRAME_SECONDS[frame]
        row[R_OPEN_TIME] = opens
        for k in range(11):
            row[R_OPEN + k] = copy[F_OPEN + k]
        row[R_REVISION] = 0
        row[R_BITS] = (counts >> 48) & (B_RECEIVE_TIMES | B_SIMULATED)
        row[R_BITS] |= touched(state, opens, instant + MINUTE) & B_GAPPED
        if (counts >> 16) & 0xFFFF > 0 or seen < final_minutes:
            row[R_BITS] |= B_GAPPED
        row[R_KNOWN_AT] = known_at
        row[R_PRICE_SCALE] = state[H_PRICE_SCALE]
        row[R_SIZE_SCALE] = state[H_SIZE_SCALE]
        n += 1
    rows[0] = n
