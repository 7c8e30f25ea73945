"""What the stream processor says: candles."""

from typing import Annotated, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import ColumnOf, Int32, Int64, MarketMessage, PriceMantissa, SizeMantissa, UInt8

SizeLow: TypeAlias = Annotated[NDArray[np.uint64], ColumnOf(np.uint64, ("size_scale",))]
QuoteHigh: TypeAlias = Annotated[NDArray[np.int64], ColumnOf(np.int64, ("price_scale", "size_scale"))]
QuoteLow: TypeAlias = Annotated[NDArray[np.uint64], ColumnOf(np.uint64, ("price_scale", "size_scale"))]

FINAL = 1
GAPPED = 2
EMPTY = 4
RECEIVE_TIMES = 8


class CandleColumns(msgspec.Struct, frozen=True):
    """n candles of one symbol, lower timeframe first, then by open time; every array has shape (n,).

    Prices are mantissas at ``price_scale``. Volumes are 128-bit mantissas in two limbs (value = hi * 2**64 + lo):
    volume and taker buy volume at ``size_scale``, quote volume at the sum of both scales. ``trades`` is -1 where not
    known. ``flags``: FINAL, GAPPED, EMPTY, RECEIVE_TIMES. ``known_at`` is event time, ns.
    """

    timeframe: Int32
    open_time: Int64
    open: PriceMantissa
    high: PriceMantissa
    low: PriceMantissa
    close: PriceMantissa
    volume_hi: SizeMantissa
    volume_lo: SizeLow
    taker_hi: SizeMantissa
    taker_lo: SizeLow
    quote_hi: QuoteHigh
    quote_lo: QuoteLow
    trades: Int64
    revision: Int32
    flags: UInt8
    origin: UInt8
    known_at: Int64
    price_scale: int
    size_scale: int


class CandleBatch(MarketMessage, frozen=True):
    """Candles of one symbol that became final, were revised, or (on the open-candle topic) moved."""

    columns_v1: CandleColumns
