"""Who is alive among those that hold leases: a lock file for each, which the kernel frees with a killed process.

So what a killed process held is taken over at the next look instead of when its lease runs out.
"""

import fcntl
import os
from pathlib import Path


class Owner:
    """One holder of leases. The lock belongs to the opened file, so two owners in one process are told apart."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._path = folder / name
        self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Whatever is still held is free from now on."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def is_dead(folder: Path, name: str) -> bool:
    """True when the holder has left or was killed; its file is removed then."""
    path = folder / name
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)
