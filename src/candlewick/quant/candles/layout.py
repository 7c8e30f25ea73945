"""Where everything lies: the words of a key's hot state, of a candle row, and the names of its cold entries.

Hot state is one int64 array, little-endian, stored as its bytes; unused gap slots at its end are cut off, so it is
1.8 kB without and 2 kB with open gaps. 128-bit sums lie as (low, high) words; the low word holds the bits of a uint64.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from candlewick.kernel.errors import Corrupt

Words = NDArray[np.int64]

VERSION = 1

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
WEEK_SHIFT = 4 * DAY
LATENESS = 2 * SECOND
HORIZON = DAY
# Beyond this a jump of progress is no proof that the feed lived through it; it also bounds the work of one step.
MAX_PROVEN_JUMP = 31 * DAY
# Times beyond are no times (year 2116), and sums with a day or a frame stay inside int64.
MAX_TIME = 1 << 62
NEVER = -(1 << 63)
FOREVER = (1 << 63) - 1

# Frames built from minutes, shortest first.
FRAME_SECONDS = (180, 300, 900, 1800, 3600, 14_400, 86_400, 604_800)
FRAMES = len(FRAME_SECONDS)

# Header words.
(
    H_VERSION,
    H_WATERMARK,
    H_MAX_TS,
    H_SECOND_NEXT,  # open time of the first second that is not final
    H_MINUTE_NEXT,  # the same of minutes
    H_ALIVE,  # 0 nothing said yet, 1 alive, 2 not alive
    H_ALIVE_FROM,
    H_ALIVE_TO,
    H_DEAD_FROM,
    H_DEAD_TO,
    H_COVERED_FROM,
    H_HIGH_ID,
    H_HIGH_TS,
    H_LOW_ID,
    H_LOW_TS,
    H_IDS,  # 0 no trade yet, else TradeIds, + 16 when aggregated
    H_PRICE_SCALE,
    H_SIZE_SCALE,
    H_PREV_CLOSE,
    H_LAST_PRESENT,  # newest final minute that has a candle
    H_LAST_EMPTY,  # newest final minute whose candle is empty
    H_GAPS,
    H_COLD_GAPS,  # how many open gaps lie in the cold entry
    H_COLD_MAX_ID,
    H_COLD_FROM,  # hull of the times of cold gaps that may still touch a candle that is not final
    H_COLD_TO,
    H_OPEN_SENT,
    H_DIRTY,
    H_SIMULATED,
    H_PRUNE_NEXT,
    H_BLOCK,  # 1 when the cold block of the minute H_MINUTE_NEXT exists
    H_SPARE,
) = range(32)

# A slot: one candle that still takes trades.
(
    S_OPEN_TIME,
    S_OPEN,
    S_HIGH,
    S_LOW,
    S_CLOSE,
    S_VOLUME,
    S_VOLUME_HI,
    S_TAKER,
    S_TAKER_HI,
    S_QUOTE,
    S_QUOTE_HI,
    S_TRADES,
    S_FIRST_TS,
    S_FIRST_ID,
    S_LAST_TS,
    S_LAST_ID,
    S_BITS,
) = range(17)
SLOT = 17
SECOND_SLOTS = 3  # the watermark trails the newest trade by two seconds, so three seconds can be open
MINUTE_SLOTS = 2

# A frame: the final minutes of the frame that holds H_MINUTE_NEXT.
F_OPEN, F_HIGH, F_LOW, F_CLOSE, F_VOLUME, F_TAKER, F_QUOTE, F_TRADES, F_SPAN, F_COUNTS = 0, 1, 2, 3, 4, 6, 8, 10, 11, 12
FRAME = 13

# A gap by id: first and last missing id, times of the trades before and after.
GAP = 4
MAX_GAPS = 8

SECONDS_AT = 32
MINUTES_AT = SECONDS_AT + SECOND_SLOTS * SLOT
FRAMES_AT = MINUTES_AT + MINUTE_SLOTS * SLOT
GAPS_AT = FRAMES_AT + FRAMES * FRAME
STATE_WORDS = GAPS_AT + MAX_GAPS * GAP

# A row: one candle as kernels emit it. Rows of frames hold their span and counts where others hold first and last.
(
    R_TIMEFRAME,
    R_OPEN_TIME,
    R_OPEN,
    R_HIGH,
    R_LOW,
    R_CLOSE,
    R_VOLUME,
    R_VOLUME_HI,
    R_TAKER,
    R_TAKER_HI,
    R_QUOTE,
    R_QUOTE_HI,
    R_TRADES,
    R_REVISION,
    R_BITS,
    R_KNOWN_AT,
    R_FIRST_TS,
    R_FIRST_ID,
    R_LAST_TS,
    R_LAST_ID,
    R_PRICE_SCALE,
    R_SIZE_SCALE,
) = range(22)
R_FIRST_MINUTE, R_LAST_MINUTE, R_MINUTES, R_COUNTS = R_FIRST_TS, R_FIRST_ID, R_LAST_TS, R_LAST_ID
ROW = 22

# Bits of a row; the low byte is what a message's ``flags`` carry.
B_FINAL, B_GAPPED, B_EMPTY, B_RECEIVE_TIMES = 1, 2, 4, 8
B_SIMULATED = 256
B_SILENT = 512  # gapped for good: the feed was not alive or had not begun
B_HIDDEN = 1024  # counted, but no candle: a frame without trades that was not alive throughout

# What became of a trade.
OK, DUPLICATE, BAD, CLOCK_JUMP, TOO_LATE = 0, 1, 2, 3, 4
# Why a kernel came back before the end of its batch.
DONE, LATE, FULL, GAPS_FULL, COLD_GAP = 0, 1, 2, 3, 4

# Words by which the trade kernel and its caller speak.
C_NEXT, C_END, C_KIND, C_BITS, C_ROWS, C_WHY, C_DUPLICATES, C_REFUSED, C_ID_DONE = range(9)
CONTROL = 9

ROW_CAPACITY = 8192
# One trade moves time by at most a day: 1,440 minutes, their frames (1,013), and the seconds.
ROWS_A_TRADE = 2600


class StateVersion(Corrupt):
    """Stored operator state that this version cannot read."""

    code = "STATE_VERSION"


def new_state() -> Words:
    """The state of a key that has seen nothing."""
    state = np.zeros(STATE_WORDS, np.int64)
    state[H_VERSION] = VERSION
    state[[H_WATERMARK, H_MAX_TS, H_LAST_PRESENT, H_LAST_EMPTY, H_OPEN_SENT]] = NEVER
    state[[H_ALIVE_FROM, H_ALIVE_TO]] = NEVER
    state[[H_DEAD_FROM, H_COLD_FROM]] = FOREVER
    state[[H_DEAD_TO, H_COLD_TO]] = NEVER
    state[[H_PRICE_SCALE, H_SIZE_SCALE]] = -1
    state[SECONDS_AT:FRAMES_AT:SLOT] = -1
    return state


def load(hot: bytes | None) -> Words:
    """A writable state from its bytes. Raises StateVersion."""
    if hot is None:
        return new_state()
    words, rest = divmod(len(hot), 8)
    if rest or hot[0] != VERSION or not GAPS_AT <= words <= STATE_WORDS:
        raise StateVersion(
            f"candle state must be version {VERSION} in {8 * GAPS_AT} to {8 * STATE_WORDS} bytes, "
            f"was {hot[:1].hex()!r} in {len(hot)}",
            hint="Rebuild the state by replaying the log",
        )
    state = np.empty(STATE_WORDS, np.int64)  # numpy.zeros would let go of the interpreter, and wait to get it back
    state[:words] = np.frombuffer(hot, np.int64)
    state[words:] = 0
    return state


def store(state: Words) -> bytes:
    """The bytes of a state."""
    return state[: GAPS_AT + GAP * int(state[H_GAPS])].tobytes()


def frame_open(ts: int, frame: int) -> int:
    """Open time of the frame (by its place in FRAME_SECONDS) that holds ``ts``."""
    length = FRAME_SECONDS[frame] * SECOND
    shift = WEEK_SHIFT if frame == FRAMES - 1 else 0
    return (ts - shift) // length * length + shift


def block_name(minute: int) -> bytes:
    """Cold entry of one minute: its final seconds, and its own candle once final."""
    return b"m" + struct.pack(">q", minute)


def frame_name(frame: int, open_time: int) -> bytes:
    """Cold entry of one finished frame."""
    return b"f" + struct.pack(">Bq", frame, open_time)


def seen_name(minute: int) -> bytes:
    """Cold entry of the opaque trade ids seen in one minute."""
    return b"h" + struct.pack(">q", minute)


GAPS_NAME = b"g"
