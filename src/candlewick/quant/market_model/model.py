"""The demo market as a whole: ask it about any symbol at any instant; equal questions have equal answers, for ever."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from candlewick.contracts.market import Instrument
from candlewick.quant.compiled import warm_all
from candlewick.quant.market_model import interruptions
from candlewick.quant.market_model.book import fill_book
from candlewick.quant.market_model.chance import key_of
from candlewick.quant.market_model.columns import (
    Floats,
    Halt,
    Ints,
    Keys,
    ModelBook,
    ModelCandles,
    ModelTrades,
    PlannedGap,
    Silence,
)
from candlewick.quant.market_model.errors import BadDepth, OutOfTime, UnknownModelSymbol
from candlewick.quant.market_model.path import DAYS, HOURS, MINUTES, fill_block, fill_day
from candlewick.quant.market_model.symbols import DEFAULT, SymbolProfile
from candlewick.quant.market_model.tape import fill_candles, fill_trades, size_quantiles

MINUTE_MS = 60_000
DAY_MS = MINUTES * MINUTE_MS
NS_PER_MS = 1_000_000
LAST_MS = 7_258_118_400_000  # 2200-01-01
KEPT_PATHS = 64  # a day's takes 35 kB


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """Prices and first trade ids at the n + 1 ends, and variances, of the n days of a block or minutes of a day."""

    x: Floats
    mass: Floats
    first: Ints

    @classmethod
    def empty(cls, n: int) -> "_Path":
        return cls(np.empty(n + 1), np.empty(n), np.empty(n + 1, dtype=np.int64))

    def frozen(self) -> "_Path":
        for array in (self.x, self.mass, self.first):
            array.setflags(write=False)
        return self


class MarketModel:
    """A seeded, deterministic market. Pure: the same seed and the same question give the same bytes on any machine.

    Times are ``[start, end)``. It knows the future as well as the past: whoever plays it live asks up to now. A few
    days' paths are kept between calls; one instance is not for two threads at once.
    """

    def __init__(self, seed: int = 1, symbols: Sequence[SymbolProfile] = DEFAULT) -> None:
        self.seed = seed
        self._profiles = {p.symbol: p for p in symbols}
        self._numbers = {p.symbol: p.numbers() for p in symbols}
        self._path_keys = {p.symbol: self._keys_of(p.symbol) for p in symbols}
        self._tape_keys = {p.symbol: _keys(seed, f"fair {p.symbol}", f"trades {p.symbol}") for p in symbols}
        self._book_keys = {p.symbol: _keys(seed, f"fair {p.symbol}", f"book {p.symbol}") for p in symbols}
        self._quantiles = size_quantiles()
        self._hours = HOURS.copy()
        self._hours.setflags(write=False)
        self._blocks: OrderedDict[tuple[str, int], _Path] = OrderedDict()
        self._days: OrderedDict[tuple[str, int], _Path] = OrderedDict()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols traded, as BASE-QUOTE."""
        return tuple(self._profiles)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What a venue would list; the exchange is ``demo``."""
        return tuple(p.instrument for p in self._profiles.values())

    def correlation(self) -> Floats:
        """The correlation of log returns that the symbols are built for, in the order of ``symbols``."""
        share = np.array([p.market_share for p in self._profiles.values()])
        target: Floats = np.outer(share, share)
        np.fill_diagonal(target, 1.0)
        return target

    def candles(self, symbol: str, start_ms: int, end_ms: int, *, halted: bool = False) -> ModelCandles:
        """One-minute candles with open time in [start_ms, end_ms) that have trades.

        Minutes of a halt have none; with ``halted`` they are there, flat at the last price, as they are built from a
        feed that stays alive and says nothing was traded.
        """
        profile = self._profile(symbol)
        _, end = _minutes(start_ms, end_ms)
        start = min(-(-start_ms // MINUTE_MS), end)
        pieces = [np.empty((8, 0), dtype=np.int64)]
        firsts = [np.empty(0, dtype=np.int64)]
        for day, low, high in _days_of(start, end):
            path = self._day(symbol, day)
            piece = np.empty((8, high - low), dtype=np.int64)
            fill_candles(
                self._tape_keys[symbol], self._numbers[symbol], self._quantiles, day, path.x, path.mass, path.first,
                low, high, piece,
            )  # fmt: skip
            pieces.append(piece)
            firsts.append(path.first[low:high])
        rows, first = np.concatenate(pieces, axis=1), np.concatenate(firsts)
        times = np.arange(start, end, dtype=np.int64) * MINUTE_MS
        traded = rows[7] > 0
        if halted:
            last = self._close_before(symbol, start) if traded.size and not traded[0] else 0
            for at in np.flatnonzero(~traded):
                rows[:4, at] = rows[3, at - 1] if at else last
        elif not traded.all():
            rows, first, times = rows[:, traded], first[traded], times[traded]
        return ModelCandles(
            times, rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7], first,
            profile.price_scale, profile.size_scale,
        )  # fmt: skip

    def trades(self, symbol: str, start_ns: int, end_ns: int) -> ModelTrades:
        """Trades with event time in [start_ns, end_ns), by id."""
        self._profile(symbol)
        start, end = _minutes(start_ns // NS_PER_MS, -(-end_ns // NS_PER_MS))
        found = self._trades_of_minutes(symbol, start, end)
        low, high = np.searchsorted(found.ts_event, (start_ns, end_ns), side="left")
        return found.where(slice(int(low), int(high)))

    def trades_by_id(self, symbol: str, first_id: int, last_id: int) -> ModelTrades:
        """Trades ``first_id`` to ``last_id``, both inclusive; ids below 1 do not exist."""
        self._profile(symbol)
        first_id = max(first_id, 1)
        start = self._minute_of_id(symbol, first_id)
        end = self._minute_of_id(symbol, max(last_id, first_id)) + 1
        found = self._trades_of_minutes(symbol, start, end)
        low, high = np.searchsorted(found.trade_id, (first_id, last_id + 1), side="left")
        return found.where(slice(int(low), int(high)))

    def next_id(self, symbol: str, t_ns: int) -> int:
        """Id of the first trade at or after an instant."""
        self._profile(symbol)
        minute = _minutes(t_ns // NS_PER_MS, t_ns // NS_PER_MS)[0]
        found = self._trades_of_minutes(symbol, minute, minute + 1)
        before = int(np.searchsorted(found.ts_event, t_ns, side="left"))
        return int(self._day(symbol, minute // MINUTES).first[minute % MINUTES]) + before

    def book(self, symbol: str, t_ns: int, levels: int = 20) -> ModelBook:
        """The best levels of both sides at an instant; ``levels=1`` for the top alone.

        Trades of that millisecond print at its best bid or ask, or behind it when an order sweeps several levels.
        """
        if levels < 1:
            raise BadDepth(f"a book has at least one level, was {levels!r}")
        profile = self._profile(symbol)
        ms = t_ns // NS_PER_MS
        _minutes(ms, ms)
        for halt in self.halts(ms, ms + 1):
            ms = halt.start_ms - 1
        path = self._day(symbol, ms // DAY_MS)
        out = np.empty((4, levels), dtype=np.int64)
        fill_book(self._book_keys[symbol], self._numbers[symbol], self._quantiles, ms, path.x, path.mass, levels, out)
        kept = int(np.count_nonzero(out[0]))
        return ModelBook(out[0, :kept], out[1, :kept], out[2], out[3], profile.price_scale, profile.size_scale)

    def halts(self, start_ms: int, end_ms: int) -> tuple[Halt, ...]:
        """Planned halts of the venue that touch [start_ms, end_ms): one a week, 8 to 30 minutes."""
        return interruptions.halts(self.seed, start_ms, end_ms)

    def silences(self, start_ns: int, end_ns: int) -> tuple[Silence, ...]:
        """Times within [start_ns, end_ns) at which the live feed says nothing: about two a day, 25 to 85 seconds."""
        return interruptions.silences(self.seed, start_ns, end_ns)

    def planned_gaps(self, start_ns: int, end_ns: int, symbol: str | None = None) -> tuple[PlannedGap, ...]:
        """Trades that the live feed withholds, in order of time, for gaps that touch [start_ns, end_ns).

        Of one symbol or of all. Each symbol loses a few ids about every two hours and everything during a silence.
        """
        chosen = self.symbols if symbol is None else (self._profile(symbol).symbol,)
        found = [gap for one in chosen for gap in interruptions.gaps(self, one, start_ns, end_ns)]
        return tuple(sorted(found, key=lambda gap: (gap.start_ns, gap.symbol)))

    def live_trades(self, symbol: str, start_ns: int, end_ns: int) -> ModelTrades:
        """Trades in [start_ns, end_ns) as the live feed delivers them: without those of the planned gaps."""
        found = self.trades(symbol, start_ns, end_ns)
        kept = np.ones(found.trade_id.size, dtype=np.bool_)
        for gap in self.planned_gaps(start_ns, end_ns, symbol):
            kept &= (found.trade_id < gap.first_id) | (found.trade_id > gap.last_id)
        return found.where(kept)

    def warm(self) -> int:
        """Compile every kernel of the model, or load it from the cache; return how many."""
        return warm_all("candlewick.quant.market_model")

    def _profile(self, symbol: str) -> SymbolProfile:
        try:
            return self._profiles[symbol]
        except KeyError:
            known = ", ".join(self._profiles)
            raise UnknownModelSymbol(f"the demo market trades {known}, was {symbol!r}") from None

    def _keys_of(self, symbol: str) -> Keys:
        return _keys(
            self.seed,
            "level", f"level {symbol}", "cascade", f"cascade {symbol}", "news", f"news {symbol}",
            "day", f"day {symbol}", interruptions.HALTS,
        )  # fmt: skip

    def _block(self, symbol: str, number: int) -> _Path:
        kept = self._blocks.get((symbol, number))
        if kept is None:
            kept = _Path.empty(DAYS)
            fill_block(self._path_keys[symbol], self._numbers[symbol], number, kept.x, kept.mass, kept.first)
            _keep(self._blocks, (symbol, number), kept.frozen())
        return kept

    def _day(self, symbol: str, day: int) -> _Path:
        kept = self._days.get((symbol, day))
        if kept is None:
            block = self._block(symbol, day // DAYS)
            at = day % DAYS
            kept = _Path.empty(MINUTES)
            fill_day(
                self._path_keys[symbol], self._numbers[symbol], self._hours, day,
                block.x[at], block.x[at + 1], block.mass[at], block.first[at], block.first[at + 1],
                kept.x, kept.mass, kept.first,
            )  # fmt: skip
            _keep(self._days, (symbol, day), kept.frozen())
        return kept

    def _close_before(self, symbol: str, minute: int) -> int:
        for halt in self.halts(minute * MINUTE_MS, minute * MINUTE_MS + 1):
            before = self.candles(symbol, halt.start_ms - MINUTE_MS, halt.start_ms)
            return int(before.close[-1])
        return 0

    def _minute_of_id(self, symbol: str, trade_id: int) -> int:
        profile = self._profiles[symbol]
        number = (trade_id - 1) // (profile.trades_a_minute * MINUTES * DAYS)
        _minutes(number * DAYS * DAY_MS, number * DAYS * DAY_MS)
        day = int(np.searchsorted(self._block(symbol, number).first, trade_id, side="right")) - 1
        first = self._day(symbol, number * DAYS + day).first
        minute = int(np.searchsorted(first, trade_id, side="right")) - 1
        return (number * DAYS + day) * MINUTES + minute

    def _trades_of_minutes(self, symbol: str, start: int, end: int) -> ModelTrades:
        profile = self._profiles[symbol]
        spans = [(day, low, high, self._day(symbol, day)) for day, low, high in _days_of(start, end)]
        counts = [int(path.first[high] - path.first[low]) for _, low, high, path in spans]
        total = sum(counts)
        price, size, ts = (np.empty(total, dtype=np.int64) for _ in range(3))
        side = np.empty(total, dtype=np.uint8)
        first_id = int(spans[0][3].first[spans[0][1]]) if spans else 1
        at = 0
        for (day, low, high, path), count in zip(spans, counts, strict=True):
            here = slice(at, at + count)
            fill_trades(
                self._tape_keys[symbol], self._numbers[symbol], self._quantiles, day, path.x, path.mass, path.first,
                low, high, price[here], size[here], ts[here], side[here],
            )  # fmt: skip
            at += count
        ids = np.arange(first_id, first_id + total, dtype=np.int64)
        return ModelTrades(ids, price, size, ts, side, profile.price_scale, profile.size_scale)


def _keys(seed: int, *purposes: str) -> Keys:
    keys = np.array([key_of(seed, purpose) for purpose in purposes], dtype=np.uint64)
    keys.setflags(write=False)
    return keys


def _keep(store: OrderedDict[tuple[str, int], _Path], key: tuple[str, int], path: _Path) -> None:
    store[key] = path
    if len(store) > KEPT_PATHS:
        store.popitem(last=False)


def _minutes(start_ms: int, end_ms: int) -> tuple[int, int]:
    """First epoch minute of [start_ms, end_ms) and the one after its last."""
    if not 0 <= start_ms <= end_ms <= LAST_MS:
        raise OutOfTime(f"times must lie between 1970 and 2200 and run forwards, was {(start_ms, end_ms)!r}")
    return start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)


def _days_of(start: int, end: int) -> list[tuple[int, int, int]]:
    days = range(start // MINUTES, -(-end // MINUTES)) if start < end else range(0)
    return [(day, max(start - day * MINUTES, 0), min(end - day * MINUTES, MINUTES)) for day in days]
