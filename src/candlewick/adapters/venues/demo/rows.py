"""Candles as plain columns on their way from the model to a message: longer ones from shorter ones, past hours kept."""

from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.quant.market_model.model import MarketModel

Ints = NDArray[np.int64]
MINUTE_S: Final = SECONDS["1m"]
HOUR_S: Final = SECONDS["1h"]
DAY_NS: Final = SECONDS["1d"] * NS_PER_SECOND
_DAYS_KEPT: Final = 8 * 400  # 3 kB each


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n candles, one behind the other without a hole: prices, and sums that fit int64 (a week of the model's quote
    volume is below 2**53). ``open_time`` is ns; a candle without trades is flat at the price before."""

    open_time: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    taker: Ints
    quote: Ints
    trades: Ints

    def at(self, places: NDArray[np.bool_] | Ints) -> "Rows":
        return Rows(*(getattr(self, f.name)[places] for f in fields(self)))

    def table(self) -> Ints:
        return np.stack([getattr(self, f.name) for f in fields(self)])


def minutes(model: MarketModel, symbol: str, start_ns: int, end_ns: int) -> Rows:
    """The minutes of [start_ns, end_ns), both at a minute."""
    m = model.candles(symbol, start_ns // NS_PER_MS, end_ns // NS_PER_MS, halted=True)
    return Rows(
        m.open_time * NS_PER_MS, m.open, m.high, m.low, m.close,
        m.volume, m.taker_buy_volume, m.quote_volume, m.trades,
    )  # fmt: skip


def longer(rows: Rows, seconds: int) -> Rows:
    """Candles of ``seconds`` from all of the shorter ones inside them: from those with trades, if there are any."""
    if not rows.open_time.size:
        return rows
    first_open = open_of(int(rows.open_time[0]), seconds)
    place = (rows.open_time - first_open) // (seconds * NS_PER_SECOND)
    # Fancy indexing copies, so what follows may write. A candle without trades is its first part, flat and empty.
    out = rows.at(np.flatnonzero(np.diff(place, prepend=-1)))
    has_trades = rows.trades > 0
    traded, place = rows.at(has_trades), place[has_trades]
    if place.size:
        begins = np.flatnonzero(np.diff(place, prepend=-1))
        ends = np.append(begins[1:], place.size) - 1
        filled = place[begins]
        out.open[filled] = traded.open[begins]
        out.high[filled] = np.maximum.reduceat(traded.high, begins)
        out.low[filled] = np.minimum.reduceat(traded.low, begins)
        out.close[filled] = traded.close[ends]
        for name in ("volume", "taker", "quote", "trades"):
            getattr(out, name)[filled] = np.add.reduceat(getattr(traded, name), begins)
    return out


class PastHours:
    """Hours by whole days, remembered: a day is 1 ms of work, and 1h, 4h, 1d and 1w candles ask for the same ones."""

    def __init__(self, model: MarketModel) -> None:
        self._model = model
        self._days: OrderedDict[tuple[str, int], Ints] = OrderedDict()

    def hours(self, symbol: str, start_ns: int, end_ns: int) -> Rows:
        """The hours of [start_ns, end_ns), both at an hour. Ask only for what is over: days are remembered whole."""
        found = [np.empty((len(fields(Rows)), 0), np.int64)]
        for day in range(start_ns // DAY_NS, -(-end_ns // DAY_NS)):
            begins, ends = max(start_ns, day * DAY_NS), min(end_ns, (day + 1) * DAY_NS)
            if ends - begins == DAY_NS:
                found.append(self._day(symbol, day))
            else:
                found.append(longer(minutes(self._model, symbol, begins, ends), HOUR_S).table())
        return Rows(*np.concatenate(found, axis=1))

    def _day(self, symbol: str, day: int) -> Ints:
        kept = self._days.get((symbol, day))
        if kept is None:
            kept = longer(minutes(self._model, symbol, day * DAY_NS, (day + 1) * DAY_NS), HOUR_S).table()
            self._days[symbol, day] = kept
            if len(self._days) > _DAYS_KEPT:
                self._days.popitem(last=False)
        return kept
