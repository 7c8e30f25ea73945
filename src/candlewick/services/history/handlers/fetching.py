"""The recent history of every followed symbol, and the times during which nothing ran here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from candlewick.contracts.market import REMOVED, SymbolAdded, SymbolDeleted
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.errors import Retryable
from candlewick.kernel.patience import Patience
from candlewick.ports.jobs import Job, JobContext
from candlewick.ports.runtime import Context, Event, UnitOfWork
from candlewick.ports.venue import Venue
from candlewick.services.history.domain import gaps, plan, rows
from candlewick.services.history.domain.gaps import MINUTE_NS, MINUTE_S
from candlewick.services.history.domain.seam import Hole
from candlewick.services.history.handlers.ledger import Gaps
from candlewick.services.history.handlers.publishing import PAGE, publish_fetched
from candlewick.services.history.ports import GapQuery
from candlewick.services.history.settings import HistorySettings

KIND: Final = "history.fetch"
MINUTES: Final = "minutes"
LONGER: Final = "longer"
"""Parts of a symbol's history. A ticker and its line want the minutes of all symbols before the years of one."""
Want = tuple[str, str, str]
"""(exchange, symbol, part)"""
_LOOK_EVERY_S: Final = 0.25
_AGAIN_FIRST_S: Final = 2.0
_AGAIN_MOST_S: Final = 60.0
_REJECTED_AGAIN_S: Final = 600.0


class Fetches:
    """Two jobs a symbol, the minutes of all symbols first. What the store has is not asked for again, so a job that was
    interrupted goes on."""

    def __init__(
        self, context: Context, book: Gaps, settings: HistorySettings, caught_up: Callable[[], Awaitable[None]]
    ) -> None:
        self._context, self._gaps, self._settings, self._caught_up = context, book, settings, caught_up
        self.wanted: dict[Want, str | None] = {}
        self._not_before: dict[Want, int] = {}
        self._failures: dict[Want, int] = {}

    def on_symbols(self, events: Sequence[Event]) -> None:
        """Follower of market.symbols. Of a symbol that its venue no longer lists no candle is missed or asked for."""
        for event in events:
            message = event.message
            if isinstance(message, SymbolAdded) and message.instrument.status != REMOVED:
                place = (message.instrument.exchange, message.instrument.symbol)
                if place not in self._gaps.followed:
                    self._gaps.followed.add(place)
                    self.wanted[*place, MINUTES] = None
            elif isinstance(message, (SymbolAdded, SymbolDeleted)):
                exchange, _, symbol = message.key.partition(":")
                self._gaps.followed.discard((exchange, symbol))
                for part in (MINUTES, LONGER):
                    self.wanted.pop((exchange, symbol, part), None)

    async def watch(self) -> None:
        """Submit the jobs that are wanted, again with back-off while the venue cannot be reached; until
        cancelled."""
        patience = Patience(self._context.clock, self._context.logger, "asking for history")
        while True:
            try:
                await self._submit()
            except Retryable as error:
                await patience.wait(error)
            else:
                patience.over()
                await self._context.clock.sleep(_LOOK_EVERY_S)

    async def _submit(self) -> None:
        now = self._context.clock.monotonic_ns()
        for want, job_id in list(self.wanted.items()):
            if job_id is not None:
                self._look(want, await self._context.jobs.get(job_id))
            elif now >= self._not_before.get(want, 0):
                exchange, symbol, part = want
                args = {"exchange": exchange, "symbol": symbol, "part": part}
                job = await self._context.jobs.submit(KIND, args, key=":".join((KIND, *want)), max_tries=1)
                if want in self.wanted:
                    self.wanted[want] = job.id

    def _look(self, want: Want, job: Job) -> None:
        if job.state in ("queued", "running") or want not in self.wanted:
            return
        if job.state in ("done", "cancelled"):
            self.wanted.pop(want)
            self._failures.pop(want, None)
            exchange, symbol, part = want
            if part == MINUTES:
                self.wanted[exchange, symbol, LONGER] = None
            return
        failures = self._failures[want] = self._failures.get(want, 0) + 1
        code = (job.error or {}).get("code", "")
        passing = code in ("VENUE_UNAVAILABLE", "VENUE_RATE_LIMITED") or failures < 3
        wait = min(_AGAIN_FIRST_S * 2 ** min(failures - 1, 10), _AGAIN_MOST_S) if passing else _REJECTED_AGAIN_S
        place = dict(zip(("exchange", "symbol", "part"), want, strict=True))
        self._context.logger.warning("history not fetched yet", **place, again_in_s=wait, **(job.error or {}))
        self.wanted[want] = None
        self._not_before[want] = self._context.clock.monotonic_ns() + int(wait * NS_PER_SECOND)

    # -- the job -----------------------------------------------------------------------------------------------

    async def fetch(self, job: JobContext, args: Mapping[str, Any]) -> dict[str, Any]:
        """The job: {exchange, symbol, part} -> {fetched, downtimes}."""
        exchange, symbol, part = str(args["exchange"]), str(args["symbol"]), str(args.get("part", MINUTES))
        venue = self._context.venue(exchange)
        now = await venue.server_time_ns()
        await self._caught_up()  # what is in the log already is no hole
        wanted = plan.wanted(
            venue.info.candle_timeframes, now, self._settings.fetch_minutes, self._settings.fetch_candles
        )
        wanted = [each for each in wanted if (each.timeframe == "1m") == (part == MINUTES)]
        downtimes = await self._ledger_downtime(exchange, symbol, now) if part == MINUTES else None
        fetched = 0
        for done, each in enumerate(wanted):
            await job.report(done / len(wanted), f"fetching {each.timeframe}", checkpoint={"timeframe": each.timeframe})
            fetched += await self._fill(job, done / len(wanted), venue, symbol, each, is_watched=downtimes is not None)
        if part == MINUTES:
            await self._minutes_are_whole(job, venue, symbol, open_of(now, MINUTE_S), is_watched=downtimes is not None)
        self._context.logger.info("history fetched", exchange=exchange, symbol=symbol, part=part, candles=fetched)
        return {"fetched": fetched, "downtimes": downtimes or 0}

    async def _minutes_are_whole(
        self, job: JobContext, venue: Venue, symbol: str, done: int, *, is_watched: bool
    ) -> None:
        """Fetched up to now, and written down: what is missing behind it from now on was missed here."""
        through = await self._up_to_now(job, venue, symbol, done, is_watched=is_watched)

        async def work(tx: UnitOfWork) -> None:
            await self._gaps.ledger.set_coverage(tx, venue.info.name, symbol, through)

        await self._context.messaging.unit_of_work(work)

    async def _up_to_now(self, job: JobContext, venue: Venue, symbol: str, done: int, *, is_watched: bool) -> int:
        """Minutes that closed while the rest was fetched, so that no seam is left before the live ones."""
        while (end := open_of(await venue.server_time_ns(), MINUTE_S)) > done:
            await self._fill(job, 1.0, venue, symbol, plan.Wanted("1m", done, end), is_watched=is_watched)
            done = end
        return done

    async def _fill(
        self, job: JobContext, progress: float, venue: Venue, symbol: str, each: plan.Wanted, *, is_watched: bool
    ) -> int:
        """Fetch what the store lacks of one timeframe; holes that the ledger names are left to the repairs."""
        exchange, seconds = venue.info.name, SECONDS[each.timeframe]
        step = seconds * NS_PER_SECOND
        times = (await self._context.candles.range(exchange, symbol, seconds, each.start_ns, each.end_ns)).open_time
        holes = rows.absent(times, each.start_ns, each.end_ns, step)
        if seconds == MINUTE_S and is_watched:
            for gap in await self._known(exchange, symbol, each.start_ns, each.end_ns):
                first, last = gaps.touched(seconds, gap.start_ns, gap.end_ns)
                times = np.union1d(times, np.arange(max(first, each.start_ns), min(last, each.end_ns), step))
            holes = rows.absent(times, each.start_ns, each.end_ns, step)
        fetched = 0
        for start, end in plan.pages(each.start_ns, each.end_ns, seconds, min(PAGE, venue.info.candles_per_request)):
            inside = [(max(a, start), min(b, end)) for a, b in holes if a < end and b > start]
            if not inside:
                continue
            served = await venue.candles(symbol, each.timeframe, inside[0][0], inside[-1][1])
            new = rows.picked(rows.marked(served), ~np.isin(served.open_time, times))
            await publish_fetched(self._context, exchange, symbol, new)
            fetched += len(new.open_time)
            await job.report(progress, f"{each.timeframe}: {fetched} candles")
        return fetched

    async def _known(self, exchange: str, symbol: str, start_ns: int, end_ns: int) -> list[gaps.Gap]:
        async with self._context.database.reading() as tx:
            return await self._gaps.ledger.find(tx, GapQuery(exchange, symbol, start_ns, end_ns, limit=10_000))

    async def _ledger_downtime(self, exchange: str, symbol: str, now: int) -> int | None:
        """Minutes that are missing since the symbol was last complete become entries, which the repairs close.
        Returns how many entries, None for a symbol that is followed for the first time."""
        async with self._context.database.reading() as tx:
            since = await self._gaps.ledger.coverage(tx, exchange, symbol)
        if since is None:
            return None
        end = open_of(now, MINUTE_S)
        start = max(since, end - int(self._settings.downtime_days * 86_400 * NS_PER_SECOND) // MINUTE_NS * MINUTE_NS)
        times = (await self._context.candles.range(exchange, symbol, MINUTE_S, start, end)).open_time
        holes = rows.absent(times, start, end, MINUTE_NS) if end > start else []

        async def work(tx: UnitOfWork) -> None:
            for first, last in holes:
                await self._gaps.open(tx, exchange, symbol, Hole(first, last, "downtime", True), only_new=True)

        if holes:
            await self._context.messaging.unit_of_work(work)
            await self._gaps.refresh()
        return len(holes)
