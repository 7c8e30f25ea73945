"""Closing gaps: ask the venue again, publish what differs, see that it is stored, say what became of the gap."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from candlewick.contracts.timeframes import NAMES, open_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.errors import Rejected, Retryable
from candlewick.kernel.patience import Patience
from candlewick.ports.jobs import JobContext
from candlewick.ports.runtime import Context, UnitOfWork
from candlewick.ports.venue import Venue
from candlewick.services.history.domain import gaps
from candlewick.services.history.domain.gaps import Answer, Gap, Pending
from candlewick.services.history.errors import VenueHasNoCandles
from candlewick.services.history.handlers.ledger import Gaps
from candlewick.services.history.handlers.publishing import PAGE, publish_fetched, publish_repaired, stored
from candlewick.services.history.settings import HistorySettings

KIND: Final = "history.repair"
# A venue that serves this much after the missing candles has none of them.
_PROOF_CANDLES: Final = 5
_LONGER_AGAIN_NS: Final = 300 * NS_PER_SECOND
_LOST_FOR_NS: Final = 7 * 86_400 * NS_PER_SECOND
_AT_ONCE: Final = 50
_LOOK_EVERY_S: Final = 1.0


class Repairs:
    """A job a gap. What is asked for is in the ledger, so a job is safe to run again from anywhere."""

    def __init__(self, context: Context, book: Gaps, settings: HistorySettings) -> None:
        self._context, self._gaps, self._settings = context, book, settings

    async def watch(self) -> None:
        """Submit a job for every gap that has something to ask for now; until cancelled."""
        patience = Patience(self._context.clock, self._context.logger, "repairing gaps")
        while True:
            try:
                await self._submit()
            except Retryable as error:
                await patience.wait(error)
            else:
                patience.over()
                await self._context.clock.sleep(_LOOK_EVERY_S)

    async def _submit(self) -> None:
        async with self._context.database.reading() as tx:
            due = await self._gaps.ledger.due(tx, self._context.clock.now_ns(), _AT_ONCE)
        for gap_id in due:
            await self._context.jobs.submit(KIND, {"gap_id": gap_id}, key=f"{KIND}:{gap_id}", max_tries=1)

    async def repair(self, job: JobContext, args: Mapping[str, Any]) -> dict[str, Any]:
        """The job: {gap_id} -> {state, repaired, empty}."""
        gap = await self._load(str(args["gap_id"]))
        if gap is None:
            return {"state": "unknown"}
        try:
            venue = self._context.venue(gap.exchange)
            await self._ask(job, gap.id, venue)
        except VenueHasNoCandles as error:
            gap = await self._again(gap.id, error.detail, counts=True)
        except Rejected as error:
            gap = await self._again(gap.id, f"{error.code}: {error.detail}", counts=True)
        except Retryable as error:
            gap = await self._again(gap.id, f"{error.code}: {error.detail}", counts=False)
        else:
            gap = await self._settle(gap.id)
        await self._gaps.refresh()
        return {"state": gap.state, "repaired": gap.repaired, "empty": gap.empty}

    async def _load(self, gap_id: str) -> Gap | None:
        async with self._context.database.reading() as tx:
            return await self._gaps.ledger.get(tx, gap_id)

    # -- asking ------------------------------------------------------------------------------------------------

    async def _ask(self, job: JobContext, gap_id: str, venue: Venue) -> None:
        now = await venue.server_time_ns()
        async with self._context.database.reading() as tx:
            waiting = await self._gaps.ledger.pending(tx, gap_id)
        for done, pending in enumerate(waiting):
            name = NAMES[pending.timeframe_s]
            await job.report(done / len(waiting), f"asking for {name}")
            if name not in venue.info.candle_timeframes:
                await self._replace(pending, [])
                continue
            closed = min(pending.to_ns, open_of(now, pending.timeframe_s))
            if closed <= pending.from_ns:
                due = gaps.due_of(pending.from_ns, pending.timeframe_s)
                await self._replace(pending, [msgspec.structs.replace(pending, due_ns=due)])
                continue
            if closed < pending.to_ns:  # the last candle is still open
                due = gaps.due_of(closed, pending.timeframe_s)
                rest = msgspec.structs.replace(pending, from_ns=closed, due_ns=due)
                await self._replace(pending, [msgspec.structs.replace(pending, to_ns=closed), rest])
            if pending.timeframe_s > gaps.MINUTE_S:
                await self._settle(gap_id)
            await self._pages(venue, msgspec.structs.replace(pending, to_ns=closed), now)

    async def _pages(self, venue: Venue, pending: Pending, now: int) -> None:
        """Newest first, so that the chart fills from its right edge. A longer candle that the venue does not have yet
        (all of it lay in a halt, and nothing follows so far) waits alone; the minutes decide about the gap."""
        step, end = pending.timeframe_s * NS_PER_SECOND, pending.to_ns
        while end > pending.from_ns:
            start = max(pending.from_ns, end - PAGE * step)
            left = msgspec.structs.replace(pending, to_ns=start)
            try:
                await self._page(venue, pending, start, end, now)
            except VenueHasNoCandles:
                if pending.timeframe_s <= gaps.MINUTE_S:
                    raise
                later = msgspec.structs.replace(pending, to_ns=end, due_ns=now + min(step, _LONGER_AGAIN_NS))
                await self._replace(pending, [later])
                return
            await self._replace(pending, [left] if start > pending.from_ns else [])
            end = start

    async def _page(self, venue: Venue, pending: Pending, start: int, end: int, now: int) -> None:
        gap = await self._load(pending.gap_id)
        assert gap is not None
        seconds, step = pending.timeframe_s, pending.timeframe_s * NS_PER_SECOND
        # a few candles more than asked for prove that missing ones are not merely late
        proof = min(open_of(now, seconds), end + _PROOF_CANDLES * step)
        served = await venue.candles(gap.symbol, NAMES[seconds], start, proof)
        found = await self._context.candles.range(gap.exchange, gap.symbol, seconds, start, end)
        answer = gaps.judge(gap, found, served, start, end, seconds, now)
        newest = int(served.open_time[-1]) if len(served.open_time) else -1
        if seconds >= gaps.MINUTE_S and answer.missing and newest < answer.missing[-1]:
            raise VenueHasNoCandles(
                f"{gap.exchange} has not yet {len(answer.missing)} of the {NAMES[seconds]} candles of {gap.symbol}"
            )
        await publish_repaired(self._context, gap.exchange, gap.symbol, gap.id, answer.repaired)
        await publish_fetched(self._context, gap.exchange, gap.symbol, answer.fetched)
        await stored(self._context, gap.exchange, gap.symbol, answer.repaired)
        await stored(self._context, gap.exchange, gap.symbol, answer.fetched)
        if seconds == gaps.MINUTE_S:
            await self._counted(gap.id, answer)

    async def _counted(self, gap_id: str, answer: Answer) -> None:
        async def work(tx: UnitOfWork) -> None:
            gap = await self._gaps.ledger.get(tx, gap_id)
            assert gap is not None
            traded = len(answer.repaired.open_time) + len(answer.fetched.open_time) - answer.empty
            await self._gaps.ledger.put(
                tx,
                msgspec.structs.replace(
                    gap,
                    repaired=gap.repaired + max(0, traded),
                    empty=gap.empty + answer.empty + len(answer.missing),
                ),
            )

        await self._context.messaging.unit_of_work(work)

    async def _replace(self, old: Pending, new: list[Pending]) -> None:
        async def work(tx: UnitOfWork) -> None:
            await self._gaps.ledger.replace(tx, old, new)

        await self._context.messaging.unit_of_work(work)

    # -- closing -----------------------------------------------------------------------------------------------

    async def _settle(self, gap_id: str) -> Gap:
        """Close the gap when no minute of it is left to ask for; longer candles are mended when they close."""

        async def work(tx: UnitOfWork) -> None:
            gap = await self._gaps.ledger.get(tx, gap_id)
            left = await self._gaps.ledger.pending(tx, gap_id)
            if gap is None or gap.state in (gaps.REPAIRED, gaps.VERIFIED_EMPTY):
                return
            if not any(pending.timeframe_s <= gaps.MINUTE_S for pending in left):
                state, detail = gaps.outcome(gap)
                await self._gaps.close(tx, msgspec.structs.replace(gap, delays=0), state, detail)

        await self._context.messaging.unit_of_work(work)
        gap = await self._load(gap_id)
        assert gap is not None
        return gap

    async def _again(self, gap_id: str, detail: str, *, counts: bool) -> Gap:
        """Try later. A venue that does not answer costs only time; one that answers without the candles, often enough,
        makes the gap lost (which is still tried again for a week)."""
        settings, now = self._settings, self._context.clock.now_ns()

        async def work(tx: UnitOfWork) -> None:
            gap = await self._gaps.ledger.get(tx, gap_id)
            assert gap is not None
            gap = msgspec.structs.replace(gap, tries=gap.tries + counts, delays=gap.delays + 1)
            due = now + gaps.wait_ns(gap.delays - 1, settings.repair_first_s, settings.repair_most_s)
            if counts and gap.tries >= settings.repair_tries:
                due = now + int(settings.lost_again_hours * 3600 * NS_PER_SECOND)
                if gap.state == gaps.OPEN:
                    await self._gaps.close(tx, gap, gaps.LOST, f"after {gap.tries} answers: {detail}"[:500])
                else:
                    await self._gaps.ledger.put(tx, gap)
                if not settings.lost_again_hours or now - gap.detected_at > _LOST_FOR_NS:
                    await self._gaps.ledger.drop_pending(tx, gap_id)
                    return
            else:
                await self._gaps.ledger.put(tx, gap)
            await self._gaps.ledger.postpone(tx, gap_id, due)

        await self._context.messaging.unit_of_work(work)
        self._context.logger.info("gap is asked for again later", gap_id=gap_id, detail=detail)
        gap = await self._load(gap_id)
        assert gap is not None
        return gap
