"""Who has the file open: two advisory locks beside it that the kernel drops with a killed process.

``log.lock`` is held for the moment of opening and closing; ``log.live`` is shared for as long as a process has the
log open. Who gets ``log.live`` alone knows that nobody else is there. flock, because its locks belong to the opened
file: several logs in one process exclude each other as several processes do.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from candlewick.ports.log import LogUnavailable

_RETRY_S = 0.002


class Presence:
    """This process's place at one log file."""

    def __init__(self, directory: Path, timeout_s: float) -> None:
        self._door_path = directory / "log.lock"
        self._timeout_s = timeout_s
        self._live = os.open(directory / "log.live", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    @contextmanager
    def door(self) -> Iterator[None]:
        """Nobody else opens or closes the file meanwhile. Raises LogUnavailable after the time-out."""
        fd = os.open(self._door_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            deadline = time.monotonic() + self._timeout_s
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LogUnavailable(
                            f"another process has been opening or closing the log for {self._timeout_s} s",
                            hint=f"See who holds {self._door_path}",
                        ) from None
                    time.sleep(_RETRY_S)
            yield
        finally:
            os.close(fd)

    def alone(self) -> bool:
        """Whether no other holder is there; call it inside ``door`` only, and ``stay`` after it."""
        try:
            fcntl.flock(self._live, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def stay(self) -> None:
        """Hold the shared lock until ``leave``; call it inside ``door``."""
        fcntl.flock(self._live, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Give the place up."""
        os.close(self._live)
