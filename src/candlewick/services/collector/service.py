"""The collector: one feed of its exchange, following what market follows; or a recording in a feed's place."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from candlewick.contracts.market import Instrument, SymbolAdded, SymbolDeleted
from candlewick.kernel.errors import Retryable
from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context, Event
from candlewick.ports.venue import Feed
from candlewick.services.collector.domain import steps, wanted
from candlewick.services.collector.handlers.playback import Playback
from candlewick.services.collector.handlers.queue import OutgoingQueue, Writer
from candlewick.services.collector.handlers.sink import FeedSink
from candlewick.services.collector.handlers.suspicions import Suspicions
from candlewick.services.collector.settings import CollectorSettings
from candlewick.services.collector.storage import SqlPlaybackTable

_RETRY_S = 5.0


class Collector:
    """Keeps the set of followed symbols from the compacted topic, and one running feed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        settings: CollectorSettings = context.settings
        self._settings = settings
        self._queue = OutgoingQueue(settings.queue_bytes)
        self._writer = Writer(
            self._queue, context.messaging, context.clock, context.logger, linger_s=settings.linger_ms / 1000
        )
        self._suspicions = Suspicions(context.messaging, context.clock, context.logger)
        self.sink = FeedSink(
            settings.exchange, self._queue, self._suspicions, context.metrics, context.logger, context.archive
        )
        self._followed: dict[str, Instrument] = {}
        self._feed: Feed | None = None
        self._changed = asyncio.Event()
        self.playback: Playback | None = None
        self.played = asyncio.Event()

    async def start(self) -> None:
        self._context.before_export(self._export)
        self._context.background("writer", self._writer.run())
        if self._settings.replay_paths:
            self._context.background("playback", self._play())
            return
        if not self._settings.follow:
            return
        self._context.background("suspicions", self._suspicions.run())
        await self._context.messaging.replay(("market.symbols",), self._on_symbols)
        self._context.background("feed", self._keep_feed())

    async def stop(self) -> None:
        """Close the sockets, then let what they gave reach the log."""
        if self._feed is not None:
            await self._feed.close()
        if self.playback is None:
            await self._writer.drained()
            await self._suspicions.said()

    async def _play(self) -> None:
        settings, context = self._settings, self._context
        self.playback = Playback(
            settings.replay_paths,
            settings.replay_speed,
            open_recording=lambda start: context.recording(
                settings.replay_paths, settings.replay_speed, start, self.sink.damage
            ),
            parser=context.venue(settings.exchange).parser(()),
            sink=self.sink,
            writer=self._writer,
            suspicions=self._suspicions,
            table=SqlPlaybackTable(),
            messaging=context.messaging,
            clock=context.clock,
            on_step=context.on_step,
        )
        await self.playback.run()
        self.played.set()
        context.logger.info("recording played to its end", frames=self.playback.stats.frames)

    def _on_symbols(self, events: Sequence[Event]) -> None:
        for event in events:
            message = event.message
            if isinstance(message, SymbolAdded):
                if message.instrument.exchange == self._settings.exchange:
                    self._followed[message.instrument.symbol] = message.instrument
            elif isinstance(message, SymbolDeleted) and message.exchange == self._settings.exchange:
                self._followed.pop(message.symbol, None)
        self._changed.set()

    async def _keep_feed(self) -> None:
        """Start the feed with the first symbol; tell it what came, went, and is now known otherwise."""
        following: dict[str, Instrument] = {}
        while True:
            self._changed.clear()
            to_follow = wanted(self._followed)
            try:
                if self._feed is not None:
                    await self._tell(self._feed, following, to_follow)
                elif to_follow:
                    venue = self._context.venue(self._settings.exchange)
                    self._feed = venue.feed(sorted(to_follow), list(to_follow.values()), self.sink)
                    self._context.background(f"feed {self._settings.exchange}", self._feed.run())
            except Retryable as error:
                self._context.logger.warning("feed does not follow yet", code=error.code, detail=error.detail)
                await self._context.clock.sleep(_RETRY_S)
                continue
            following = to_follow
            await self._changed.wait()

    async def _tell(self, feed: Feed, following: dict[str, Instrument], to_follow: dict[str, Instrument]) -> None:
        change = steps(following, to_follow)
        if change.unfollow:
            await feed.unfollow(change.unfollow)
        if change.learn:
            feed.learn(change.learn)
        if change.follow:
            await feed.follow(change.follow)

    def _export(self) -> None:
        waiting = self._feed.waiting_bytes() if self._feed is not None else 0
        self._context.metrics.gauge("feed_spool_bytes", waiting, self._settings.exchange)

    def health(self) -> Health:
        states = dict(self.sink.connections)
        facts: dict[str, str | int | float | bool | None] = {
            "exchange": self._settings.exchange,
            "symbols": len(self._followed),
            "queue_bytes": self._queue.bytes,
            "conflated": self._queue.conflated,
            **{f"connection {name}": state for name, state in states.items()},
        }
        if self.playback is not None:
            stats = self.playback.stats
            facts |= {"frames": stats.frames, "played": stats.done, "resumed_from": stats.resumed_from}
        if (refusal := self._writer.refusal) is not None:
            return Health(State.DEGRADED, f"{refusal.code}: {refusal}", facts)
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
    needs=frozenset({"database"}),
    schema=Path(__file__).parent / "schema",
)
