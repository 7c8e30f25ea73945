"""A small disk of the run's own for the data dir, to be filled up."""

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Final

SIZE_MIB: Final = 256
_STEP: Final = 1 << 20


class Disk:
    """A tmpfs. Only root may mount one; ``why_not`` tells why there is none."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._filler = folder, folder / "filler"
        self.why_not = "not mounted"

    def mount(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            self.why_not = "only root may mount a small disk"
            return
        options = f"size={SIZE_MIB}m,mode=755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "candlewick-chaos", str(self._folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.why_not = done.stderr.strip() if done.returncode else ""

    def unmount(self) -> None:
        """Also when somebody still has a file open on it."""
        if self._folder.is_mount():
            subprocess.run(["umount", "--lazy", str(self._folder)], check=False)

    def fill(self) -> None:
        """Until not one block is left."""
        handle = os.open(self._filler, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for step in (_STEP, 4096):
                size = os.fstat(handle).st_size
                with contextlib.suppress(OSError):
                    while True:
                        os.posix_fallocate(handle, size, step)
                        size += step
        finally:
            os.close(handle)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)
