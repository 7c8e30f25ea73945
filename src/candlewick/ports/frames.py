"""Recordings: raw frames as a venue sent them, with their receive times, played again in the same order."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class FramePosition(Protocol):
    """Where to go on: the file within the recording, and how many of its lines have been used."""

    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...


class FrameBlock(Protocol):
    """Frames in order, and the position behind the last of them."""

    @property
    def position(self) -> FramePosition: ...
    @property
    def frames(self) -> Sequence[tuple[int, bytes]]: ...


class Recording(Protocol):
    """A recording being played at its speed. What is wrong with a file was told to whoever opened it."""

    def blocks(self) -> AsyncIterator[FrameBlock]: ...


class FrameTap(Protocol):
    """Takes every raw frame: the ring archive on disk, or a recording being made."""

    def write(self, ts_recv: int, raw: bytes) -> None: ...
