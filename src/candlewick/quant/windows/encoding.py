"""Candles as JSON: numbers in shortest round-trip form, times in ms. The one encoder of the HTTP and socket faces."""

from typing import Any

import msgspec
from numpy.typing import NDArray

from candlewick.contracts.base import ORIGIN_NAMES

_FINAL, _GAPPED = 1, 2


class CandleView(msgspec.Struct, frozen=True):
    """A candle as readers see it. ``trades`` is null when their number is not known."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy_volume: float
    trades: int | None
    final: bool
    revision: int
    origin: str
    quality: str


_encode = msgspec.json.Encoder().encode


def view_row(rows: dict[str, NDArray[Any]], i: int) -> CandleView:
    """Row ``i`` of ring-shaped arrays."""
    flags, trades = int(rows["flags"][i]), int(rows["trades"][i])
    return CandleView(
        int(rows["open_time_ms"][i]),
        float(rows["open"][i]),
        float(rows["high"][i]),
        float(rows["low"][i]),
        float(rows["close"][i]),
        float(rows["volume"][i]),
        float(rows["quote_volume"][i]),
        float(rows["taker_buy_volume"][i]),
        None if trades < 0 else trades,
        bool(flags & _FINAL),
        int(rows["revision"][i]),
        ORIGIN_NAMES[int(rows["origin"][i])],
        "gapped" if flags & _GAPPED else "ok",
    )


def encode_row(rows: dict[str, NDArray[Any]], i: int) -> bytes:
    """Row ``i`` as a JSON object."""
    return _encode(view_row(rows, i))
