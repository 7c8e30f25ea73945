"""How a running ``up`` is found: a file in its data dir that says who it is, and a socket to ask it."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from candlewick.kernel.errors import NotFound

FILE: Final = "running.json"
_SOCKET: Final = "control.sock"
#: Where ``up --replay`` keeps its data unless told.
_REPLAY: Final = "replay"


class NotRunning(NotFound):
    """No ``candlewick up`` runs on this data dir."""

    code = "NOT_RUNNING"


@dataclass(frozen=True, slots=True)
class Running:
    """Who runs on a data dir. ``began`` tells a process from a later one of the same id; empty where the system does
    not say."""

    pid: int
    began: str
    profile: str
    version: str
    address: str
    control: str
    data_dir: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process is still there."""
        return _is_there(self.pid) and began(self.pid) == self.began


def began(pid: int) -> str:
    """When a process began, as the system counts; '' where that cannot be read."""
    with suppress(OSError, IndexError):
        # Field 22 of proc_pid_stat(5); the name in field 2 may hold spaces and parentheses.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # One that has ended and was not waited for yet runs no more.
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


def look(data_dir: Path) -> Running | None:
    """Who runs on a data dir; None when nobody does, whatever a killed one has left there."""
    try:
        found = Running(**json.loads((data_dir / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.is_alive else None


def find(data_dir: Path) -> Running:
    """Who runs on a data dir, or on the one below it that replays use. Raises NotRunning."""
    for place in (data_dir, data_dir / _REPLAY):
        if (found := look(place)) is not None:
            return found
    raise NotRunning(
        f"no 'candlewick up' runs on this data dir, was {str(data_dir)!r}", hint="--data-dir names another"
    )


@contextmanager
def listening(data_dir: Path) -> Iterator[socket.socket]:
    """A socket that its owner alone may connect to, for the time of the block: in the data dir, or in a folder of its
    own where the path is too long or the file system takes no sockets. Raises OSError."""
    data_dir.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with ExitStack() as left:
        left.callback(listener.close)
        path = data_dir / _SOCKET
        try:
            _bind(listener, path)
        except OSError:
            path = Path(left.enter_context(tempfile.TemporaryDirectory(prefix="candlewick-"))) / _SOCKET
            _bind(listener, path)
        left.callback(path.unlink, missing_ok=True)
        listener.listen(16)
        listener.setblocking(False)
        yield listener


def _bind(listener: socket.socket, path: Path) -> None:
    # Between bind and chmod anybody could connect: the mask keeps them out from the beginning.
    mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    finally:
        os.umask(mask)


@contextmanager
def announced(data_dir: Path, running: Running) -> Iterator[None]:
    """The file, for the time of the block."""
    file = data_dir / FILE
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(asdict(running), out, indent=1)
    new.replace(file)
    try:
        yield
    finally:
        if look(data_dir) == running:
            file.unlink(missing_ok=True)
