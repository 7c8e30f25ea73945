"""What the collector wants besides the common ports."""

from typing import Protocol


class FrameTap(Protocol):
    """Takes every raw frame: the ring archive on disk, or a recording."""

    def write(self, ts_recv: int, raw: bytes) -> None: ...
