"""The history service: wiring."""

from pathlib import Path
from typing import Any

from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context
from candlewick.services.history import api
from candlewick.services.history.handlers import fetching, repairing
from candlewick.services.history.handlers.fetching import Fetches
from candlewick.services.history.handlers.keeping import BACKUP, Keeping
from candlewick.services.history.handlers.ledger import Gaps
from candlewick.services.history.handlers.repairing import Repairs
from candlewick.services.history.handlers.storing import TOPICS, Storing
from candlewick.services.history.settings import HistorySettings
from candlewick.services.history.storage import SqlLedger


class History:
    """Stores candles, keeps the ledger, fetches, repairs."""

    def __init__(self, context: Context) -> None:
        settings: HistorySettings = context.settings
        self._context, self._settings = context, settings
        self._gaps = Gaps(context, SqlLedger())
        self._storing = Storing(context, self._gaps.on_holes, commit_ms=settings.commit_ms)
        self._fetches = Fetches(context, self._gaps, settings, self._storing.caught_up)
        self._repairs = Repairs(context, self._gaps, settings)
        self._keeping = Keeping(context, settings)
        self.router = api.new_router(context, self._gaps.ledger, self._storing, self._submit)
        self.schemas = api.SCHEMAS

    async def start(self) -> None:
        context, settings = self._context, self._settings
        # a recording's time is not the venue's, so nothing may be asked for it
        asks = context.mode != "replay"
        context.jobs.register(fetching.KIND, self._fetches.fetch)
        context.jobs.register(repairing.KIND, self._repairs.repair)
        context.jobs.register(BACKUP, self._keeping.backup)
        await self._gaps.refresh()
        await context.messaging.replay(["market.symbols"], self._fetches.on_symbols)
        await self._storing.start()
        await context.messaging.handle(["collector.gaps"], self._gaps.on_gap_suspected)
        if settings.fetch and asks:
            context.background("fetches", self._fetches.watch())
        if settings.repair and asks:
            context.background("repairs", self._repairs.watch())
        if settings.fetch or settings.repair or settings.keep_house:
            await context.jobs.start()
            context.background("keeping", self._keeping.watch())

    async def stop(self) -> None:
        # running jobs publish, so they end before the doors to the log are closed
        await self._context.jobs.stop()
        await self._storing.stop()

    async def caught_up(self) -> None:
        """Returns when every candle visible in the log at the call is stored, by whichever process."""
        await self._storing.caught_up()

    async def _submit(self, kind: str) -> Any:
        return await self._context.jobs.submit(kind, {}, key=kind)

    def health(self) -> Health:
        facts: dict[str, str | int | float | bool | None] = {
            "candles_stored": self._storing.stored,
            "candles_repeated": self._storing.repeated,
            "gaps_open": sum(self._gaps.open_by_exchange.values()),
            "symbols": len(self._gaps.followed),
            "fetches_waiting": len(self._fetches.wanted),
        }
        if (refusal := self._storing.patience.refusal) is not None:
            return Health(State.DEGRADED, f"{refusal.code}: {refusal}", facts)
        return Health(State.READY, facts=facts)


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="history",
    place=16,
    purpose="Keeps candles: stores, fetches and repairs them, owns the gap ledger.",
    settings=HistorySettings,
    build=History,
    consumes=(
        *(Subscription(topic, "shared") for topic in TOPICS),
        Subscription("collector.gaps", "shared"),
        Subscription("market.symbols", "broadcast"),
    ),
    produces=("history.candles", "history.gaps"),
    needs=frozenset({"database", "candles", "objects", "jobs"}),
    schema=Path(__file__).parent / "schema",
)
