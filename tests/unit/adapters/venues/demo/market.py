"""A demo market on a clock that moves by hand, and what the model has planned."""

import asyncio
from contextlib import asynccontextmanager

from candlewick.adapters.venues.demo.feed import DemoFeed
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.quant.market_model.model import MarketModel
from candlewick.testing.binance.sink import KeepingSink

NS = NS_PER_SECOND
MINUTE = 60 * NS
DAY = 86_400 * NS
START = 1_767_225_600 * NS  # 2026-01-01 00:00 UTC
BTC, ADA = "BTC-USDT", "ADA-USDT"


@asynccontextmanager
async def running(clock, symbols, *, at, for_s=0.0):
    """A feed that started at an instant and ran for a while."""
    clock.jump((at - clock.now_ns()) / NS)
    sink = KeepingSink()
    feed = DemoFeed(MarketModel(), clock, symbols, sink)
    task = asyncio.create_task(feed.run())
    await clock.advance(for_s)
    try:
        yield feed, sink
    finally:
        await feed.close()
        await clock.advance(0.2)
        assert task.done()
        task.result()


def silence_after(model, instant):
    """The first silence that begins at least two minutes later."""
    return next(s for s in model.silences(instant, instant + 3 * DAY) if s.start_ns > instant + 2 * MINUTE)


def loss_after(model, symbol, instant):
    gaps = model.planned_gaps(instant, instant + DAY, symbol)
    return next(g for g in gaps if g.reason == "lost" and g.start_ns > instant + 2 * MINUTE)


def halt_after(model, instant):
    return next(h for h in model.halts(instant // NS_PER_MS, instant // NS_PER_MS + 15 * 86_400_000))


def wide(high, low):
    return [(int(h) << 64) + int(v) for h, v in zip(high, low, strict=True)]


def rows_of(columns):
    """(open time, open, high, low, close, volume, taker, quote, trades) of each candle."""
    prices = [c.tolist() for c in (columns.open_time, columns.open, columns.high, columns.low, columns.close)]
    sums = [
        wide(columns.volume_hi, columns.volume_lo),
        wide(columns.taker_hi, columns.taker_lo),
        wide(columns.quote_hi, columns.quote_lo),
    ]
    return list(zip(*prices, *sums, columns.trades.tolist(), strict=True))


def candle_from(trades, opens, seconds):
    """A candle by hand from the model's trades."""
    inside = trades.where((trades.ts_event >= opens) & (trades.ts_event < opens + seconds * NS))
    price, size = inside.price.tolist(), inside.size.tolist()
    bought = [s for s, side in zip(size, inside.side.tolist(), strict=True) if side == 1]
    quote = sum(p * s for p, s in zip(price, size, strict=True))
    return (opens, price[0], max(price), min(price), price[-1], sum(size), sum(bought), quote, len(price))
