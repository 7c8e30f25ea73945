"""The realtime service: wiring."""

import msgspec

from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context
from candlewick.services.realtime.api.events import EventPage, EventReader
from candlewick.services.realtime.api.routes import new_router
from candlewick.services.realtime.handlers import Fanout
from candlewick.services.realtime.settings import RealtimeSettings

_STREAMED = ("normalized.ohlcv", "normalized.ohlcv-open", "history.candles", "raw.market-data", "raw.book")
_INDEXED = ("history.gaps", "market.symbols", "market.markets", "collector.gaps", "collector.connections")


class Realtime:
    """Sockets over what the log says from now on; snapshots come from market."""

    def __init__(self, context: Context) -> None:
        self._context = context
        settings: RealtimeSettings = context.settings
        self._fanout = Fanout(
            context.log, context.client("market"), mode=context.mode, replay_records=settings.replay_records
        )
        self._reader = EventReader(context.log)
        self.router = new_router(self._fanout, self._reader, context)
        self.hot: dict[str, object] = {}
        self.schemas: tuple[type[msgspec.Struct], ...] = (EventPage,)

    async def start(self) -> None:
        # Positions first, then follow from there: a token names every topic before its first event has come.
        context = self._context
        consumer = await context.log.consumer(_STREAMED, group=None, member=context.member, start="newest")
        ends = await consumer.end_positions()
        await consumer.close()
        self._fanout.stand_at(ends)
        await context.messaging.follow(_STREAMED, self._fanout.on_events, after=ends)
        await self._context.messaging.follow(("normalized.ohlcv", "history.candles", *_INDEXED), self._reader.on_events)
        self._context.before_export(self._export)

    async def stop(self) -> None:
        """Sockets are closed by the server; clients come back with their tokens."""

    def _export(self) -> None:
        self._context.metrics.gauge("websocket_clients", self._fanout.count())

    def health(self) -> Health:
        return Health(State.READY, facts={"clients": self._fanout.count()})


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="realtime",
    place=15,
    purpose="WebSocket fan-out of candles, tickers, trades and books; any event again by id or cursor.",
    settings=RealtimeSettings,
    build=Realtime,
    consumes=tuple(Subscription(topic, "broadcast") for topic in (*_STREAMED, *_INDEXED)),
    calls=("market",),
)
