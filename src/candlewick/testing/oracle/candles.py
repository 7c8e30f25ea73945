"""Candles from trades the slow way: every trade kept, every candle computed from its trades when it is asked for.

It says what the candle operator must say, by other means: no slots, no cascade, no cold entries. Times are ns.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from candlewick.contracts.base import Message, Origin
from candlewick.contracts.collector import Progress, Side, TradeBatch, TradeIds
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, RECEIVE_TIMES, CandleBatch
from candlewick.contracts.timeframes import SECONDS, open_of

NS = 1_000_000_000
DAY = 86_400 * NS
MINUTE = 60 * NS
FRAMES = tuple(s for s in SECONDS.values() if s > 60)
MAX_PROVEN_JUMP = 31 * DAY
FOREVER = 1 << 63


class Candle(NamedTuple):
    """One row of ``normalized.ohlcv`` in plain integers."""

    timeframe: int
    open_time: int
    revision: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    taker: int
    quote: int
    trades: int
    flags: int
    origin: int
    known_at: int


class _Trade(NamedTuple):
    ts: int
    trade_id: int
    price: int
    size: int
    buys: bool
    flags: int
    simulated: bool


class _Minute(NamedTuple):
    trades: tuple[_Trade, ...]  # none: an empty candle
    close: int
    gapped: bool
    silent: bool


def candles_of(batch: CandleBatch) -> list[Candle]:
    """The rows of a message in plain integers."""
    c = batch.columns_v1

    def wide(high: Iterable[int], low: Iterable[int]) -> list[int]:
        return [(int(h) << 64) + int(x) for h, x in zip(high, low, strict=True)]

    fields: list[Sequence[int]] = [
        c.timeframe.tolist(),
        c.open_time.tolist(),
        c.revision.tolist(),
        c.open.tolist(),
        c.high.tolist(),
        c.low.tolist(),
        c.close.tolist(),
        wide(c.volume_hi, c.volume_lo),
        wide(c.taker_hi, c.taker_lo),
        wide(c.quote_hi, c.quote_lo),
        c.trades.tolist(),
        c.flags.tolist(),
        c.origin.tolist(),
        c.known_at.tolist(),
    ]
    return [Candle(*row) for row in zip(*fields, strict=True)]


class CandleOracle:
    """Feed it the messages of one key in order; ``rows`` are the final candles and revisions, as they became known."""

    def __init__(self) -> None:
        self.rows: list[Candle] = []
        self.refused: Counter[str] = Counter()
        self.duplicates = 0
        self.watermark: int | None = None
        self.covered_from = 0
        self.newest = FOREVER
        self.next_minute = 0
        self.next_second = 0
        self.seconds: dict[int, list[_Trade]] = {}
        self.waiting: set[int] = set()
        self.final_seconds: dict[int, bool] = {}  # open time -> silent
        self.minutes: dict[int, list[_Trade]] = {}
        self.final_minutes: dict[int, _Minute] = {}
        self.revisions: dict[tuple[int, int], int] = {}
        self.ids: list[tuple[int, int]] = []  # (id, ts) of dense ids seen, by id
        self.highest = -1
        self.seen: set[tuple[int, int]] = set()
        self.gaps: list[tuple[int, int]] | None = []
        self.alive: bool | None = None
        self.alive_runs: list[list[int]] = []
        self.silences: list[list[int]] = []
        self.aggregated = False
        self.simulated = False

    def feed(self, messages: Iterable[Message]) -> "CandleOracle":
        for message in messages:
            if isinstance(message, TradeBatch):
                self._batch(message)
            elif isinstance(message, Progress):
                self._progress(message)
        return self

    def sorted_rows(self) -> list[Candle]:
        return sorted(self.rows)

    def _batch(self, batch: TradeBatch) -> None:
        c = batch.columns_v1
        self.aggregated = batch.aggregated
        flags = RECEIVE_TIMES if batch.times_received else 0
        simulated = batch.origin == Origin.SIMULATED
        columns = (c.ts_event, c.trade_id, c.price, c.size, c.side == np.uint8(Side.BUY))
        for ts, trade_id, price, size, buys in zip(*(a.tolist() for a in columns), strict=True):
            self._trade(_Trade(ts, trade_id, price, size, buys, flags, simulated), batch.ids)

    def _trade(self, t: _Trade, kind: TradeIds) -> None:
        if t.price <= 0 or t.size <= 0 or t.ts <= 0:
            self.refused["BAD_TRADE"] += 1
            return
        if self.watermark is None:
            self._begin(t.ts - 2 * NS, t.ts)
        assert self.watermark is not None
        if t.ts > self.watermark + DAY:
            self.refused["CLOCK_JUMP"] += 1
            return
        if self._is_duplicate(t, kind):
            self.duplicates += 1
            return
        if t.ts < self.watermark - DAY:
            self.refused["QUARANTINED" if kind == TradeIds.OPAQUE else "TOO_LATE"] += 1
            return
        if kind == TradeIds.DENSE:
            insort(self.ids, (t.trade_id, t.ts))
            self.gaps = None
        self.highest = max(self.highest, t.trade_id)
        self.seen.add((t.ts // MINUTE, t.trade_id))
        self.simulated = t.simulated
        self.newest = t.ts if self.newest == FOREVER else max(self.newest, t.ts)
        second, minute = t.ts // NS * NS, t.ts // MINUTE * MINUTE
        if second < self.next_second:
            self._late(t, second, minute)
            return
        self.covered_from = min(self.covered_from, t.ts)
        if t.ts - 2 * NS > self.watermark:
            self._advance(t.ts - 2 * NS)
        self.waiting.add(second)
        self.seconds.setdefault(second, []).append(t)
        self.minutes.setdefault(minute, []).append(t)

    def _is_duplicate(self, t: _Trade, kind: TradeIds) -> bool:
        if kind == TradeIds.MONOTONIC:
            return t.trade_id <= self.highest
        if kind == TradeIds.OPAQUE:
            return (t.ts // MINUTE, t.trade_id) in self.seen
        at = bisect_left(self.ids, (t.trade_id, -FOREVER))
        return at < len(self.ids) and self.ids[at][0] == t.trade_id

    def _progress(self, message: Progress) -> None:
        through, alive = message.complete_through, message.feed_alive
        if self.watermark is None:
            self._begin(through, through)
        assert self.watermark is not None
        was = self.alive
        if was and not alive and through < self.alive_runs[-1][1]:
            return  # said of a time that has been proven since, by a producer that was killed and says it again
        if alive and was and through - max(self.alive_runs[-1][1], self.watermark) > MAX_PROVEN_JUMP:
            self._falls_silent(self.alive_runs[-1][1])
            was = False
        if alive:
            if not was:
                if was is False:
                    self.silences[-1][1] = max(through, self.silences[-1][0])
                self.alive_runs.append([through, through])
            self.alive_runs[-1][1] = max(through, self.alive_runs[-1][1])
        elif was is not False:
            # Before any alive Progress the newest trade is the last sign of life.
            self._falls_silent(self.alive_runs[-1][1] if was else min(through, self.newest))
        self.alive = alive
        if through > self.watermark:
            self._advance(through)

    def _falls_silent(self, since: int) -> None:
        # Silences that meet within a minute that is not final yet are one.
        if self.silences and self.silences[-1][1] > self.next_minute:
            self.silences[-1][1] = FOREVER
        else:
            self.silences.append([since, FOREVER])

    def _begin(self, watermark: int, covered_from: int) -> None:
        self.watermark = watermark
        self.covered_from = covered_from
        self.next_minute = watermark // MINUTE * MINUTE
        self.next_second = watermark // NS * NS

    def _advance(self, watermark: int) -> None:
        self.watermark = watermark
        self.next_second = watermark // NS * NS
        for second in sorted(s for s in self.waiting if s < self.next_second):
            self.waiting.discard(second)
            self.final_seconds[second] = self._silent(second, second + NS)
            self._emit_second(second)
        while self.next_minute + MINUTE <= watermark:
            minute = self.next_minute
            self._close_minute(minute)
            self.next_minute = minute + MINUTE
            for frame in FRAMES:
                opens = open_of(minute, frame)
                if opens + frame * NS == minute + MINUTE:
                    self._emit_frame(frame, opens)

    def _close_minute(self, minute: int) -> None:
        silent, in_gap = self._silent(minute, minute + MINUTE), self._in_gap(minute, minute + MINUTE)
        if minute in self.minutes:
            self._keep_minute(minute, silent or in_gap, silent)
        elif self.final_minutes and not silent and not in_gap and self._proven(minute, minute + MINUTE):
            before = self.final_minutes[max(self.final_minutes)]
            self.final_minutes[minute] = _Minute((), before.close, False, False)
        else:
            return
        self._emit_minute(minute)

    def _keep_minute(self, minute: int, gapped: bool, silent: bool) -> None:
        trades = tuple(sorted(self.minutes[minute]))
        self.final_minutes[minute] = _Minute(trades, trades[-1].price, gapped, silent)

    def _late(self, t: _Trade, second: int, minute: int) -> None:
        final = self.final_minutes.get(minute)
        is_open = minute >= self.next_minute
        if second not in self.final_seconds:
            if is_open:
                self.final_seconds[second] = self._silent(second, second + NS)
            else:
                self.final_seconds[second] = final is None or final.silent
        self.seconds.setdefault(second, []).append(t)
        self.minutes.setdefault(minute, []).append(t)
        self._emit_second(second)
        if is_open:
            return
        silent = final is None or final.silent
        self._keep_minute(minute, silent or self._in_gap(minute, minute + MINUTE), silent)
        self._emit_minute(minute)
        close = self.final_minutes[minute].close
        changed = {(f, open_of(minute, f)) for f in FRAMES}
        k = minute + MINUTE
        while k in self.final_minutes and not self.final_minutes[k].trades and self.final_minutes[k].close != close:
            self.final_minutes[k] = _Minute((), close, False, False)
            self._emit_minute(k)
            frames = {(f, open_of(k, f)) for f in FRAMES} - changed
            changed |= {f for f in frames if not self._frame_minutes(*f, traded=True)}
            k += MINUTE
        for f, opens in sorted(changed):
            if opens + f * NS <= self.next_minute:
                self._emit_frame(f, opens)

    def _frame_minutes(self, frame: int, opens: int, *, traded: bool) -> list[_Minute]:
        if opens + frame * NS > self.next_minute + MINUTE:  # not over: nobody asks for its rows
            return []
        inside = range(opens, opens + frame * NS, MINUTE)
        chosen = self.final_minutes if len(self.final_minutes) < len(inside) else inside
        found = sorted(m for m in chosen if m in inside and m in self.final_minutes)
        return [self.final_minutes[m] for m in found if self.final_minutes[m].trades or not traded]

    def _emit_second(self, second: int) -> None:
        gapped = self.final_seconds[second] or self._in_gap(second, second + NS)
        self._emit(1, second, tuple(sorted(self.seconds[second])), 0, FINAL | (GAPPED if gapped else 0))

    def _emit_minute(self, minute: int) -> None:
        final = self.final_minutes[minute]
        self._emit(60, minute, final.trades, final.close, FINAL | (GAPPED if final.gapped else 0))

    def _emit_frame(self, frame: int, opens: int) -> None:
        inside = self._frame_minutes(frame, opens, traded=False)
        trades = tuple(t for m in inside for t in m.trades)
        whole = len(inside) == frame // 60
        if not trades and not whole:
            return
        gapped = not whole or any(m.gapped for m in inside)
        self._emit(frame, opens, trades, inside[-1].close, FINAL | (GAPPED if gapped else 0))

    def _emit(self, timeframe: int, opens: int, trades: tuple[_Trade, ...], close: int, flags: int) -> None:
        assert self.watermark is not None
        revision = self.revisions.get((timeframe, opens), -1) + 1
        self.revisions[timeframe, opens] = revision
        prices = [t.price for t in trades] or [close]
        for t in trades:
            flags |= t.flags
        simulated = any(t.simulated for t in trades) if trades else self.simulated
        self.rows.append(
            Candle(
                timeframe,
                opens,
                revision,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum(t.size for t in trades),
                sum(t.size for t in trades if t.buys),
                sum(t.price * t.size for t in trades),
                -1 if self.aggregated and trades else len(trades),
                flags if trades else flags | EMPTY,
                Origin.SIMULATED if simulated else Origin.BUILT,
                self.watermark,
            )
        )

    def _silent(self, opens: int, closes: int) -> bool:
        if opens < self.covered_from:
            return True
        return any(opens < end and closes > start for start, end in self.silences)

    def _proven(self, opens: int, closes: int) -> bool:
        if self.alive is None:
            return False
        first, last = self.alive_runs[-1] if self.alive_runs else (FOREVER, FOREVER)
        return first <= opens and (self.alive or closes <= last)

    def _in_gap(self, opens: int, closes: int) -> bool:
        if self.gaps is None and self.ids[-1][0] - self.ids[0][0] + 1 == len(self.ids):
            self.gaps = []
        if self.gaps is None:
            pairs = zip(self.ids, self.ids[1:], strict=False)
            self.gaps = [(min(a[1], b[1]), max(a[1], b[1])) for a, b in pairs if b[0] - a[0] > 1]
        return any(opens <= last and closes > first for first, last in self.gaps)
