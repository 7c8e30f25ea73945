"""Suspicions and holes into the gap ledger."""

from collections.abc import Mapping, Sequence

import msgspec

from candlewick.contracts.base import Envelope
from candlewick.contracts.collector import GapSuspected
from candlewick.contracts.history import GapClosed, GapOpened
from candlewick.contracts.topics import HISTORY_GAPS
from candlewick.ports.runtime import Context, Event, UnitOfWork
from candlewick.services.history.domain import gaps
from candlewick.services.history.domain.gaps import Gap
from candlewick.services.history.domain.seam import Hole, joined
from candlewick.services.history.ports import GapQuery, Ledger


class Gaps:
    """Opens and closes entries; each change and what it says go out together."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        self._context, self.ledger = context, ledger
        self.followed: set[tuple[str, str]] = set()
        self.open_by_exchange: Mapping[str, int] = {}

    async def on_gap_suspected(self, event: Event, tx: UnitOfWork) -> None:
        message = event.message
        assert isinstance(message, GapSuspected)
        missing = -1
        if message.first_missing_id >= 0:
            missing = message.last_missing_id - message.first_missing_id + 1
        # a hole between two trades of one instant still has a place
        end = max(message.end_ns, message.start_ns + 1)
        await self.open(
            tx, message.exchange, message.symbol, Hole(message.start_ns, end, gaps.reason_of(message.reason)),
            trades_missing=missing, detail=message.detail, cause=event.envelope,
        )  # fmt: skip

    async def on_holes(self, exchange: str, symbol: str, holes: Sequence[Hole]) -> None:
        """Minutes that came gapped, or (of a followed symbol) did not come. What is in the ledger stays as it is."""
        is_followed = (exchange, symbol) in self.followed
        wanted = joined(hole for hole in holes if is_followed or not hole.is_absent)
        if not wanted:
            return

        async def work(tx: UnitOfWork) -> None:
            for hole in wanted:
                await self.open(tx, exchange, symbol, hole, only_new=True)

        await self._context.messaging.unit_of_work(work)
        await self.refresh()

    async def open(
        self,
        tx: UnitOfWork,
        exchange: str,
        symbol: str,
        hole: Hole,
        *,
        trades_missing: int = -1,
        detail: str = "",
        only_new: bool = False,
        cause: Envelope | None = None,
    ) -> Gap:
        """A new entry, or the open one that overlaps, extended. ``only_new`` leaves a hole alone that an entry of any
        state covers already. Returns the entry."""
        now = self._context.clock.now_ns()
        query = GapQuery(exchange, symbol, hole.start_ns, hole.end_ns)
        known = await self.ledger.find(tx, query)
        if only_new:
            covering = next((g for g in known if g.start_ns <= hole.start_ns and g.end_ns >= hole.end_ns), None)
            if covering is not None:
                return covering
        detail = detail or gaps.REASONS[hole.reason]
        first = next((gap for gap in reversed(known) if gap.state == gaps.OPEN), None)
        if first is None:
            gap = Gap(
                str(self._context.ids.new()), exchange, symbol, hole.start_ns, hole.end_ns, hole.reason, gaps.OPEN,
                trades_missing, detail, now,
            )  # fmt: skip
        else:
            gap = gaps.merged(first, hole.start_ns, hole.end_ns, hole.reason, trades_missing, detail)
            if gap == first:
                return first
        await self.ledger.put(tx, gap)
        await self.ledger.ask(tx, gaps.to_ask(gap, now))
        tx.emit(
            HISTORY_GAPS.name,
            GapOpened(exchange, symbol, gap.id, gap.start_ns, gap.end_ns, gap.reason, gap.trades_missing, gap.detail),
            ts_event=gap.start_ns,
            cause=cause,
        )
        return gap

    async def close(self, tx: UnitOfWork, gap: Gap, state: str, detail: str) -> None:
        """``state`` is repaired, verified_empty or lost."""
        now = self._context.clock.now_ns()
        await self.ledger.put(tx, msgspec.structs.replace(gap, state=state, detail=detail, closed_at=now))
        tx.emit(HISTORY_GAPS.name, GapClosed(gap.exchange, gap.symbol, gap.id, state, detail), ts_event=gap.end_ns)

    async def refresh(self) -> None:
        """Bring the gauge of open gaps up to date."""
        async with self._context.database.reading() as tx:
            found = await self.ledger.count_open(tx)
        self.open_by_exchange = found
        for exchange, count in found.items():
            self._context.metrics.gauge("gaps_open", count, exchange)
