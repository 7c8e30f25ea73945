"""The stream processor: runs the candle operator on the profile's stream runtime."""

import asyncio
from collections.abc import Mapping

from candlewick.kernel.errors import CandlewickError, Corrupt
from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context
from candlewick.quant.candles.operator import CandleOperator
from candlewick.services.stream.settings import StreamSettings

_COUNTERS = {"late": "trades_late_total", "duplicates": "trades_duplicate_total", "candles": "candles_total"}


class Stream:
    """Wiring only; the operator is pure and the runtime keeps its promises."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._operator = CandleOperator()
        self._counted: dict[str, int] = {}
        self._failed: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._failed = asyncio.get_running_loop().create_future()
        self._context.background("operator", self._watch(self._failed))
        await self._context.stream.start(self._operator, on_failure=self._fail, on_trouble=self._tell)
        self._context.before_export(self._export)

    async def stop(self) -> None:
        self._export()

    async def _watch(self, failed: "asyncio.Future[None]") -> None:
        await failed

    def _fail(self, error: BaseException) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    def _tell(self, error: CandlewickError) -> None:
        """What was lost cannot be read again, so candles that lack it are gapped; what is refused waits in the log."""
        if isinstance(error, Corrupt):
            self._context.logger.error(
                "part of the log is damaged; its trades are missing", code=error.code, detail=error.detail
            )
            self._context.metrics.count("events_dead_total", 1, self._context.name, "log", error.code)
        else:
            self._context.logger.error("candles wait; it is tried again", code=error.code, detail=str(error))

    async def caught_up(self) -> None:
        """Returns when everything that was in the log at the call has been processed and committed."""
        await self._context.stream.caught_up()

    def counters(self) -> Mapping[str, int]:
        """What the operator has counted since the start: candles, late, duplicates and more."""
        return dict(self._context.stream.stats().counters)

    def _export(self) -> None:
        stats = self._context.stream.stats()
        for name, value in stats.counters.items():
            metric = _COUNTERS.get(name)
            if metric is not None:
                self._context.metrics.count(metric, value - self._counted.get(name, 0), self._operator.name)
                self._counted[name] = value
        self._context.metrics.gauge("consumer_lag", stats.lag, self._context.name, ",".join(self._operator.consumes))

    def health(self) -> Health:
        stats = self._context.stream.stats()
        facts: dict[str, str | int | float | bool | None] = {
            "messages": stats.messages,
            "outputs": stats.outputs,
            "commits": stats.commits,
            "dead_letters": stats.dead_letters,
            "lag": stats.lag,
            **{f"trades_{k}" if k in {"late", "duplicates"} else k: v for k, v in stats.counters.items()},
        }
        if stats.refusal:
            return Health(State.DEGRADED, stats.refusal, facts)
        return Health(State.READY, facts=facts)


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="stream",
    place=18,
    purpose="Trades to candles of every timeframe, exactly once.",
    settings=StreamSettings,
    build=Stream,
    consumes=(Subscription("raw.market-data", "shared"),),
    produces=("normalized.ohlcv", "normalized.ohlcv-open"),
    needs=frozenset({"stream"}),
)
