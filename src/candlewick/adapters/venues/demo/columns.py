"""The model's arrays as messages carry them."""

import numpy as np

from candlewick.adapters.venues.demo.rows import Rows
from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.collector import TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.stream import EMPTY, FINAL, CandleColumns
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.quant.market_model.columns import ModelTrades
from candlewick.quant.market_model.symbols import EXCHANGE


def candle_columns(rows: Rows, seconds: int, price_scale: int, size_scale: int) -> CandleColumns:
    """Candles of ``seconds``: final, origin SIMULATED, EMPTY where nothing was traded."""
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
        price_scale=price_scale,
        size_scale=size_scale,
    )


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
