"""The candle operator: trades and progress of one key in, final candles, revisions and open candles out.

What it promises (law numbers in brackets):
  Sums are exact [1]; the same messages cut into any batches give the same rows, revisions and finality, because trades
  are taken one by one and each moves the watermark before the next is looked at [3, 4].
  Open is the price of the trade with the lowest (event time, id), close of the highest. A venue whose ids are dense
  gives them out in the order of its clock, so this is the order its own candles use, and it does not depend on the
  order of arrival within the two seconds in which a candle still waits.
  A candle is final when the watermark passes its close; ``known_at`` is the watermark that did it. It is GAPPED when
  it overlaps an open gap by id, a stretch in which the feed was not alive, or the time before the key's first message.
  Stretches of silence that meet within one minute that is not final are taken as one. A frame is GAPPED when one of
  its minutes is, or has no candle. More than MAX_GAPS open gaps by id are kept in a cold entry; until time has passed
  them, every candle in the hull of their times is GAPPED.
  The feed counts as alive from the first alive Progress after silence until a Progress says otherwise, so a collector
  that starts or reconnects says ``feed_alive=False`` first. Said of a time that has been proven since, it is a
  repetition by a producer that was killed, and changes nothing.
  A trade for a candle that was final makes a new revision of its second, minute and frames in the same step; empty
  minutes right behind it follow its close [6]. More than 24 h late it is dead-lettered: TOO_LATE, or QUARANTINED when
  its id is opaque and so may be a duplicate [7].
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Message, Origin, frozen
from candlewick.contracts.collector import Progress, Side, TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.operators import DeadLetter, Output, Step
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.topics import NORMALIZED_OHLCV, OPEN_OHLCV, RAW_MARKET_DATA
from candlewick.kernel.clock import NS_PER_MS
from candlewick.kernel.errors import Rejected
from candlewick.quant.candles import intake, layout, progress, scales
from candlewick.quant.candles import rows as rows_
from candlewick.quant.candles.asking import cold_names
from candlewick.quant.candles.blocks import MAX_RECORD, pack
from candlewick.quant.candles.cold import Cold, Row
from candlewick.quant.candles.dedupe import earlier_rows, evict, remember, settle_cold_gap
from candlewick.quant.candles.kernels import advance
from candlewick.quant.candles.late import Trade, revise
from candlewick.quant.candles.layout import (
    B_HIDDEN,
    B_RECEIVE_TIMES,
    B_SIMULATED,
    BAD,
    C_BITS,
    C_END,
    C_KIND,
    C_ROWS,
    C_WHY,
    CLOCK_JUMP,
    COLD_GAP,
    CONTROL,
    DAY,
    DONE,
    FRAME_SECONDS,
    FULL,
    GAPS_FULL,
    H_BLOCK,
    H_DIRTY,
    H_IDS,
    H_MAX_TS,
    H_MINUTE_NEXT,
    H_OPEN_SENT,
    H_PRICE_SCALE,
    H_PRUNE_NEXT,
    H_SIZE_SCALE,
    H_WATERMARK,
    LATE,
    MINUTE,
    NEVER,
    R_BITS,
    R_OPEN_TIME,
    R_REVISION,
    R_TIMEFRAME,
    ROW,
    ROW_CAPACITY,
    SECOND,
    TOO_LATE,
    Words,
    block_name,
    frame_name,
    seen_name,
)

OPEN_EVERY = 250 * NS_PER_MS
# Rows of one message; a catch-up over days is cut into several.
MAX_ROWS = 4096
# Cold entries forgotten by one step, in minutes; time passes slower than that.
PRUNE_MINUTES = 256

_NO_ROWS: NDArray[np.int64] = frozen(np.empty(0, np.int64))
_REFUSALS = {
    BAD: ("BAD_TRADE", "price, size and time of a trade must be positive"),
    CLOCK_JUMP: ("CLOCK_JUMP", "a trade must not be more than 24 h ahead of the stream's time"),
    TOO_LATE: ("TOO_LATE", "a trade must not be more than 24 h behind the stream's time"),
}
_QUARANTINED = ("QUARANTINED", "a trade without a telling id, more than 24 h late, may be a duplicate")


class IdSpaceChanged(Rejected):
    """Trades whose ids are of another kind than those the key has taken so far; duplicates could not be told."""

    code = "ID_SPACE_CHANGED"


class CandleOperator:
    """Pure over (hot, message, cold); its buffers are scratch, so one instance belongs to one thread."""

    name = "candles"
    version = 1
    consumes = (RAW_MARKET_DATA.name,)
    produces = (NORMALIZED_OHLCV.name, OPEN_OHLCV.name)

    def __init__(self) -> None:
        self._out = np.zeros((layout.ROW_CAPACITY, ROW), np.int64)
        self._packed = np.empty(MAX_RECORD * ROW_CAPACITY, np.uint8)
        self._runs = np.zeros((ROW_CAPACITY, 3), np.int64)
        self._one = np.zeros(1, np.int64)
        self._order = np.arange(ROW_CAPACITY)
        self._status = np.zeros(4096, np.uint8)

    def cold_keys(self, hot: bytes | None, message: Message) -> Sequence[bytes]:
        return cold_names(hot, message)

    def apply(self, hot: bytes | None, message: Message, cold: Mapping[bytes, bytes | None]) -> Step:
        """Raises StateVersion for a state of another version."""
        state = layout.load(hot)
        if isinstance(message, TradeBatch):
            return _Apply(self, state, message, cold).trades(message, hot)
        if isinstance(message, Progress):
            return _Apply(self, state, message, cold).progress(message)
        raise Rejected(f"the candle operator takes TradeBatch and Progress, was {type(message).__name__!r}")


class _Apply:
    """One step."""

    def __init__(
        self, own: CandleOperator, state: Words, message: TradeBatch | Progress, cold: Mapping[bytes, bytes | None]
    ) -> None:
        self.own, self.state, self.message = own, state, message
        self.cold = Cold(cold)
        self.chunks: list[Words] = []
        self.late: list[Row] = []
        self.absorbed = 0
        self.minute_at_start = int(state[H_MINUTE_NEXT])
        self.block_minute = int(state[H_MINUTE_NEXT]) if state[H_BLOCK] else NEVER
        self.dead: list[DeadLetter] = []
        self.counters: dict[str, int] = {}

    def trades(self, batch: TradeBatch, hot: bytes | None) -> Step:
        state, columns = self.state, batch.columns_v1
        identity = int(batch.ids) | (16 if batch.aggregated else 0)
        if state[H_IDS] not in {0, identity}:
            return self._refuse_all(IdSpaceChanged.code, "trade ids changed their kind", hot)
        prices, sizes = columns.price, columns.size
        if state[H_PRICE_SCALE] != columns.price_scale or state[H_SIZE_SCALE] != columns.size_scale:
            try:
                prices, sizes = scales.align(state, columns)
            except scales.ScaleChanged as error:
                return self._refuse_all(error.code, error.detail, hot)
        self.cold.price_scale, self.cold.size_scale = int(state[H_PRICE_SCALE]), int(state[H_SIZE_SCALE])
        n = len(prices)
        control = np.empty(CONTROL, np.int64)
        control[:] = 0
        control[C_END] = n
        control[C_KIND] = batch.ids
        control[C_BITS] = bits = (B_RECEIVE_TIMES if batch.times_received else 0) | (
            B_SIMULATED if batch.origin == Origin.SIMULATED else 0
        )
        earlier = _NO_ROWS
        if batch.ids == TradeIds.OPAQUE:
            earlier = earlier_rows(self.cold, columns.trade_id, columns.ts_event)
        status = self.own._status[:n] if n <= len(self.own._status) else np.zeros(n, np.uint8)
        run, arguments = (
            intake.take,
            (
                state,
                columns.trade_id,
                prices,
                sizes,
                columns.ts_event,
                columns.side,
                earlier,
                status,
                self.own._out,
                control,
            ),
        )
        run(*arguments)
        late = 0
        while control[C_WHY] != DONE:
            why = int(control[C_WHY])
            if why == LATE:
                late += 1
                self._absorb(int(control[C_ROWS]))
                i = int(control[0]) - 1
                trade = Trade(
                    int(columns.trade_id[i]),
                    int(prices[i]),
                    int(sizes[i]),
                    int(columns.ts_event[i]),
                    int(columns.side[i]) == Side.BUY,
                    bits,
                )
                self.late += revise(state, self.cold, trade)
            elif why == FULL:
                self._drain(int(control[C_ROWS]))
                control[C_ROWS] = 0
            elif why == GAPS_FULL:
                evict(state, self.cold)
            elif why == COLD_GAP:
                settle_cold_gap(state, self.cold, columns, status, control)
            run(*arguments)
        if state[H_IDS]:
            state[H_IDS] = identity
        if batch.ids == TradeIds.OPAQUE:
            remember(self.cold, columns.trade_id, columns.ts_event, status)
        refused, duplicates = int(control[layout.C_REFUSED]), int(control[layout.C_DUPLICATES])
        self.counters["trades"] = n - refused - duplicates
        for name, count in (("duplicates", duplicates), ("late", late), ("refused", refused)):
            if count:
                self.counters[name] = count
        if refused:
            self._refuse_rows(batch, status)
        due = state[H_DIRTY] and int(state[H_MAX_TS]) - int(state[H_OPEN_SENT]) >= OPEN_EVERY
        return self._step(int(control[C_ROWS]), bool(due))

    def progress(self, message: Progress) -> Step:
        state = self.state
        until = message.complete_through
        if not 0 < until <= layout.MAX_TIME:
            self.dead.append(DeadLetter("BAD_PROGRESS", f"complete_through must be a time, was {until!r}", message))
            return self._step(0, False)
        self.cold.price_scale, self.cold.size_scale = int(state[H_PRICE_SCALE]), int(state[H_SIZE_SCALE])
        progress.hear(state, until, message.feed_alive)
        rows = self.own._one
        rows[0] = 0
        if until > state[H_WATERMARK]:
            state[H_WATERMARK] = until
            while True:
                piece = min(until, int(state[H_MINUTE_NEXT]) + DAY)
                advance(state, piece, until, self.own._out, rows)
                if piece == until:
                    break
                self._drain(int(rows[0]))
                rows[0] = 0
                progress.skip(state, until)
        return self._step(int(rows[0]), bool(state[H_DIRTY]))

    def _absorb(self, count: int) -> None:
        """Rows that became final since the last call go to the cold entries."""
        first = self.absorbed
        if first == count:
            return
        own, oldest = self.own, int(self.state[H_WATERMARK]) - DAY
        pack(own._out, first, count, oldest, own._packed, own._runs, own._one)
        for minute, start, end in own._runs[: int(own._one[0])].tolist():
            self.cold.append(minute, own._packed[start:end].tobytes())
        if self.state[H_MINUTE_NEXT] != self.minute_at_start:
            for row in own._out[first:count]:
                seconds = int(row[R_TIMEFRAME])
                if seconds > 60 and int(row[R_OPEN_TIME]) + seconds * SECOND > oldest:
                    self.cold.put_frame(row)
        self.absorbed = count

    def _drain(self, count: int) -> None:
        self._absorb(count)
        self.chunks.append(self.own._out[:count].copy())
        self.absorbed = 0

    def _step(self, count: int, show_open: bool) -> Step:
        state, own = self.state, self.own
        self._absorb(count)
        outputs: list[Output] = []
        if count or self.chunks or self.late:
            rows, order = self._ordered(count)
            outputs.extend(
                self._output(NORMALIZED_OHLCV.name, rows, order[start : start + MAX_ROWS], H_WATERMARK)
                for start in range(0, len(order), MAX_ROWS)
            )
            self.counters["candles"] = len(order)
            if self.late:
                self.counters["revisions"] = int((rows[order, R_REVISION] > 0).sum())
        if show_open:
            intake.show_open(state, own._out, own._one)
            if own._one[0]:
                outputs.append(self._output(OPEN_OHLCV.name, own._out, own._order[: int(own._one[0])], H_MAX_TS))
            state[H_DIRTY] = 0
            state[H_OPEN_SENT] = state[H_MAX_TS]
        self._prune()
        cold = self.cold.finish()
        current = int(state[H_MINUTE_NEXT])
        state[H_BLOCK] = int(self.block_minute == current or cold.get(block_name(current)) is not None)
        return Step(layout.store(state), cold, outputs, self.dead, self.counters)

    def _ordered(self, count: int) -> tuple[Words, NDArray[np.int64]]:
        """All rows of the step and the order in which they leave: timeframe, open time, revision."""
        own = self.own
        if not self.chunks and not self.late:
            if self.state[H_MINUTE_NEXT] == self.minute_at_start:  # seconds alone, already in order
                return own._out, own._order[:count]
            rows = own._out[:count]
        else:
            parts = [*self.chunks, own._out[:count]]
            if self.late:
                parts.append(np.array(self.late, np.int64).reshape(-1, ROW))
            rows = np.concatenate(parts)
        order = np.lexsort((rows[:, R_REVISION], rows[:, R_OPEN_TIME], rows[:, R_TIMEFRAME]))
        hidden = (rows[order, R_BITS] & B_HIDDEN) != 0
        return np.ascontiguousarray(rows), order[~hidden]

    def _output(self, topic: str, rows: Words, order: NDArray[np.int64], time: int) -> Output:
        state, message = self.state, self.message
        columns = rows_.columns(
            rows, order, bool(state[H_IDS] & 16), int(state[H_PRICE_SCALE]), int(state[H_SIZE_SCALE])
        )
        return Output(topic, CandleBatch(message.exchange, message.symbol, columns), int(state[time]))

    def _prune(self) -> None:
        """Forget what no trade may revise any more."""
        state = self.state
        if state[H_WATERMARK] == NEVER:
            return
        oldest = int(state[H_WATERMARK]) - DAY
        minute = int(state[H_PRUNE_NEXT])
        if minute + MINUTE > oldest:
            return
        written = self.cold.written
        for _ in range(PRUNE_MINUTES):
            closes = minute + MINUTE
            if closes > oldest:
                break
            written[block_name(minute)] = None
            if int(state[H_IDS]) & 15 == TradeIds.OPAQUE:
                written[seen_name(minute)] = None
            for frame, seconds in enumerate(FRAME_SECONDS):
                opens = closes - seconds * SECOND
                if layout.frame_open(opens, frame) == opens:
                    written[frame_name(frame, opens)] = None
            minute = closes
        state[H_PRUNE_NEXT] = minute

    def _refuse_all(self, code: str, detail: str, hot: bytes | None) -> Step:
        n = len(self.message.columns_v1.price) if isinstance(self.message, TradeBatch) else 0
        return Step(
            layout.store(self.state) if hot is None else hot,
            {},
            (),
            (DeadLetter(code, detail, self.message),),
            {"refused": n},
        )

    def _refuse_rows(self, batch: TradeBatch, status: NDArray[np.uint8]) -> None:
        c = batch.columns_v1
        for what, reason in _REFUSALS.items():
            chosen = np.flatnonzero(status == what)
            if not len(chosen):
                continue
            code, detail = _QUARANTINED if what == TOO_LATE and batch.ids == TradeIds.OPAQUE else reason
            columns = TradeColumns(
                frozen(c.trade_id[chosen]),
                frozen(c.price[chosen]),
                frozen(c.size[chosen]),
                frozen(c.ts_event[chosen]),
                frozen(c.ts_recv[chosen]),
                frozen(c.side[chosen]),
                c.price_scale,
                c.size_scale,
            )
            refused = TradeBatch(
                batch.exchange,
                batch.symbol,
                batch.ids,
                batch.aggregated,
                batch.origin,
                batch.times_received,
                columns,
            )
            self.dead.append(DeadLetter(code, detail, refused))
