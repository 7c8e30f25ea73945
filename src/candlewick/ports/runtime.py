"""What a service is given when it is built, and how messages reach its handlers.

Three ways to take messages, and no other:
- ``handle``: shared; one transaction of the service's database holds the handler's state, the inbox mark and the
  outbox rows [14]. The runtime commits, drops duplicates, may put many messages into one transaction and bisects on a
  poison one, which goes to the dead letters. A handler never commits.
- ``follow``: broadcast; every process sees every message, nothing is committed [13]. Handlers are plain functions that
  keep memory up to date; what raises is logged, counted and skipped.
- an ``Operator`` on the stream runtime (ports.stream).

Two ways to produce: ``UnitOfWork.emit`` (facts that belong to a database change; relayed in order), and ``publish``
(facts that are nowhere else: market data).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from candlewick.contracts.base import Envelope, Message
from candlewick.kernel.clock import Clock
from candlewick.kernel.ids import IdSource
from candlewick.kernel.metrics import Metrics
from candlewick.ports.answers import Answers
from candlewick.ports.backups import Backups
from candlewick.ports.cache import Cache
from candlewick.ports.candles import CandleStore
from candlewick.ports.database import Database, Row, Value
from candlewick.ports.frames import FrameTap, Recording
from candlewick.ports.jobs import Jobs
from candlewick.ports.log import EventLog, Position
from candlewick.ports.objects import Objects
from candlewick.ports.stream import StreamRuntime
from candlewick.ports.venue import Venue


class Event(msgspec.Struct, frozen=True):
    """A message as it came out of the log. ``ts_append`` is when the log took it."""

    topic: str
    partition: int
    position: Position
    envelope: Envelope
    message: Message
    ts_append: int


class UnitOfWork(Protocol):
    """What a handler may do to the world: its own tables, and facts that follow from the change."""

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int: ...

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None: ...

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]: ...

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None: ...

    def emit(self, topic: str, message: Message, *, ts_event: int, cause: Envelope | None = None) -> None:
        """Published after the commit, in order per key, at least once; consumers drop what they have seen."""
        ...


TransactionalHandler = Callable[[Event, UnitOfWork], Awaitable[None]]
Follower = Callable[[Sequence[Event]], None]


class Messaging(Protocol):
    """The service's door to the log. Subscriptions are made in ``start`` and end by themselves at stop."""

    async def handle(self, topics: Sequence[str], handler: TransactionalHandler) -> None: ...

    async def follow(
        self, topics: Sequence[str], follower: Follower, *, after: Mapping[tuple[str, int], Position] | None = None
    ) -> None:
        """Starts behind ``after``; partitions not named there start with what comes from now on. Returns once the
        follower sees everything that is appended after the call."""
        ...

    async def replay(self, topics: Sequence[str], follower: Follower) -> None:
        """As ``follow`` from the oldest kept record; returns once everything visible at the call was handed over.
        For compacted topics, whose records are a state."""
        ...

    async def publish(self, topic: str, messages: Sequence[tuple[Message, int, int]]) -> list[Position]:
        """Root events as (message, ts_event, ts_recv); returns once the log keeps them."""
        ...

    async def unit_of_work(self, work: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
        """Run ``work`` in one transaction of the service's database with an outbox, for changes asked over HTTP."""
        ...


class ServiceClient(Protocol):
    """HTTP to another service; in one process its ASGI app is called directly, and callers do not know which.

    A call ends by the deadline of the request or work that it is part of (``kernel.net.deadline.within``), else by a
    time-out of its own. It may be put again where that is safe.
    """

    async def get(self, path: str, params: Mapping[str, str] = {}) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers (lower case names), body. Raises Retryable when the service cannot be asked, as
        DeadlineExceeded when the time was over."""
        ...

    async def post(self, path: str, body: bytes, *, key: str | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """As ``get``. With ``key``, by which the other service knows a second request for the first one put again, it
        may be sent more than once."""
        ...


class Context(Protocol):
    """Everything a service may touch. A port that its spec does not need is None-free: asking for it is an error."""

    @property
    def name(self) -> str: ...
    @property
    def member(self) -> str:
        """The process among those that share a consumer group; stable across its restarts."""
        ...

    @property
    def mode(self) -> str:
        """What the prices are: ``live`` (a venue's public data), ``replay`` (a recording) or ``simulated``."""
        ...

    @property
    def settings(self) -> Any:
        """An instance of the settings class its spec names."""
        ...

    @property
    def clock(self) -> Clock: ...
    @property
    def ids(self) -> IdSource: ...
    @property
    def logger(self) -> Any: ...
    @property
    def metrics(self) -> Metrics: ...
    def before_export(self, refresh: Callable[[], None]) -> None:
        """Call ``refresh`` before each export of the metrics, for those that are read rather than counted, for as long
        as the service lives."""
        ...

    @property
    def messaging(self) -> Messaging: ...
    @property
    def log(self) -> EventLog: ...
    @property
    def database(self) -> Database: ...
    @property
    def candles(self) -> CandleStore: ...
    @property
    def cache(self) -> Cache: ...
    @property
    def answers(self) -> Answers:
        """Over the cache."""
        ...

    @property
    def objects(self) -> Objects: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def backups(self) -> Backups:
        """Of this service's database and candles; the runtime makes them on a schedule."""
        ...

    @property
    def stream(self) -> StreamRuntime: ...
    def venue(self, name: str) -> Venue:
        """The venue's adapter, opened, shared by the process. Raises UnknownVenue."""
        ...

    @property
    def archive(self) -> FrameTap | None:
        """The ring of raw frames on disk [19]; None when it is turned off."""
        ...

    def recording(
        self, paths: Sequence[str], speed: float, start: tuple[str, int] | None, report: Callable[[str, str], None]
    ) -> Recording:
        """A recording to play, from (file, line) on; ``speed`` 0 is as fast as possible. ``report`` is told (code,
        detail) of what is wrong with the files. Raises RecordingNotFound."""
        ...

    def on_step(self, step: str) -> None:
        """A named step was reached; tests kill the process here."""
        ...

    def client(self, service: str) -> ServiceClient:
        """Only for services that the spec's ``calls`` names."""
        ...

    def upstream(self, service: str) -> Any:
        """An ASGI application that answers as the service does: itself in one process, a proxy otherwise."""
        ...

    def background(self, name: str, work: Awaitable[None]) -> None:
        """Run a task as part of the service: its failure is the service's failure, and it is cancelled at stop."""
        ...


class HasApi(Protocol):
    """A service with an HTTP or WebSocket face, at its public paths."""

    @property
    def router(self) -> Any:
        """A FastAPI router; errors are raised as CandlewickError and become problem+json outside."""
        ...

    @property
    def hot(self) -> Mapping[str, Any]:
        """ASGI applications by path prefix that are asked so often that they go before the router."""
        ...

    @property
    def schemas(self) -> Sequence[type[msgspec.Struct]]:
        """The structs that its routes name in their replies, for OpenAPI."""
        ...
