"""The kernels: trades into slots, time forward, open candles out. Plain loops over the words of ``layout``.

Trades are taken one by one, each moving the watermark before the next, so nothing depends on where a batch ends.
What is rare (a late trade, a full buffer, more gaps than fit) hands control back to the caller, who goes on behind it.
"""

from typing import Any

import numpy as np

from candlewick.quant.candles.layout import (
    B_EMPTY,
    B_FINAL,
    B_GAPPED,
    B_HIDDEN,
    B_RECEIVE_TIMES,
    B_SILENT,
    B_SIMULATED,
    DAY,
    F_CLOSE,
    F_COUNTS,
    F_HIGH,
    F_LOW,
    F_OPEN,
    F_SPAN,
    F_TRADES,
    F_VOLUME,
    FRAME,
    FRAME_SECONDS,
    FRAMES,
    FRAMES_AT,
    GAP,
    GAPS_AT,
    H_ALIVE,
    H_ALIVE_FROM,
    H_ALIVE_TO,
    H_COLD_FROM,
    H_COLD_TO,
    H_COVERED_FROM,
    H_DEAD_FROM,
    H_DEAD_TO,
    H_DIRTY,
    H_GAPS,
    H_LAST_EMPTY,
    H_LAST_PRESENT,
    H_MINUTE_NEXT,
    H_PREV_CLOSE,
    H_PRICE_SCALE,
    H_PRUNE_NEXT,
    H_SECOND_NEXT,
    H_SIMULATED,
    H_SIZE_SCALE,
    H_WATERMARK,
    MINUTE,
    MINUTES_AT,
    NEVER,
    R_BITS,
    R_CLOSE,
    R_COUNTS,
    R_FIRST_MINUTE,
    R_FIRST_TS,
    R_HIGH,
    R_KNOWN_AT,
    R_LAST_MINUTE,
    R_LOW,
    R_MINUTES,
    R_OPEN,
    R_OPEN_TIME,
    R_PRICE_SCALE,
    R_REVISION,
    R_SIZE_SCALE,
    R_TIMEFRAME,
    R_TRADES,
    R_VOLUME,
    S_BITS,
    S_CLOSE,
    S_FIRST_ID,
    S_FIRST_TS,
    S_HIGH,
    S_LAST_ID,
    S_LAST_TS,
    S_LOW,
    S_OPEN,
    S_OPEN_TIME,
    S_QUOTE,
    S_TAKER,
    S_TRADES,
    S_VOLUME,
    SECOND,
    SECOND_SLOTS,
    SECONDS_AT,
    SLOT,
    WEEK_SHIFT,
)
from candlewick.quant.candles.wide import add_product, add_wide
from candlewick.quant.compiled import inlined, kernel

BUY = 1
_SUMS = 6  # volume, taker buy volume and quote volume, two words each


@inlined
def begin(state: Any, watermark: int, covered_from: int) -> None:
    """First message of a key: time starts here."""
    state[H_WATERMARK] = watermark
    state[H_SECOND_NEXT] = watermark // SECOND * SECOND
    state[H_MINUTE_NEXT] = watermark // MINUTE * MINUTE
    state[H_COVERED_FROM] = covered_from
    state[H_PRUNE_NEXT] = state[H_MINUTE_NEXT] - DAY - MINUTE


@inlined
def touched(state: Any, opens: int, closes: int) -> int:
    """Bits of a candle that overlaps silence or an open gap by id."""
    if opens < state[H_COVERED_FROM] or (opens < state[H_DEAD_TO] and closes > state[H_DEAD_FROM]):
        return B_GAPPED | B_SILENT
    for g in range(state[H_GAPS]):
        at = GAPS_AT + g * GAP
        if opens <= max(state[at + 2], state[at + 3]) and closes > min(state[at + 2], state[at + 3]):
            return B_GAPPED
    if opens <= state[H_COLD_TO] and closes > state[H_COLD_FROM]:
        return B_GAPPED
    return 0


@inlined
def add_trade(
    state: Any, at: int, opens: int, ts: int, trade_id: int, price: int, size: int, buys: bool, bits: int
) -> None:
    """One trade into the slot at ``at``; the slot is begun when it holds another candle."""
    if state[at + S_OPEN_TIME] != opens:
        for k in range(SLOT):
            state[at + k] = 0
        state[at + S_OPEN_TIME] = opens
        state[at + S_OPEN] = price
        state[at + S_HIGH] = price
        state[at + S_LOW] = price
        state[at + S_CLOSE] = price
        state[at + S_FIRST_TS] = ts
        state[at + S_FIRST_ID] = trade_id
        state[at + S_LAST_TS] = ts
        state[at + S_LAST_ID] = trade_id
    else:
        if price > state[at + S_HIGH]:
            state[at + S_HIGH] = price
        elif price < state[at + S_LOW]:
            state[at + S_LOW] = price
        last = state[at + S_LAST_TS]
        if ts > last or (ts == last and trade_id > state[at + S_LAST_ID]):
            state[at + S_CLOSE] = price
            state[at + S_LAST_TS] = ts
            state[at + S_LAST_ID] = trade_id
        else:
            first = state[at + S_FIRST_TS]
            if ts < first or (ts == first and trade_id < state[at + S_FIRST_ID]):
                state[at + S_OPEN] = price
                state[at + S_FIRST_TS] = ts
                state[at + S_FIRST_ID] = trade_id
    add_wide(state, at + S_VOLUME, np.uint64(size), 0)
    if buys:
        add_wide(state, at + S_TAKER, np.uint64(size), 0)
    add_product(state, at + S_QUOTE, price, size)
    state[at + S_TRADES] += 1
    state[at + S_BITS] |= bits


@inlined
def emit_slot(state: Any, at: int, seconds: int, bits: int, known_at: int, out: Any, n: int) -> None:
    """The candle of a slot as row ``n``."""
    row = out[n]
    row[R_TIMEFRAME] = seconds
    for k in range(12):
        row[R_OPEN_TIME + k] = state[at + k]
    row[R_REVISION] = 0
    row[R_BITS] = bits | state[at + S_BITS]
    row[R_KNOWN_AT] = known_at
    for k in range(4):
        row[R_FIRST_TS + k] = state[at + S_FIRST_TS + k]
    row[R_PRICE_SCALE] = state[H_PRICE_SCALE]
    row[R_SIZE_SCALE] = state[H_SIZE_SCALE]


@inlined
def frame_takes(state: Any, at: int, row: Any) -> None:
    """A minute's row, traded or empty, into the frame at ``at``; minutes come in order."""
    counts = state[at + F_COUNTS]
    minute = row[R_OPEN_TIME] // MINUTE
    bits = row[R_BITS]
    if bits & B_EMPTY:
        if (counts >> 32) & 0xFFFF == 0:
            for k in range(4):
                state[at + F_OPEN + k] = row[R_CLOSE]
    else:
        if (counts >> 32) & 0xFFFF == 0:
            for k in range(4):
                state[at + F_OPEN + k] = row[R_OPEN + k]
            state[at + F_SPAN] = (minute << 32) | minute
        else:
            state[at + F_HIGH] = max(state[at + F_HIGH], row[R_HIGH])
            state[at + F_LOW] = min(state[at + F_LOW], row[R_LOW])
            state[at + F_CLOSE] = row[R_CLOSE]
            state[at + F_SPAN] = (state[at + F_SPAN] >> 32 << 32) | minute
        for k in range(0, _SUMS, 2):
            add_wide(state, at + F_VOLUME + k, np.uint64(row[R_VOLUME + k]), row[R_VOLUME + k + 1])
        state[at + F_TRADES] += row[R_TRADES]
        counts += 1 << 32
    counts += 1
    if bits & B_GAPPED:
        counts += 1 << 16
    counts |= (bits & (B_RECEIVE_TIMES | B_SIMULATED)) << 48
    state[at + F_COUNTS] = counts


@inlined
def frame_bits(counts: int, minutes: int) -> int:
    """Bits of a finished frame of ``minutes`` minutes by its counts."""
    bits = B_FINAL | (counts >> 48)
    whole = counts & 0xFFFF == minutes
    if (counts >> 32) & 0xFFFF == 0:
        return bits | B_EMPTY if whole else bits | B_EMPTY | B_HIDDEN
    if not whole or (counts >> 16) & 0xFFFF > 0:
        bits |= B_GAPPED
    return bits


@inlined
def emit_frame(state: Any, at: int, frame: int, opens: int, bits: int, known_at: int, out: Any, n: int) -> None:
    """The frame at ``at`` as row ``n``."""
    row = out[n]
    row[R_TIMEFRAME] = FRAME_SECONDS[frame]
    row[R_OPEN_TIME] = opens
    for k in range(11):
        row[R_OPEN + k] = state[at + k]
    row[R_REVISION] = -1 if bits & B_HIDDEN else 0
    row[R_BITS] = bits
    row[R_KNOWN_AT] = known_at
    row[R_FIRST_MINUTE] = state[at + F_SPAN] >> 32
    row[R_LAST_MINUTE] = state[at + F_SPAN] & 0xFFFFFFFF
    row[R_MINUTES] = FRAME_SECONDS[frame] // 60
    row[R_COUNTS] = state[at + F_COUNTS]
    row[R_PRICE_SCALE] = state[H_PRICE_SCALE]
    row[R_SIZE_SCALE] = state[H_SIZE_SCALE]


@inlined
def proven(state: Any, opens: int, closes: int) -> bool:
    """Whether the feed was alive from ``opens`` to ``closes``, as far as the messages so far say."""
    if state[H_ALIVE] == 0 or state[H_ALIVE_FROM] > opens:
        return False
    return bool(state[H_ALIVE] == 1 or closes <= state[H_ALIVE_TO])


@inlined
def close_minute(state: Any, known_at: int, out: Any, n: int) -> int:
    """The first minute that is not final becomes final, and every frame that ends with it."""
    opens = state[H_MINUTE_NEXT]
    closes = opens + MINUTE
    slot = MINUTES_AT + opens // MINUTE % 2 * SLOT
    bits = touched(state, opens, closes)
    here = False
    if state[slot + S_OPEN_TIME] == opens:
        emit_slot(state, slot, 60, B_FINAL | bits, known_at, out, n)
        state[H_PREV_CLOSE] = state[slot + S_CLOSE]
        state[slot + S_OPEN_TIME] = -1
        here = True
    elif state[H_LAST_PRESENT] != NEVER and bits == 0 and proven(state, opens, closes):
        row = out[n]
        for k in range(row.shape[0]):
            row[k] = 0
        row[R_TIMEFRAME] = 60
        row[R_OPEN_TIME] = opens
        for k in range(4):
            row[R_OPEN + k] = state[H_PREV_CLOSE]
        row[R_BITS] = B_FINAL | B_EMPTY
        if state[H_SIMULATED]:
            row[R_BITS] |= B_SIMULATED
        row[R_KNOWN_AT] = known_at
        row[R_PRICE_SCALE] = state[H_PRICE_SCALE]
        row[R_SIZE_SCALE] = state[H_SIZE_SCALE]
        state[H_LAST_EMPTY] = opens
        here = True
    minute = n
    if here:
        state[H_LAST_PRESENT] = opens
        n += 1
    for frame in range(FRAMES):
        at = FRAMES_AT + frame * FRAME
        if here:
            frame_takes(state, at, out[minute])
        length = FRAME_SECONDS[frame] * SECOND
        ends = closes - WEEK_SHIFT if frame == FRAMES - 1 else closes
        if ends % length == 0:
            counts = state[at + F_COUNTS]
            if counts & 0xFFFF > 0:
                bits = frame_bits(counts, FRAME_SECONDS[frame] // 60)
                emit_frame(state, at, frame, closes - length, bits, known_at, out, n)
                n += 1
            for k in range(FRAME):
                state[at + k] = 0
    state[H_MINUTE_NEXT] = closes
    return n


@inlined
def forward(state: Any, until: int, known_at: int, out: Any, n: int) -> int:
    """Make final what closes at or before ``until``."""
    target = until // SECOND * SECOND
    while state[H_SECOND_NEXT] < target:
        oldest = 0
        for k in range(SECOND_SLOTS):
            at = SECONDS_AT + k * SLOT
            opens = state[at + S_OPEN_TIME]
            if 0 <= opens < target and (oldest == 0 or opens < state[oldest + S_OPEN_TIME]):
                oldest = at
        if oldest == 0:
            state[H_SECOND_NEXT] = target
            break
        opens = state[oldest + S_OPEN_TIME]
        emit_slot(state, oldest, 1, B_FINAL | touched(state, opens, opens + SECOND), known_at, out, n)
        n += 1
        state[oldest + S_OPEN_TIME] = -1
        state[H_SECOND_NEXT] = opens + SECOND
    while state[H_MINUTE_NEXT] + MINUTE <= until:
        n = close_minute(state, known_at, out, n)
    return n


@kernel("i8[:]", "i8", "i8", "i8[:,:]", "i8[:]", is_brief=True)
def advance(state: Any, until: int, known_at: int, out: Any, rows: Any) -> None:
    """Move finality to ``until``; ``rows[0]`` counts the rows in ``out`` and is moved on."""
    rows[0] = forward(state, until, known_at, out, rows[0])


@kernel("i8[:]", "i8", "i8", "i8", "i8", "i8", "i8", "i8", is_brief=True)
def add_to_minute(state: Any, opens: int, ts: int, trade_id: int, price: int, size: int, buys: int, bits: int) -> None:
    """A trade into the open minute at ``opens`` alone: its second was final before it came."""
    at = MINUTES_AT + opens // MINUTE % 2 * SLOT
    add_trade(state, at, opens, ts, trade_id, price, size, buys == BUY, bits)
    state[H_DIRTY] = 1
