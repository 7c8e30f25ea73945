"""REST klines and trades to columns, with every digit kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.venues.binance.wire import KlineRow, RestTrade
from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.collector import Side, TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import FINAL, CandleColumns
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND
from candlewick.kernel.decimals import BadDecimal, parse_mantissa, scale_of
from candlewick.ports.venue import VenueNonsense

_LOW = (1 << 64) - 1


def _wide(text: str, scale: int) -> int:
    """As ``parse_mantissa`` for what is not negative, up to 127 bits: sums of volumes pass int64. Raises BadDecimal."""
    whole, _, fraction = text.partition(".")
    kept = fraction.rstrip("0")
    digits = whole + kept
    if not digits or not digits.isascii() or not digits.isdigit() or len(kept) > scale:
        raise BadDecimal(f"expected a plain decimal of at most {scale} digits behind the point, was {text!r}")
    mantissa = int(digits) * int(10 ** (scale - len(kept)))
    if mantissa >> 127:
        raise BadDecimal(f"the number does not fit 127 bits at scale {scale}, was {text!r}")
    return mantissa


def _limbs(values: list[int]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    high = frozen(np.array([v >> 64 for v in values], np.int64))
    return high, frozen(np.array([v & _LOW for v in values], np.uint64))


def candle_columns(rows: Sequence[KlineRow], instrument: Instrument, timeframe: str, origin: Origin) -> CandleColumns:
    """Klines as candles. Scales are the instrument's, finer where old klines have more digits than today's tick.

    Raises BadDecimal, and VenueNonsense for rows that contradict themselves.
    """
    seconds = SECONDS[timeframe]
    price_scale = max([instrument.price_scale, *(scale_of(p) for r in rows for p in (r.open, r.high, r.low, r.close))])
    size_scale = max([instrument.size_scale, *(scale_of(v) for r in rows for v in (r.volume, r.taker_base))])
    # The venue rounds each trade's quote volume to eight digits, which may be more than price times size needs.
    size_scale += max(0, max((scale_of(r.quote_volume) for r in rows), default=0) - price_scale - size_scale)
    prices = [
        [parse_mantissa(p, price_scale) for p in side]
        for side in (
            [r.open for r in rows],
            [r.high for r in rows],
            [r.low for r in rows],
            [r.close for r in rows],
        )
    ]
    volume = [_wide(r.volume, size_scale) for r in rows]
    taker = [_wide(r.taker_base, size_scale) for r in rows]
    quote = [_wide(r.quote_volume, price_scale + size_scale) for r in rows]
    opens = [r.open_time * NS_PER_MS for r in rows]
    for i, (o, h, low, c) in enumerate(zip(*prices, strict=True)):
        sane = 0 < low <= min(o, c) and max(o, c) <= h and 0 <= taker[i] <= volume[i]
        if not sane or open_of(opens[i], seconds) != opens[i]:
            raise VenueNonsense(f"a kline must agree with itself, was {rows[i]!r}")
    count = len(rows)
    volume_hi, volume_lo = _limbs(volume)
    taker_hi, taker_lo = _limbs(taker)
    quote_hi, quote_lo = _limbs(quote)
    open_time = np.array(opens, np.int64)
    return CandleColumns(
        timeframe=frozen(np.full(count, seconds, np.int32)),
        open_time=frozen(open_time),
        open=frozen(np.array(prices[0], np.int64)),
        high=frozen(np.array(prices[1], np.int64)),
        low=frozen(np.array(prices[2], np.int64)),
        close=frozen(np.array(prices[3], np.int64)),
        volume_hi=volume_hi,
        volume_lo=volume_lo,
        taker_hi=taker_hi,
        taker_lo=taker_lo,
        quote_hi=quote_hi,
        quote_lo=quote_lo,
        trades=frozen(np.array([r.trades for r in rows], np.int64)),
        revision=frozen(np.zeros(count, np.int32)),
        flags=frozen(np.full(count, FINAL, np.uint8)),
        origin=frozen(np.full(count, origin, np.uint8)),
        known_at=frozen(open_time + seconds * NS_PER_SECOND),
        price_scale=price_scale,
        size_scale=size_scale,
    )


def trade_batch(trades: Sequence[RestTrade], instrument: Instrument, ts_recv: int) -> TradeBatch:
    """REST trades as a batch with origin REPAIRED. Raises BadDecimal."""
    price_scale = max([instrument.price_scale, *(scale_of(t.price) for t in trades)])
    size_scale = max([instrument.size_scale, *(scale_of(t.qty) for t in trades)])
    sides = [Side.SELL if t.isBuyerMaker else Side.BUY for t in trades]
    columns = TradeColumns(
        trade_id=frozen(np.array([t.id for t in trades], np.int64)),
        price=frozen(np.array([parse_mantissa(t.price, price_scale) for t in trades], np.int64)),
        size=frozen(np.array([parse_mantissa(t.qty, size_scale) for t in trades], np.int64)),
        ts_event=frozen(np.array([t.time * NS_PER_MS for t in trades], np.int64)),
        ts_recv=frozen(np.full(len(trades), ts_recv, np.int64)),
        side=frozen(np.array(sides, np.uint8)),
        price_scale=price_scale,
        size_scale=size_scale,
    )
    return TradeBatch(instrument.exchange, instrument.symbol, TradeIds.DENSE, False, Origin.REPAIRED, False, columns)
