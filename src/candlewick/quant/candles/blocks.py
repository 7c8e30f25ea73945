"""Cold blocks: the final seconds of one minute and its own candle, packed to about 50 bytes each.

A record is: place in the minute (60 for the minute itself), bits, revision + 1, both scales, then variable-length
integers for prices (relative to the open), sums, trades and the first and last trade. Records are appended as candles
become final; a revision writes the block anew.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.quant.candles.layout import (
    B_EMPTY,
    MINUTE,
    NEVER,
    R_BITS,
    R_CLOSE,
    R_FIRST_ID,
    R_FIRST_TS,
    R_HIGH,
    R_LAST_ID,
    R_LAST_TS,
    R_LOW,
    R_OPEN,
    R_OPEN_TIME,
    R_PRICE_SCALE,
    R_REVISION,
    R_SIZE_SCALE,
    R_TIMEFRAME,
    R_TRADES,
    R_VOLUME,
    ROW,
    SECOND,
    Words,
)
from candlewick.quant.compiled import inlined, kernel

MINUTE_PLACE = 60
# 5 fixed bytes, 8 integers of at most 10 bytes, 3 sums of at most 19, bits and revision.
MAX_RECORD = 160

_7 = np.uint64(7)
_57 = np.uint64(57)
_63 = np.uint64(63)
_1 = np.uint64(1)
_LOW7 = np.uint64(127)
_0 = np.uint64(0)


@inlined
def _put(buffer: Any, at: int, low: Any, high: Any) -> int:
    while high != _0 or low > _LOW7:
        buffer[at] = (low & _LOW7) | np.uint64(128)
        low = (low >> _7) | (high << _57)
        high >>= _7
        at += 1
    buffer[at] = low
    return at + 1


@inlined
def _put_signed(buffer: Any, at: int, value: int) -> int:
    return _put(buffer, at, np.uint64((value << 1) ^ (value >> 63)), _0)  # type: ignore[no-any-return]


@kernel("i8[:,:]", "i8", "i8", "i8", "u1[:]", "i8[:,:]", "i8[:]", is_brief=True)
def pack(rows: Any, first: int, last: int, oldest: int, buffer: Any, runs: Any, count: Any) -> None:
    """Rows [first, last) of seconds and minutes into ``buffer``; runs of one minute are listed as (minute, from, to).

    Rows of other timeframes, and of minutes that closed at ``oldest`` or before, are skipped. ``count[0]`` is the
    number of runs.
    """
    at = 0
    n = 0
    for i in range(first, last):
        row = rows[i]
        if row[R_TIMEFRAME] > 60:
            continue
        opens = row[R_OPEN_TIME]
        minute = opens // MINUTE * MINUTE
        if minute + MINUTE <= oldest:
            continue
        if n == 0 or runs[n - 1, 0] != minute:
            runs[n, 0] = minute
            runs[n, 1] = at
            n += 1
        place = MINUTE_PLACE if row[R_TIMEFRAME] == 60 else (opens - minute) // SECOND
        buffer[at] = place
        at += 1
        at = _put(buffer, at, np.uint64(row[R_BITS]), _0)
        at = _put(buffer, at, np.uint64(row[R_REVISION] + 1), _0)
        buffer[at] = row[R_PRICE_SCALE]
        buffer[at + 1] = row[R_SIZE_SCALE]
        at += 2
        at = _put_signed(buffer, at, row[R_OPEN])
        if not row[R_BITS] & B_EMPTY:
            at = _put_signed(buffer, at, row[R_HIGH] - row[R_OPEN])
            at = _put_signed(buffer, at, row[R_LOW] - row[R_OPEN])
            at = _put_signed(buffer, at, row[R_CLOSE] - row[R_OPEN])
            for k in range(R_VOLUME, R_TRADES, 2):
                at = _put(buffer, at, np.uint64(row[k]), np.uint64(row[k + 1]))
            at = _put_signed(buffer, at, row[R_TRADES])
            at = _put_signed(buffer, at, row[R_FIRST_TS] - opens)
            at = _put_signed(buffer, at, row[R_LAST_TS] - row[R_FIRST_TS])
            at = _put_signed(buffer, at, row[R_FIRST_ID])
            at = _put_signed(buffer, at, row[R_LAST_ID] - row[R_FIRST_ID])
        runs[n - 1, 2] = at
    count[0] = n


@inlined
def _get(buffer: Any, pair: Any, at: int) -> int:
    """Reads one integer of up to 128 bits into ``pair`` (low, high); returns where the next begins."""
    low = _0
    high = _0
    shift = _0
    while True:
        byte = np.uint64(buffer[at])
        at += 1
        part = byte & _LOW7
        if shift < np.uint64(64):
            low |= part << shift
            if shift > _57:
                high |= part >> (np.uint64(64) - shift)
        else:
            high |= part << (shift - np.uint64(64))
        shift += _7
        if byte <= _LOW7:
            break
    pair[0] = np.int64(low)
    pair[1] = np.int64(high)
    return at


@inlined
def _get_signed(buffer: Any, pair: Any, at: int) -> int:
    at = _get(buffer, pair, at)
    raw = np.uint64(pair[0])
    pair[0] = np.int64(raw >> _1) ^ -np.int64(raw & _1)
    return at


@kernel("const u1[:]", "i8", "i8[:,:]", "i8[:]", is_brief=True)
def unpack(buffer: Any, minute: int, rows: Any, count: Any) -> None:
    """The records of one block as rows; ``count[0]`` is their number. ``known_at`` is not kept and reads 0."""
    pair = np.empty(2, np.int64)
    at = 0
    n = 0
    while at < buffer.shape[0]:
        row = rows[n]
        for k in range(row.shape[0]):
            row[k] = 0
        place = np.int64(buffer[at])
        opens = minute if place == MINUTE_PLACE else minute + place * SECOND
        row[R_TIMEFRAME] = 60 if place == MINUTE_PLACE else 1
        row[R_OPEN_TIME] = opens
        at = _get(buffer, pair, at + 1)
        row[R_BITS] = pair[0]
        at = _get(buffer, pair, at)
        row[R_REVISION] = pair[0] - 1
        row[R_PRICE_SCALE] = np.int64(buffer[at])
        row[R_SIZE_SCALE] = np.int64(buffer[at + 1])
        at = _get_signed(buffer, pair, at + 2)
        row[R_OPEN] = pair[0]
        row[R_HIGH] = row[R_OPEN]
        row[R_LOW] = row[R_OPEN]
        row[R_CLOSE] = row[R_OPEN]
        if not row[R_BITS] & B_EMPTY:
            at = _get_signed(buffer, pair, at)
            row[R_HIGH] += pair[0]
            at = _get_signed(buffer, pair, at)
            row[R_LOW] += pair[0]
            at = _get_signed(buffer, pair, at)
            row[R_CLOSE] += pair[0]
            for k in range(R_VOLUME, R_TRADES, 2):
                at = _get(buffer, pair, at)
                row[k] = pair[0]
                row[k + 1] = pair[1]
            at = _get_signed(buffer, pair, at)
            row[R_TRADES] = pair[0]
            at = _get_signed(buffer, pair, at)
            row[R_FIRST_TS] = opens + pair[0]
            at = _get_signed(buffer, pair, at)
            row[R_LAST_TS] = row[R_FIRST_TS] + pair[0]
            at = _get_signed(buffer, pair, at)
            row[R_FIRST_ID] = pair[0]
            at = _get_signed(buffer, pair, at)
            row[R_LAST_ID] = row[R_FIRST_ID] + pair[0]
        n += 1
    count[0] = n


def read_block(data: bytes, minute: int) -> Words:
    """The rows of one cold block."""
    rows = np.empty((64, ROW), np.int64)
    count = np.zeros(1, np.int64)
    unpack(np.frombuffer(data, np.uint8), minute, rows, count)
    return rows[: int(count[0])]


def write_block(rows: Words) -> bytes:
    """One cold block of rows of one minute."""
    buffer: NDArray[np.uint8] = np.empty(MAX_RECORD * len(rows), np.uint8)
    runs = np.zeros((1, 3), np.int64)
    pack(rows, 0, len(rows), NEVER, buffer, runs, np.zeros(1, np.int64))
    return buffer[: int(runs[0, 2])].tobytes()
