"""The model's arrays as messages carry them; candles of any timeframe from those of a minute."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.collector import TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.stream import EMPTY, FINAL, CandleColumns
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.quant.market_model.columns import ModelCandles, ModelTrades
from candlewick.quant.market_model.symbols import EXCHANGE

Ints = NDArray[np.int64]
MINUTE_S = SECONDS["1m"]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """n candles: prices, and sums that fit int64 (a week of the model's quote volume is below 2**53)."""

    open_time: Ints  # ns
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    taker: Ints
    quote: Ints
    trades: Ints

    def at(self, places: NDArray[np.bool_] | Ints) -> "_Rows":
        return _Rows(*(getattr(self, f.name)[places] for f in fields(self)))


def candle_columns(minutes: ModelCandles, seconds: int) -> CandleColumns:
    """Candles of ``seconds`` from all minutes of whole candles, empty ones included; final, origin SIMULATED."""
    rows = _Rows(
        minutes.open_time * NS_PER_MS, minutes.open, minutes.high, minutes.low, minutes.close,
        minutes.volume, minutes.taker_buy_volume, minutes.quote_volume, minutes.trades,
    )  # fmt: skip
    if seconds != MINUTE_S:
        rows = _longer(rows, seconds)
    n = rows.open_time.size
    flags = np.where(rows.trades > 0, FINAL, FINAL | EMPTY).astype(np.uint8)
    no_high = frozen(np.zeros(n, np.int64))
    return CandleColumns(
        timeframe=frozen(np.full(n, seconds, np.int32)),
        open_time=frozen(rows.open_time),
        open=frozen(rows.open),
        high=frozen(rows.high),
        low=frozen(rows.low),
        close=frozen(rows.close),
        volume_hi=no_high,
        volume_lo=frozen(rows.volume.view(np.uint64)),
        taker_hi=no_high,
        taker_lo=frozen(rows.taker.view(np.uint64)),
        quote_hi=no_high,
        quote_lo=frozen(rows.quote.view(np.uint64)),
        trades=frozen(rows.trades),
        revision=frozen(np.zeros(n, np.int32)),
        flags=frozen(flags),
        origin=frozen(np.full(n, Origin.SIMULATED, np.uint8)),
        known_at=frozen(rows.open_time + seconds * NS_PER_SECOND),
        price_scale=minutes.price_scale,
        size_scale=minutes.size_scale,
    )


def _longer(minutes: _Rows, seconds: int) -> _Rows:
    """Sums and extremes of the minutes with trades; where a candle has none, flat at the price before."""
    if not minutes.open_time.size:
        return minutes
    first_open = open_of(int(minutes.open_time[0]), seconds)
    place = (minutes.open_time - first_open) // (seconds * NS_PER_SECOND)
    # Fancy indexing copies, so what follows may write. A candle without trades is its first minute, flat and empty.
    out = minutes.at(np.flatnonzero(np.diff(place, prepend=-1)))
    has_trades = minutes.trades > 0
    traded, place = minutes.at(has_trades), place[has_trades]
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


def trade_batch(symbol: str, trades: ModelTrades, ts_recv: int) -> TradeBatch:
    """Trades as a batch with origin SIMULATED."""
    columns = TradeColumns(
        trade_id=frozen(trades.trade_id),
        price=frozen(trades.price),
        size=frozen(trades.size),
        ts_event=frozen(trades.ts_event),
        ts_recv=frozen(np.full(trades.trade_id.size, ts_recv, np.int64)),
        side=frozen(trades.side),
        price_scale=trades.price_scale,
        size_scale=trades.size_scale,
    )
    return TradeBatch(EXCHANGE, symbol, TradeIds.DENSE, False, Origin.SIMULATED, False, columns)
