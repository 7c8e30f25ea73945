"""What the collector wants besides the common ports."""

from typing import Protocol

import msgspec

from candlewick.ports.runtime import UnitOfWork


class Saved(msgspec.Struct, frozen=True):
    """How far a recording was played, and the parser's state there."""

    file: str
    line: int
    parser: bytes
    done: bool


class PlaybackTable(Protocol):
    """Where playbacks remember how far they came."""

    async def load(self, tx: UnitOfWork, recording: str) -> Saved | None: ...

    async def save(self, tx: UnitOfWork, recording: str, saved: Saved) -> None: ...
