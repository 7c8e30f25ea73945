"""Rules of the $name service: no I/O, no clock."""

import msgspec
import numpy as np

from candlewick.contracts.stream import FINAL, CandleBatch
from candlewick.kernel.decimals import to_text


class Close(msgspec.Struct, frozen=True):
    """A final candle's close as a decimal string; ``open_time`` is ns UTC."""

    exchange: str
    symbol: str
    open_time: int
    close: str


def newest_close(batch: CandleBatch, timeframe_s: int) -> Close | None:
    """The newest final candle of a timeframe in a batch, None when there is none."""
    columns = batch.columns_v1
    rows = np.flatnonzero((columns.timeframe == timeframe_s) & (columns.flags & FINAL != 0))
    if not rows.size:
        return None
    row = rows[np.argmax(columns.open_time[rows])]
    price = to_text(int(columns.close[row]), columns.price_scale)
    return Close(batch.exchange, batch.symbol, int(columns.open_time[row]), price)


def is_newer(known: Close | None, seen: Close) -> bool:
    """True if ``seen`` should replace ``known``; a revision of the same candle does."""
    return known is None or seen.open_time >= known.open_time
