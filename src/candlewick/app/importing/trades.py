"""Trades of a file as the collector would have sent them."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.collector import Progress, TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.timeframes import open_of
from candlewick.kernel.clock import NS_PER_SECOND

BATCH = 2000
_MINUTE_S = 60
_MINUTE_NS = 60 * NS_PER_SECOND
# The processor takes no trade that is a day ahead of its time; progress moves it across longer silence.
_JUMP_NS = 12 * 3600 * NS_PER_SECOND


class Feed:
    """Batches of trades with the Progress that a file can answer for.

    A complete file holds every trade from the begin of its first trade's minute to the end of its last one's; so its
    feed was alive then, and minutes without trades are empty candles. A file that does not say so proves nothing: its
    minutes without trades are left out, and behind a silence of half a day, or behind what was built of the symbol
    before (``is_known``), its candles are gapped.
    """

    def __init__(
        self, exchange: str, symbol: str, ids: TradeIds, *, is_aggregated: bool, is_complete: bool, is_known: bool
    ) -> None:
        self._exchange, self._symbol, self._ids = exchange, symbol, ids
        self._is_aggregated, self._is_complete, self._is_known = is_aggregated, is_complete, is_known
        self._newest_ns: int | None = None
        self._last_id = -1

    def messages(self, columns: TradeColumns) -> Iterator[TradeBatch | Progress]:
        """The next trades of the file, in its order."""
        n = len(columns.ts_event)
        if n == 0:
            return
        times = columns.ts_event
        if self._newest_ns is None:
            yield from self._begin(int(times[0]))
        before = times[0] if self._newest_ns is None else self._newest_ns
        jumps = np.flatnonzero(np.diff(times, prepend=before) > _JUMP_NS).tolist()
        cuts = sorted({0, n, *jumps, *range(0, n, BATCH)})
        for first, last in pairwise(cuts):
            if first in jumps:
                yield self._progress(int(times[first]) // _MINUTE_NS * _MINUTE_NS, self._is_complete)
            yield self._batch(columns, first, last)
            self._newest_ns = max(self._newest_ns or 0, int(times[first:last].max()))
            self._last_id = int(columns.trade_id[last - 1])

    def end(self) -> Iterator[Progress]:
        """What may be said behind the last trade."""
        if self._newest_ns is not None and self._is_complete:
            yield self._progress(open_of(self._newest_ns, _MINUTE_S) + _MINUTE_NS, True)

    def _begin(self, first_ns: int) -> Iterator[Progress]:
        opens = open_of(first_ns, _MINUTE_S)
        if self._is_complete or self._is_known:
            yield self._progress(opens, False)
        if self._is_complete:
            yield self._progress(opens, True)

    def _progress(self, through_ns: int, alive: bool) -> Progress:
        return Progress(self._exchange, self._symbol, through_ns, self._last_id, alive)

    def _batch(self, columns: TradeColumns, first: int, last: int) -> TradeBatch:
        part = TradeColumns(
            trade_id=frozen(columns.trade_id[first:last]),
            price=frozen(columns.price[first:last]),
            size=frozen(columns.size[first:last]),
            ts_event=frozen(columns.ts_event[first:last]),
            ts_recv=frozen(columns.ts_recv[first:last]),
            side=frozen(columns.side[first:last]),
            price_scale=columns.price_scale,
            size_scale=columns.size_scale,
        )
        return TradeBatch(self._exchange, self._symbol, self._ids, self._is_aggregated, Origin.BUILT, False, part)
