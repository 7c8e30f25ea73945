"""The collector: one feed an exchange, following what market follows."""

import asyncio
from collections.abc import Sequence

from candlewick.contracts.market import Instrument, SymbolAdded, SymbolDeleted
from candlewick.kernel.errors import Retryable
from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context, Event
from candlewick.ports.venue import Feed
from candlewick.services.collector.handlers import FeedSink, OutgoingQueue, Writer
from candlewick.services.collector.settings import CollectorSettings

_RETRY_S = 5.0


class Collector:
    """Keeps the set of followed symbols from the compacted topic, and one running feed an exchange."""

    def __init__(self, context: Context) -> None:
        self._context = context
        settings: CollectorSettings = context.settings
        self._settings = settings
        self._queue = OutgoingQueue(settings.queue_bytes)
        self._writer = Writer(self._queue, context.messaging, context.clock, linger_s=settings.linger_ms / 1000)
        self._followed: dict[str, dict[str, Instrument]] = {}
        self._feeds: dict[str, Feed] = {}
        self._sinks: dict[str, FeedSink] = {}
        self._changed = asyncio.Event()

    async def start(self) -> None:
        self._context.background("writer", self._writer.run())
        await self._context.messaging.replay(("market.symbols",), self._on_symbols)
        self._context.background("feeds", self._keep_feeds())

    async def stop(self) -> None:
        """Close the sockets, then let what they gave reach the log."""
        for feed in self._feeds.values():
            await feed.close()
        await self._writer.drained()

    def _on_symbols(self, events: Sequence[Event]) -> None:
        for event in events:
            message = event.message
            if isinstance(message, SymbolAdded):
                instrument = message.instrument
                self._followed.setdefault(instrument.exchange, {})[instrument.symbol] = instrument
            elif isinstance(message, SymbolDeleted):
                self._followed.get(message.exchange, {}).pop(message.symbol, None)
        self._changed.set()

    async def _keep_feeds(self) -> None:
        """Start the feed of an exchange with its first symbol; tell running ones what came and went."""
        following: dict[str, set[str]] = {}
        while True:
            self._changed.clear()
            for exchange in (self._settings.exchange,):
                instruments = self._followed.get(exchange, {})
                wanted, now = set(instruments), following.get(exchange, set())
                if exchange not in self._feeds and wanted:
                    sink = FeedSink(exchange, self._queue, self._context.metrics, self._context.logger, None)
                    self._sinks[exchange] = sink
                    feed = self._context.venue(exchange).feed(sorted(wanted), list(instruments.values()), sink)
                    self._feeds[exchange] = feed
                    self._context.background(f"feed {exchange}", feed.run())
                elif wanted != now:
                    try:
                        await self._feeds[exchange].follow(sorted(wanted - now))
                        await self._feeds[exchange].unfollow(sorted(now - wanted))
                    except Retryable as error:
                        self._context.logger.warning("feed does not follow yet", exchange=exchange, code=error.code)
                        await self._context.clock.sleep(_RETRY_S)
                        self._changed.set()
                        continue
                following[exchange] = wanted
            await self._changed.wait()

    def health(self) -> Health:
        states = {f"{e}:{c}": s for e, sink in self._sinks.items() for c, s in sink.connections.items()}
        facts: dict[str, str | int | float | bool | None] = {
            "symbols": sum(map(len, self._followed.values())),
            "queue_bytes": self._queue.bytes,
            "conflated": self._queue.conflated,
            **states,
        }
        if states and not any(state == "connected" for state in states.values()):
            return Health(State.DEGRADED, "no connection to the venue is open; it is tried again", facts)
        return Health(State.READY, facts=facts)


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="collector",
    place=17,
    purpose="Connections to exchanges: trades, quotes and books into the log, and where something may be missing.",
    settings=CollectorSettings,
    build=Collector,
    consumes=(Subscription("market.symbols", "broadcast"),),
    produces=("raw.market-data", "raw.book", "raw.ticker", "collector.gaps", "collector.connections"),
)
