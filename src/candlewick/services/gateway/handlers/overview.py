"""Use cases of the gateway: the status of the whole, from what the log and the services say."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from candlewick import __version__
from candlewick.contracts.collector import ConnectionChanged, Progress, TradeBatch
from candlewick.contracts.history import CandlesFetched, GapClosed, GapOpened
from candlewick.kernel.clock import NS_PER_MS, NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.net.deadline import Deadline, within
from candlewick.ports.log import EventLog
from candlewick.ports.runtime import Event, ServiceClient

_RATE_WINDOW_S = 10
_LAGS_KEPT = 2000
_STALE_S = 30
_LOOK_S = 2.0


class FeedView(msgspec.Struct, frozen=True):
    """How fresh the prices are: from a trade's time at the venue to its entry in the log."""

    lag_p50_ms: float | None
    lag_p99_ms: float | None
    connected: bool
    symbols: int
    stale_symbols: int


class LogView(msgspec.Struct, frozen=True):
    """What the event log holds."""

    bytes: int
    events: int


class ServiceView(msgspec.Struct, frozen=True):
    """One service's state and why."""

    name: str
    state: str
    detail: str | None


class Status(msgspec.Struct, frozen=True):
    """The whole at a glance. ``now`` and ``started_at`` are ms UTC; ``now`` is the last event's time in a replay."""

    version: str
    mode: Literal["simulated", "replay", "live"]
    mode_detail: str
    ready: bool
    now: int
    started_at: int
    feed: FeedView
    gaps_open: int
    events_per_second: float
    log: LogView
    services: list[ServiceView]


class Overview:
    """Keeps what the status line shows; a follower, so it costs the services nothing."""

    def __init__(self, clock: Clock, log: EventLog) -> None:
        self._clock, self._log = clock, log
        self._started_ns = clock.now_ns()
        self._lags_ms: deque[float] = deque(maxlen=_LAGS_KEPT)
        self._arrivals: deque[tuple[int, int]] = deque()
        self._heard: dict[str, int] = {}
        self._connections: dict[str, str] = {}
        self._gaps: set[str] = set()
        self._last_event_ns = 0

    async def load_gaps(self, history: ServiceClient) -> None:
        """The gaps that are open already; what history cannot tell now comes with its events."""
        try:
            status, _, body = await history.get("/gaps", {"state": "open"})
        except CandlewickError:
            return
        if status == 200:
            self._gaps |= {gap["id"] for gap in json.loads(body)["gaps"]}

    def on_events(self, events: Sequence[Event]) -> None:
        """Follower of raw and ledger topics."""
        now = self._clock.monotonic_ns()
        self._arrivals.append((now, len(events)))
        while self._arrivals and now - self._arrivals[0][0] > _RATE_WINDOW_S * NS_PER_SECOND:
            self._arrivals.popleft()
        for event in events:
            message = event.message
            if isinstance(message, TradeBatch):
                newest = int(message.columns_v1.ts_event[-1])
                self._lags_ms.append((event.ts_append - newest) / NS_PER_MS)
                self._heard[message.key] = event.ts_append
                self._last_event_ns = max(self._last_event_ns, newest)
            elif isinstance(message, CandlesFetched):
                self._last_event_ns = max(self._last_event_ns, event.envelope.ts_event)
            elif isinstance(message, Progress):
                if message.feed_alive:
                    self._heard[message.key] = event.ts_append
            elif isinstance(message, ConnectionChanged):
                self._connections[message.key] = message.state
            elif isinstance(message, GapOpened):
                self._gaps.add(message.gap_id)
            elif isinstance(message, GapClosed):
                self._gaps.discard(message.gap_id)

    async def status(self, mode: str, detail: str, clients: dict[str, ServiceClient]) -> Status:
        """Ask every service how it is, at once; one that does not answer is told as failed."""
        services = await asyncio.gather(*(_service(name, client, self._clock) for name, client in clients.items()))
        topics = await self._log.describe()
        now = self._clock.now_ns()
        lags = sorted(self._lags_ms) if mode == "live" else []
        stale = sum(now - at > _STALE_S * NS_PER_SECOND for at in self._heard.values())
        span_s = (
            max(1.0, (self._clock.monotonic_ns() - self._arrivals[0][0]) / NS_PER_SECOND) if self._arrivals else 1.0
        )
        connected = any(state == "connected" for state in self._connections.values()) or (
            mode != "live" and bool(self._heard) and stale < len(self._heard)
        )
        return Status(
            version=__version__,
            mode=mode,  # type: ignore[arg-type]
            mode_detail=detail,
            ready=all(s.state in ("ready", "degraded") for s in services),
            now=(self._last_event_ns if mode == "replay" and self._last_event_ns else now) // NS_PER_MS,
            started_at=self._started_ns // NS_PER_MS,
            feed=FeedView(_quantile(lags, 0.5), _quantile(lags, 0.99), connected, len(self._heard), stale),
            gaps_open=len(self._gaps),
            events_per_second=round(sum(n for _, n in self._arrivals) / span_s, 1),
            log=LogView(sum(t.bytes for t in topics), sum(t.records for t in topics)),
            services=list(services),
        )


async def _service(name: str, client: ServiceClient, clock: Clock) -> ServiceView:
    try:
        with within(Deadline(clock, _LOOK_S)):  # one that hangs must not keep the others' states back
            _, _, body = await client.get("/health/detailed")
        health: dict[str, Any] = json.loads(body)
        return ServiceView(name, health["status"], health.get("detail") or None)
    except (CandlewickError, ValueError, KeyError) as error:
        return ServiceView(name, "failed", str(error))


def _quantile(ordered: list[float], q: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 2) if ordered else None
