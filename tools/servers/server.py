"""What a server is to ``./dev servers``."""

import http.client
import shutil
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tools.servers import supervise
from tools.servers.place import HOME, HOST, Trouble
from tools.servers.supervise import Process


class Server(ABC):
    """One kind of server: what it runs, when it is ready and where it is to be found."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    ready_seconds: ClassVar[float] = 60.0

    def __init__(self, ports: Mapping[str, int], home: Path = HOME) -> None:
        self.ports = ports
        self.home = home
        self.folder = home / self.name

    @abstractmethod
    def fetch(self) -> None:
        """Have the programs; nothing is fetched twice."""

    @abstractmethod
    def processes(self) -> Sequence[Process]:
        """Its processes, in the order of starting; needs no program to be there."""

    @abstractmethod
    def lay(self) -> None:
        """Write configuration and what a first start needs; keeps data that is there."""

    @abstractmethod
    def why_not(self) -> str | None:
        """None when it answers as a client wants it to, else the reason."""

    @abstractmethod
    def addresses(self) -> dict[str, str]:
        """What tests connect to, by the names of ``candlewick.testing.servers``."""

    def start(self) -> bool:
        """Start what does not run, wait until it is ready; False when all of it was.

        Raises:
            Trouble: it did not come up; what this call started is ended again.
        """
        before = self.pids()
        if len(before) == len(self.processes()) and self.why_not() is None:
            return False
        self.fetch()
        try:
            self.bring_up()
        except Trouble:
            supervise.stop([process for process in self.processes() if process.name not in before])
            raise
        return True

    def bring_up(self) -> None:
        """All processes at once; a server whose processes wait for one another has its own."""
        self.lay()
        for process in self.processes():
            supervise.spawn(process)
        supervise.wait_ready(self.why_not, self.processes(), self.ready_seconds)

    def stop(self) -> list[str]:
        """End its processes; names those that had to be killed."""
        return supervise.stop(self.processes())

    def wipe(self) -> None:
        """Remove data and logs, not what was downloaded."""
        if any(process.running() for process in self.processes()):
            raise Trouble(f"{self.name} runs; its data is removed only when it does not")
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """The living processes."""
        return {p.name: alive.pid for p in self.processes() if (alive := p.running()) is not None}

    def state(self) -> tuple[str, str]:
        """``up``, ``down`` or ``broken``, and what there is to say about it."""
        alive = self.pids()
        dead = [process.name for process in self.processes() if process.name not in alive]
        if not alive:
            left = [process.name for process in self.processes() if process.pid_file.exists()]
            return ("broken", f"{', '.join(left)} died") if left else ("down", "")
        told = ", ".join(f"{name} {pid}" if len(alive) > 1 else f"pid {pid}" for name, pid in alive.items())
        if dead:
            return "broken", f"{', '.join(dead)} not running; {told}"
        reason = self.why_not()
        return ("broken", f"{reason}; {told}") if reason else ("up", told)

    def url(self, port: str, scheme: str = "http") -> str:
        """``scheme://127.0.0.1:`` and a port of the table."""
        return f"{scheme}://{HOST}:{self.ports[port]}"


def answer(url: str, seconds: float = 2.0) -> tuple[int, str]:
    """Status and body of a GET, whatever the status.

    Raises:
        OSError: nothing answers.
    """
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.reason
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error


def refuses(url: str) -> str | None:
    """Why ``url`` does not answer 200, or None when it does."""
    try:
        status, reason = answer(url)
    except OSError as error:
        return f"{url} does not answer ({error})"
    return None if status == 200 else f"{url} answers {status} {reason}".rstrip()
