"""What one start of the product shows: a venue's live data, a recording, or the demo market."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candlewick.app.configuration import Configuration
from candlewick.kernel.errors import CandlewickError, Rejected
from candlewick.kernel.system import SystemClock

DEMO = "demo"
LIVE = "binance"
PROBE_TIMEOUT_S = 2.0
# Files of rows; everything else given to --replay is a recording of frames.
TABLE_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".json", ".json.gz", ".jsonl", ".jsonl.gz", ".parquet", ".feather", ".zip")


class BadSpeed(Rejected):
    """A replay speed that is neither a positive number nor max."""

    code = "BAD_SPEED"


class MixedReplay(Rejected):
    """Recordings of frames and files of rows cannot be played together."""

    code = "MIXED_REPLAY"


@dataclass(frozen=True, slots=True)
class Session:
    """``mode`` is live, replay or simulated; ``why`` is told in one line when it is not what was hoped for."""

    exchange: str
    mode: str
    detail: str
    why: str = ""
    paths: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    speed: float = 1.0

    @property
    def archived(self) -> str:
        """The venue whose raw frames are worth keeping: only a live one's."""
        return self.exchange if self.mode == "live" else ""

    def profile(self) -> dict[str, dict[str, Any]]:
        """The settings that follow from it, weaker than the file's."""
        return {
            "market": {"exchange": self.exchange},
            "collector": {
                "exchange": self.exchange,
                "replay_paths": self.paths,
                "replay_speed": self.speed,
                "follow": not self.files,
            },
            "gateway": {"mode_detail": self.detail},
        }


async def choose(exchange: str, configuration: Configuration) -> Session:
    """``auto`` takes the live venue when it answers within two seconds, else the demo market [20]. Raises
    UnknownVenue."""
    if exchange == DEMO:
        return Session(DEMO, "simulated", "demo market")
    if exchange != "auto":
        _check_venue(exchange)
        return Session(exchange, "live", exchange)
    if await is_reachable(configuration):
        return Session(LIVE, "live", LIVE)
    return Session(
        DEMO, "simulated", "demo market",
        f"{LIVE} did not answer within {PROBE_TIMEOUT_S:g} s: playing the demo market, a simulation, not real prices",
    )  # fmt: skip


def _check_venue(exchange: str) -> None:
    """Raises UnknownVenue: said at the start, not by services that fail again and again."""
    from candlewick.adapters import venues

    if exchange not in venues.names():
        raise venues.UnknownVenue(f"--exchange must be one of {', '.join(venues.names())}, was {exchange!r}")


async def is_reachable(configuration: Configuration) -> bool:
    """Whether the live venue answers now."""
    from candlewick.app.profiles.machine import new_venue

    try:
        venue = new_venue(LIVE, SystemClock(), configuration.app, configuration.data_dir)
        try:
            return await asyncio.wait_for(venue.is_reachable(PROBE_TIMEOUT_S), PROBE_TIMEOUT_S + 0.5)
        finally:
            await venue.close()
    except (CandlewickError, TimeoutError, OSError):
        return False


def replay(paths: Sequence[Path], speed: str, *, exchange: str = LIVE) -> Session:
    """Recordings played by the collector, or files of candles and trades played beside it. Raises BadSpeed,
    MixedReplay, UnknownVenue, RecordingNotFound."""
    from candlewick.adapters.frames.reader import recording_files

    times = speed_of(speed)
    _check_venue(exchange)
    shown = "replay as fast as possible" if times == 0 else f"replay {times:g}x"
    files = tuple(p for p in paths if p.name.endswith(TABLE_SUFFIXES))
    if files and len(files) < len(paths):
        raise MixedReplay("--replay takes recordings, or files of candles and trades, not both at once")
    if files:
        return Session(exchange, "replay", shown, files=files, speed=times)
    for path in paths:
        recording_files(path)
    return Session(exchange, "replay", shown, paths=tuple(str(p.absolute()) for p in paths), speed=times)


def data_dir_of(session: Session, given: Path | None, configuration: Configuration) -> Path | None:
    """Where a session keeps its data unless told: recorded prices do not mix with live ones of the same venue."""
    return configuration.data_dir / "replay" if session.mode == "replay" and given is None else given


def speed_of(text: str) -> float:
    """Times real time; 0 for ``max``. Raises BadSpeed."""
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed <= 1_000_000:
        raise BadSpeed(f"--speed takes a positive number or max, was {text!r}")
    return speed
