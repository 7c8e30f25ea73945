"""A trade whose candle was final: every candle it touches gets a new revision, in Python, for it is rare.

Its second, its minute, the run of empty minutes right behind (their price is the previous close), and every frame that
holds one of these. What is still open is only updated.
"""

import msgspec
import numpy as np

from candlewick.quant.candles.blocks import MINUTE_PLACE
from candlewick.quant.candles.cold import Cold, Row
from candlewick.quant.candles.kernels import add_to_minute, frame_bits, touched
from candlewick.quant.candles.layout import (
    B_EMPTY,
    B_FINAL,
    B_GAPPED,
    B_HIDDEN,
    B_RECEIVE_TIMES,
    B_SILENT,
    B_SIMULATED,
    F_COUNTS,
    FRAME,
    FRAME_SECONDS,
    FRAMES,
    FRAMES_AT,
    GAP,
    GAPS_AT,
    H_DIRTY,
    H_GAPS,
    H_LAST_EMPTY,
    H_LAST_PRESENT,
    H_MINUTE_NEXT,
    H_PREV_CLOSE,
    H_WATERMARK,
    MINUTE,
    R_BITS,
    R_CLOSE,
    R_COUNTS,
    R_FIRST_ID,
    R_FIRST_MINUTE,
    R_FIRST_TS,
    R_HIGH,
    R_KNOWN_AT,
    R_LAST_ID,
    R_LAST_MINUTE,
    R_LAST_TS,
    R_LOW,
    R_MINUTES,
    R_OPEN,
    R_OPEN_TIME,
    R_PRICE_SCALE,
    R_QUOTE,
    R_REVISION,
    R_SIZE_SCALE,
    R_TAKER,
    R_TIMEFRAME,
    R_TRADES,
    R_VOLUME,
    ROW,
    SECOND,
    Words,
    frame_open,
)
from candlewick.quant.candles.wide import join, split

_STICKY = B_RECEIVE_TIMES | B_SIMULATED
_OHLC = (R_OPEN, R_HIGH, R_LOW, R_CLOSE)


class Trade(msgspec.Struct, frozen=True):
    """One accepted trade; ``bits`` are B_RECEIVE_TIMES and B_SIMULATED."""

    trade_id: int
    price: int
    size: int
    ts: int
    buys: bool
    bits: int


def revise(state: Words, cold: Cold, trade: Trade) -> list[Row]:
    """Apply a late trade; returns the rows that changed, each with a new revision."""
    return _Late(state, cold, trade).run()


class _Late:
    def __init__(self, state: Words, cold: Cold, trade: Trade) -> None:
        self.state, self.cold, self.trade = state, cold, trade
        self.known_at = int(state[H_WATERMARK])
        self.minute_next = int(state[H_MINUTE_NEXT])
        self.rows: list[Row] = []
        self.frames: dict[tuple[int, int], Row] = {}

    def run(self) -> list[Row]:
        trade, minute = self.trade, self.trade.ts // MINUTE * MINUTE
        self.state[H_DIRTY] = 1
        block = self.cold.block(minute)
        is_open = minute >= self.minute_next
        own = block.get(MINUTE_PLACE)
        self._second(block, minute, is_open, own)
        self.cold.revise(minute)
        if is_open:
            add_to_minute(
                self.state, minute, trade.ts, trade.trade_id, trade.price, trade.size, int(trade.buys), trade.bits
            )
            return self.rows
        absent = own is None
        if own is None:
            own = self._blank(60, minute, B_SILENT)
            block[MINUTE_PLACE] = own
        empty = bool(own[R_BITS] & B_EMPTY)
        gapped = 0 if absent else int(bool(own[R_BITS] & B_GAPPED))
        self._take(own, begin=absent or empty)
        self._settle(own, MINUTE)
        gapped_by = int(bool(own[R_BITS] & B_GAPPED)) - gapped
        for frame in range(FRAMES):
            self._frame_takes(self._frame(frame, minute), own, absent, absent or empty, gapped_by)
        self._empties(minute, own[R_CLOSE])
        self._finish_frames()
        return self.rows

    def _second(self, block: dict[int, Row], minute: int, is_open: bool, own: Row | None) -> None:
        place = (self.trade.ts - minute) // SECOND
        row = block.get(place)
        begin = row is None
        if row is None:
            opens = minute + place * SECOND
            if is_open:
                silent = touched(self.state, opens, opens + SECOND) & B_SILENT
            else:
                silent = B_SILENT if own is None else own[R_BITS] & B_SILENT
            row = self._blank(1, opens, silent)
            block[place] = row
        self._take(row, begin=begin)
        self._settle(row, SECOND)

    def _blank(self, seconds: int, opens: int, bits: int) -> Row:
        row = [0] * ROW
        row[R_TIMEFRAME], row[R_OPEN_TIME], row[R_REVISION], row[R_BITS] = seconds, opens, -1, bits
        row[R_PRICE_SCALE], row[R_SIZE_SCALE] = self.cold.price_scale, self.cold.size_scale
        return row

    def _add(self, row: Row) -> None:
        trade = self.trade
        quote = trade.price * trade.size
        for k, value in ((R_VOLUME, trade.size), (R_TAKER, trade.size * trade.buys), (R_QUOTE, quote)):
            row[k], row[k + 1] = split(join(row[k], row[k + 1]) + value)
        row[R_TRADES] += 1

    def _take(self, row: Row, *, begin: bool) -> None:
        """The trade into a second or a minute."""
        trade = self.trade
        price, mark = trade.price, (trade.ts, trade.trade_id)
        if begin:
            row[R_BITS] &= B_SILENT
            for k in _OHLC:
                row[k] = price
            row[R_FIRST_TS], row[R_FIRST_ID] = mark
            row[R_LAST_TS], row[R_LAST_ID] = mark
        else:
            row[R_HIGH] = max(row[R_HIGH], price)
            row[R_LOW] = min(row[R_LOW], price)
            if mark > (row[R_LAST_TS], row[R_LAST_ID]):
                row[R_CLOSE] = price
                row[R_LAST_TS], row[R_LAST_ID] = mark
            elif mark < (row[R_FIRST_TS], row[R_FIRST_ID]):
                row[R_OPEN] = price
                row[R_FIRST_TS], row[R_FIRST_ID] = mark
        self._add(row)
        row[R_BITS] |= trade.bits

    def _settle(self, row: Row, length: int) -> None:
        """A second or minute gets its next revision, gapped by what is open now."""
        opens = row[R_OPEN_TIME]
        bits = B_FINAL | (row[R_BITS] & (_STICKY | B_SILENT))
        if bits & B_SILENT or self._in_gap(opens, opens + length):
            bits |= B_GAPPED
        row[R_BITS] = bits
        row[R_REVISION] += 1
        row[R_KNOWN_AT] = self.known_at
        self.rows.append(list(row))

    def _in_gap(self, opens: int, closes: int) -> bool:
        end = GAPS_AT + GAP * int(self.state[H_GAPS])
        hot = self.state[GAPS_AT:end].reshape(-1, GAP).tolist()
        return any(opens <= max(g[2:]) and closes > min(g[2:]) for g in (*hot, *self.cold.gaps()))

    def _empties(self, minute: int, close: int) -> None:
        """The empty minutes right behind ``minute`` take its close; so does what comes after them."""
        done, last_empty = minute, int(self.state[H_LAST_EMPTY])
        while done + MINUTE <= last_empty:
            at = done + MINUTE
            row = self.cold.block(at).get(MINUTE_PLACE)
            if row is None or not row[R_BITS] & B_EMPTY or row[R_CLOSE] == close:
                break
            for k in _OHLC:
                row[k] = close
            row[R_REVISION] += 1
            row[R_KNOWN_AT] = self.known_at
            self.rows.append(list(row))
            self.cold.revise(at)
            for frame in range(FRAMES):
                self._frame_empty(self._frame(frame, at), close)
            done = at
        if done >= int(self.state[H_LAST_PRESENT]):
            self.state[H_LAST_PRESENT] = done
            self.state[H_PREV_CLOSE] = close

    def _frame(self, frame: int, minute: int) -> Row:
        opens = frame_open(minute, frame)
        row = self.frames.get((frame, opens))
        if row is None:
            if opens + FRAME_SECONDS[frame] * SECOND > self.minute_next:
                row = self._open_frame(frame, opens)
            else:
                row = self.cold.frame(frame, opens)
                if row is None:
                    row = self._blank(FRAME_SECONDS[frame], opens, 0)
                    row[R_MINUTES] = FRAME_SECONDS[frame] // 60
            row[R_KNOWN_AT] = 0  # set once it changes
            self.frames[frame, opens] = row
        return row

    def _open_frame(self, frame: int, opens: int) -> Row:
        at = FRAMES_AT + frame * FRAME
        words = self.state[at : at + FRAME].tolist()
        row = self._blank(FRAME_SECONDS[frame], opens, 0)
        row[R_OPEN : R_OPEN + 11] = words[:11]
        row[R_FIRST_MINUTE], row[R_LAST_MINUTE] = words[11] >> 32, words[11] & 0xFFFFFFFF
        row[R_COUNTS] = words[F_COUNTS]
        return row

    def _frame_takes(self, row: Row, own: Row, appears: bool, begins: bool, gapped_by: int) -> None:
        counts, minute = row[R_COUNTS], own[R_OPEN_TIME] // MINUTE
        if (counts >> 32) & 0xFFFF == 0:
            for k in _OHLC:
                row[k] = own[k]
            row[R_FIRST_MINUTE] = row[R_LAST_MINUTE] = minute
        else:
            row[R_HIGH] = max(row[R_HIGH], own[R_HIGH])
            row[R_LOW] = min(row[R_LOW], own[R_LOW])
            if minute <= row[R_FIRST_MINUTE]:
                row[R_FIRST_MINUTE], row[R_OPEN] = minute, own[R_OPEN]
            if minute >= row[R_LAST_MINUTE]:
                row[R_LAST_MINUTE], row[R_CLOSE] = minute, own[R_CLOSE]
        counts += appears + (gapped_by << 16) + (begins << 32)
        row[R_COUNTS] = counts | (own[R_BITS] & _STICKY) << 48
        self._add(row)
        row[R_KNOWN_AT] = self.known_at

    def _frame_empty(self, row: Row, close: int) -> None:
        if (row[R_COUNTS] >> 32) & 0xFFFF == 0 and row[R_CLOSE] != close:
            for k in _OHLC:
                row[k] = close
            row[R_KNOWN_AT] = self.known_at

    def _finish_frames(self) -> None:
        for (frame, opens), row in self.frames.items():
            if row[R_KNOWN_AT] == 0:
                continue
            if opens + FRAME_SECONDS[frame] * SECOND > self.minute_next:
                at = FRAMES_AT + frame * FRAME
                words = [*row[R_OPEN : R_OPEN + 11], (row[R_FIRST_MINUTE] << 32) | row[R_LAST_MINUTE], row[R_COUNTS]]
                self.state[at : at + FRAME] = words
                continue
            row[R_BITS] = frame_bits(row[R_COUNTS], row[R_MINUTES])
            if not row[R_BITS] & B_HIDDEN:
                row[R_REVISION] += 1
                self.rows.append(row)
            self.cold.put_frame(np.array(row, np.int64))
