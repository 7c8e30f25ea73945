"""The $name service: wiring only."""

from functools import partial
from pathlib import Path

from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context
from candlewick.services.$name import api, handlers
from candlewick.services.$name.domain import Close
from candlewick.services.$name.settings import ${Name}Settings
from candlewick.services.$name.storage import SqlCloses


class $Name:
    """The newest closes, kept in this service's own table."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._closes = SqlCloses()
        self.router = api.router(self._read)

    async def start(self) -> None:
        settings: ${Name}Settings = self._context.settings
        on_candles = partial(handlers.on_candles, closes=self._closes, timeframe_s=settings.timeframe_s)
        await self._context.messaging.handle(["normalized.ohlcv"], on_candles)

    async def stop(self) -> None:
        """Nothing is in hand: what a handler did not commit is delivered again."""

    def health(self) -> Health:
        return Health(State.READY)

    async def _read(self, exchange: str, symbol: str) -> Close | None:
        async with self._context.database.reading() as tx:
            return await self._closes.get(tx, exchange, symbol)


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="$name",
    place=$place,
    purpose="Keeps the newest final close of every symbol.",
    settings=${Name}Settings,
    build=$Name,
    consumes=(Subscription("normalized.ohlcv", "shared"),),
    needs=frozenset({"database"}),
    schema=Path(__file__).parent / "schema",
)
