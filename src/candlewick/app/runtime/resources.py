"""What one process opens once and its services share."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from candlewick.kernel.clock import Clock
from candlewick.kernel.ids import IdSource
from candlewick.kernel.metrics import Metrics
from candlewick.ports.answers import Answers
from candlewick.ports.cache import Cache
from candlewick.ports.frames import FrameTap, Recording
from candlewick.ports.log import EventLog
from candlewick.ports.objects import Objects
from candlewick.ports.runtime import ServiceClient
from candlewick.ports.venue import Venue

Companion = Callable[[], Awaitable[None]]
"""Runs until cancelled; what it raises is told, and it is begun again."""


class Resources(Protocol):
    """A profile, opened. ``own`` opens a port that belongs to one service alone."""

    clock: Clock
    ids: IdSource
    metrics: Metrics
    log: EventLog
    cache: Cache
    answers: Answers
    objects: Objects
    mode: str
    archive: FrameTap | None
    on_step: Callable[[str], None]

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def own(self, port: str, service: str, member: str) -> Any:
        """An opened Database, CandleStore, Jobs or (not started) StreamRuntime of one service."""
        ...

    def venue(self, name: str) -> Venue: ...

    def companions(self, client: Callable[[str], ServiceClient], member: str) -> Mapping[str, Companion]:
        """What the profile runs beside the services of this process once they are ready, by name."""
        ...

    def recording(
        self, paths: Sequence[str], speed: float, start: tuple[str, int] | None, report: Callable[[str, str], None]
    ) -> Recording: ...
