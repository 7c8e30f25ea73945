"""Trades of one symbol on their way into columnar batches, with dense ids watched and completeness told."""

from array import array
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.collector import GapSuspected, Progress, TradeBatch, TradeColumns, TradeIds
from candlewick.kernel.decimals import INT64_MAX
from candlewick.ports.venue import Sink

I8 = NDArray[np.int64]
_FAR_JUMP: Final = 1_000_000  # an id further ahead than this must be confirmed by the next one
_MISSING_KEPT: Final = 256


class GathererState(msgspec.Struct, frozen=True):
    """Where a gatherer stands between two batches; scales and ids as in ``TradeGatherer``."""

    price_scale: int
    size_scale: int
    first_id: int
    last_id: int
    last_ts: int
    complete_through: int
    is_alive: bool
    lost_because: str
    missing: list[tuple[int, int]]
    held: tuple[int, int, int, int, int, int] | None


class TradeGatherer:
    """Gathers trades and hands over a TradeBatch after ``batch`` trades or at ``flush``.

    Ids must be dense. A jump ahead reports GapSuspected with the exact ids and goes on; a missing trade that comes
    late is taken; an id that was seen is a duplicate and dropped (``duplicates`` counts). One id far ahead is held
    until the next trade confirms it, so a single corrupt id cannot make all later trades look old.

    ``Progress`` says that every trade before ``complete_through`` has been handed over. Between two Progress messages
    the feed was proven alive exactly when the second has ``feed_alive``; so each living stretch opens with one that
    has not, at the first venue time seen.
    """

    def __init__(
        self,
        exchange: str,
        symbol: str,
        price_scale: int,
        size_scale: int,
        *,
        batch: int,
        origin: Origin,
        aggregated: bool = False,
    ) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self.price_scale = price_scale
        self.size_scale = size_scale
        self.batch = batch
        self.origin = origin
        self.aggregated = aggregated
        self.last_id = -1
        self.last_ts = 0
        self.first_id = -1
        self.duplicates = 0
        self.complete_through = 0
        self.is_alive = False
        self._lost_because = "disconnect"
        self._missing: list[tuple[int, int]] = []
        self._held: tuple[int, int, int, int, int, int] | None = None
        self._clear()

    def _clear(self) -> None:
        self._ids = array("q")
        self._prices = array("q")
        self._sizes = array("q")
        self._events = array("q")
        self._recvs = array("q")
        self._sides = array("B")

    def checkpoint(self) -> GathererState:
        """Call after ``flush``: gathered trades are not part of it."""
        return GathererState(
            self.price_scale,
            self.size_scale,
            self.first_id,
            self.last_id,
            self.last_ts,
            self.complete_through,
            self.is_alive,
            self._lost_because,
            list(self._missing),
            self._held,
        )

    def restore(self, saved: GathererState) -> None:
        """Go on where another gatherer of the same symbol stood."""
        self.price_scale, self.size_scale = saved.price_scale, saved.size_scale
        self.first_id, self.last_id, self.last_ts = saved.first_id, saved.last_id, saved.last_ts
        self.complete_through, self.is_alive = saved.complete_through, saved.is_alive
        self._lost_because = saved.lost_because
        self._missing = list(saved.missing)
        self._held = saved.held

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, trade_id: int, price: int, size: int, ts_event: int, ts_recv: int, side: int, sink: Sink) -> None:
        """One trade, mantissas at this gatherer's scales, times in ns."""
        last = self.last_id
        if self._held is not None:
            self._settle_held(trade_id, sink)
            last = self.last_id
        if trade_id == last + 1 or last < 0:
            if last < 0:
                self.first_id = trade_id
            self.last_id = trade_id
        elif trade_id > last:
            if trade_id - last > _FAR_JUMP:
                self._held = (trade_id, price, size, ts_event, ts_recv, side)
                return
            self._gap(last + 1, trade_id - 1, self.last_ts, ts_event, ts_recv, "missing_ids", sink)
            self._missing.append((last + 1, trade_id - 1))
            del self._missing[:-_MISSING_KEPT]
            self.last_id = trade_id
        elif not self._was_missing(trade_id):
            self.duplicates += 1
            if ts_event > self.last_ts:
                sink.nonsense("ID_WENT_BACK", f"{self.symbol}: newest trade id is {last}, was {trade_id!r}", b"")
            return
        self.last_ts = max(self.last_ts, ts_event)
        self._ids.append(trade_id)
        self._prices.append(price)
        self._sizes.append(size)
        self._events.append(ts_event)
        self._recvs.append(ts_recv)
        self._sides.append(side)
        if len(self._ids) >= self.batch:
            self.flush(ts_recv, sink)

    def add_columns(self, columns: I8, sides: NDArray[np.uint8], is_dense: bool, sink: Sink) -> None:
        """Many trades at once, as ``add`` one by one; fast when their ids simply go on (``is_dense``).

        ``columns`` (5, n): ids, prices, sizes, event and receive times, each row contiguous.
        """
        ids, prices, sizes, events, recvs = columns
        count = len(ids)
        last = self.last_id
        first = int(ids[0])
        if self._held is not None or not is_dense or (last >= 0 and first != last + 1):
            for trade_id, price, size, ts_event, ts_recv, side in zip(*columns.tolist(), sides.tolist(), strict=True):
                self.add(trade_id, price, size, ts_event, ts_recv, side, sink)
            return
        if last < 0:
            self.first_id = first
        start = 0
        while start < count:
            stop = min(count, start + self.batch - len(self._ids))
            self._ids.frombytes(ids[start:stop].tobytes())
            self._prices.frombytes(prices[start:stop].tobytes())
            self._sizes.frombytes(sizes[start:stop].tobytes())
            self._events.frombytes(events[start:stop].tobytes())
            self._recvs.frombytes(recvs[start:stop].tobytes())
            self._sides.frombytes(sides[start:stop].tobytes())
            self.last_id = first + stop - 1
            if len(self._ids) >= self.batch:
                self.flush(int(recvs[stop - 1]), sink)
            start = stop
        self.last_ts = max(self.last_ts, int(events.max()))

    def flush(self, ts_recv: int, sink: Sink) -> None:
        """Hand over what is gathered, if anything."""
        if not self._ids:
            return
        columns = TradeColumns(
            trade_id=frozen(np.frombuffer(self._ids, np.int64)),
            price=frozen(np.frombuffer(self._prices, np.int64)),
            size=frozen(np.frombuffer(self._sizes, np.int64)),
            ts_event=frozen(np.frombuffer(self._events, np.int64)),
            ts_recv=frozen(np.frombuffer(self._recvs, np.int64)),
            side=frozen(np.frombuffer(self._sides, np.uint8)),
            price_scale=self.price_scale,
            size_scale=self.size_scale,
        )
        self._clear()
        batch = TradeBatch(self.exchange, self.symbol, TradeIds.DENSE, self.aggregated, self.origin, False, columns)
        sink.message(batch, ts_recv)

    def widen(self, price_scale: int, size_scale: int, ts_recv: int, sink: Sink) -> None:
        """Go on with finer scales (never coarser); what is gathered at the old ones is handed over first."""
        self.flush(ts_recv, sink)
        self.price_scale = max(self.price_scale, price_scale)
        self.size_scale = max(self.size_scale, size_scale)
        self._held = None  # its mantissas are at the old scales; the gap it leaves is found by id

    def seen(self, frontier: int, ts_recv: int, sink: Sink) -> None:
        """The feed shows life at venue time ``frontier``: opens a living stretch if none is open."""
        if self.is_alive:
            return
        if self.complete_through and frontier > self.complete_through:
            self._gap(-1, -1, self.complete_through, frontier, ts_recv, self._lost_because, sink)
        self._advance(frontier, False, ts_recv, sink)
        self.is_alive = True

    def progress(self, through: int, ts_recv: int, sink: Sink) -> None:
        """Say how far trades are complete; frozen while the feed is not proven alive."""
        self._advance(through if self.is_alive else 0, self.is_alive, ts_recv, sink)

    def lost(self, reason: str, ts_recv: int, sink: Sink) -> None:
        """The feed stopped being proven alive; what follows is not complete until ``seen``."""
        self._lost_because = reason
        if self.is_alive:
            self.is_alive = False
            self._advance(0, False, ts_recv, sink)

    def _advance(self, through: int, alive: bool, ts_recv: int, sink: Sink) -> None:
        self.flush(ts_recv, sink)
        self.complete_through = max(self.complete_through, through)
        if self.complete_through:
            sink.message(Progress(self.exchange, self.symbol, self.complete_through, self.last_id, alive), ts_recv)

    def _settle_held(self, trade_id: int, sink: Sink) -> None:
        held = self._held
        assert held is not None
        self._held = None
        if abs(trade_id - held[0]) > _FAR_JUMP:
            sink.nonsense("ID_JUMPED", f"{self.symbol}: newest trade id is {self.last_id}, was {held[0]!r}", b"")
            return
        self._gap(self.last_id + 1, held[0] - 1, self.last_ts, held[3], held[4], "missing_ids", sink)
        self._missing.append((self.last_id + 1, held[0] - 1))
        self.last_id = held[0] - 1
        self.add(*held, sink)

    def _was_missing(self, trade_id: int) -> bool:
        if trade_id < self.first_id:
            # Older than anything seen here: the stream keeps the exact record, so let it decide.
            return True
        for i, (low, high) in enumerate(self._missing):
            if low <= trade_id <= high:
                rest = [(a, b) for a, b in ((low, trade_id - 1), (trade_id + 1, high)) if a <= b]
                self._missing[i : i + 1] = rest
                return True
        return False

    def _gap(self, first: int, last: int, start_ns: int, end_ns: int, ts_recv: int, reason: str, sink: Sink) -> None:
        detail = f"{last - first + 1} trades missing" if first >= 0 else "the feed was not proven alive"
        end_ns = min(max(end_ns, start_ns), INT64_MAX)
        sink.message(GapSuspected(self.exchange, self.symbol, start_ns, end_ns, reason, first, last, detail), ts_recv)
