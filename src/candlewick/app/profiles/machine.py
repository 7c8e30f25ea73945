"""What a process has of its own in every profile: clock, ids, metrics, venues, recordings, the ring of raw frames."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from candlewick.app.configuration import AppSettings
from candlewick.app.runtime.resources import Companion
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Fatal
from candlewick.kernel.ids import IdSource
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.net.budget import RateBudget
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.frames import FrameTap, Recording
from candlewick.ports.runtime import ServiceClient
from candlewick.ports.venue import Venue

if TYPE_CHECKING:
    from candlewick.adapters.frames.writer import RingArchive


class BadDataDir(Fatal):
    """The data dir is no folder and none can be made there."""

    code = "DATA_DIR"


class Machine:
    """The part of app.runtime.resources.Resources that needs no server. Making one makes the data dir."""

    def __init__(
        self,
        data_dir: Path,
        settings: AppSettings,
        *,
        mode: str,
        archived: str = "",
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """``archived`` names the venue whose raw frames are kept in the ring on disk [19], none when empty.
        ``on_step`` is told of every named step on the way from a frame to a stored candle; tests kill there."""
        self.clock: Clock = SystemClock()
        self.ids: IdSource = SystemIds()
        self.metrics = Metrics()
        self.mode = mode
        self.on_step = on_step or _ignore
        self.data_dir, self.settings = data_dir, settings
        self._ring = _new_ring(archived, data_dir, settings, self.clock) if archived else None
        self.archive: FrameTap | None = self._ring
        self._venues: dict[str, Venue] = {}
        self._chores: list[asyncio.Task[None]] = []
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadDataDir(
                f"the data dir cannot be made ({error.strerror}), was {str(data_dir)!r}",
                hint="Name another with --data-dir",
            ) from None

    def begin(self, *chores: Awaitable[None]) -> None:
        """Start what runs beside the services until ``end``."""
        if self._ring is not None:
            chores = (*chores, self._ring.run())
        self._chores = [asyncio.ensure_future(chore) for chore in chores]

    async def end(self) -> None:
        """Stop the chores and close the venues."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        for venue in self._venues.values():
            await venue.close()

    def companions(self, client: Callable[[str], ServiceClient], member: str) -> Mapping[str, Companion]:
        """None."""
        return {}

    def recording(
        self, paths: Sequence[str], speed: float, start: tuple[str, int] | None, report: Callable[[str, str], None]
    ) -> Recording:
        from candlewick.adapters.frames.player import Player
        from candlewick.adapters.frames.reader import Position

        position = Position(*start) if start is not None else None
        return Player([Path(p) for p in paths], self.clock, report, speed=speed or None, start=position)

    def venue(self, name: str) -> Venue:
        """The venue's adapter; only its package is imported. Raises UnknownVenue."""
        if name not in self._venues:
            budget = self.budget(name)
            self._venues[name] = new_venue(name, self.clock, self.settings, self.data_dir, budget=budget)
        return self._venues[name]

    def budget(self, venue: str) -> RateBudget | None:
        """What this address may ask of a venue, where other processes ask too; None leaves it to the venue."""
        return None


def _new_ring(venue: str, data_dir: Path, settings: AppSettings, clock: Clock) -> "RingArchive | None":
    from candlewick.adapters.frames.reader import Header
    from candlewick.adapters.frames.writer import RingArchive

    if not settings.frames_max_bytes:
        return None
    header = Header(venue, started=clock.now_ns())
    return RingArchive(data_dir / "frames", venue, header, clock, max_bytes=settings.frames_max_bytes)


def _ignore(step: str) -> None:
    """No one watches the steps."""


def new_venue(
    name: str, clock: Clock, settings: AppSettings, data_dir: Path, *, budget: RateBudget | None = None
) -> Venue:
    """An adapter by the name of its package. Raises UnknownVenue."""
    from candlewick.adapters import venues

    if name == "demo":
        return venues.venue(name, clock=clock, seed=settings.demo_seed)
    options = {"rest_url": settings.venue_rest_url, "stream_url": settings.venue_stream_url, "budget": budget}
    given = {k: v for k, v in options.items() if v}
    return venues.venue(name, clock=clock, random=random.Random().random, spool=data_dir / "spool" / name, **given)
