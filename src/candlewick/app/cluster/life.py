"""One process of a service, from its start to its end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from candlewick.app.cluster import handover
from candlewick.app.cluster.launch import Begun, Launch, execute
from candlewick.app.control.logs import Lines
from candlewick.app.http.server import bind
from candlewick.kernel.errors import Fatal
from candlewick.kernel.logging import logger

READY_WITHIN_S: Final = 120.0
_STOP_WITHIN_S: Final = 25.0
# As a shell says of a command that is not there.
_NEVER_BEGAN: Final = 127


class ProcessFailed(Fatal):
    """A service's process ended before it was ready."""

    code = "PROCESS_FAILED"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one version of a service is begun: an interpreter that has Candlewick installed, what follows ``run
    SERVICE`` on its command line, its environment over the supervisor's own, where secrets are, and the way."""

    python: str
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    launch: Launch = execute

    def of(self, python: str) -> "Recipe":
        """The same of what ``python`` has installed now, which only a new program is sure to be."""
        return replace(self, python=python, launch=execute)

    def command(self, service: str, member: str) -> list[str]:
        """The command line, but for the handover."""
        return [self.python, "-m", "candlewick.app.cli.main", "run", service, *self.arguments, "--member", member]


class Life:
    """``member`` is its name among the processes of the service. ``at`` is where this very process answers."""

    def __init__(self, service: str, recipe: Recipe, member: str, show: Callable[[bytes], None]) -> None:
        """``show`` gets what it prints, in whole lines."""
        self.service, self.recipe, self.member = service, recipe, member
        self.pid, self.at = 0, ("", 0)
        self.is_leaving = False
        self._show = show
        self._reached = {word: asyncio.Event() for word in (handover.WARM, handover.READY, handover.LEVEL,
                                                           handover.SERVING, handover.CLOSED)}  # fmt: skip
        self._log = logger("supervisor")
        self._line: socket.socket | None = None
        self._process: Begun | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def begin(self) -> None:
        """Returns when the process is there. Raises ProcessFailed when it cannot be."""
        own = bind("127.0.0.1", 0)
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            self.at = own.getsockname()[:2]
            handover.send(ours, handover.OWN, own)
            command = self.recipe.command(self.service, self.member)
            begun = self._process = await self.recipe.launch(command, self.recipe.env, theirs.fileno())
        except OSError as error:
            ours.close()
            raise ProcessFailed(
                f"service {self.service} cannot be begun ({error.strerror}), was {self.recipe.python!r}"
            ) from None
        finally:
            own.close()
            theirs.close()
        self.pid, self._line = begun.pid, ours
        self._tasks = [
            asyncio.ensure_future(work) for work in (self._listen(ours), self._copy(begun), self._wait(begun))
        ]

    async def _wait(self, begun: Begun) -> None:
        status = await begun.wait()
        if not self.ended.done():
            self.ended.set_result(status)

    async def _listen(self, line: socket.socket) -> None:
        while (word := (await handover.next_word(line))[0]) != b"":
            if word in self._reached:
                self._reached[word].set()

    async def _copy(self, begun: Begun) -> None:
        lines = Lines()
        try:
            while piece := await begun.read():
                if whole := lines.take(piece):
                    self._show(whole)
            if rest := lines.end():
                self._show(rest)
        finally:
            begun.close()

    def told(self) -> dict[str, Any]:
        """What the supervisor knows of it."""
        return {"pid": self.pid, "member": self.member, "python": self.recipe.python, "at": list(self.at)}

    def has(self, word: bytes) -> bool:
        """Whether it has said so already."""
        return self._reached[word].is_set()

    async def until(self, word: bytes, within_s: float = READY_WITHIN_S) -> None:
        """Wait for it to say so. Raises ProcessFailed when it ends before, or takes longer."""
        said = asyncio.ensure_future(self._reached[word].wait())
        try:
            await asyncio.wait({said, self.ended}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
        finally:
            said.cancel()
        if self.has(word):
            return
        what = {
            handover.LEVEL: "level with the log", handover.SERVING: "taking connections",
            handover.CLOSED: "letting go of its port",
        }.get(word, "ready")  # fmt: skip
        if self.ended.done():
            raise ProcessFailed(
                f"service {self.service} ended with {self.ended.result()} before it was {what}",
                hint=f"'candlewick logs {self.service}' shows its own words",
            )
        raise ProcessFailed(f"service {self.service} was not {what} within {within_s:g} s")

    def say(self, word: bytes, listener: socket.socket | None = None) -> None:
        """To the process; nothing when it has ended."""
        if self._line is not None:
            with suppress(OSError):
                handover.send(self._line, word, listener)

    async def end(self, *, politely: bool = False) -> int:
        """Its exit status. ``politely``: it is waited for as it has been asked to leave; else SIGTERM, and SIGKILL
        when it does not heed."""
        self.is_leaving = True
        if self._process is None:
            if not self.ended.done():
                self.ended.set_result(_NEVER_BEGAN)
            return self.ended.result()
        for number in ((0,) if politely else ()) + (signal.SIGTERM, signal.SIGKILL):
            if self.ended.done():
                break
            if number:
                if number == signal.SIGKILL or politely:
                    self._log.error("a service's process does not end", of=self.service, pid=self.pid, sent=number)
                self._process.send_signal(number)
            await asyncio.wait([self.ended], timeout=_STOP_WITHIN_S if number != signal.SIGKILL else None)
        # A process that its own children outlive leaves its output open.
        await asyncio.wait(self._tasks[1:2], timeout=1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._line is not None:
            self._line.close()
            self._line = None
        return self.ended.result()
