"""The supervisor's side of the fork server: a process that has loaded what the services' processes load, and forks one
when it is asked to. That one is there at once, without two seconds of a processor's work, and shares its memory.

It is for the supervisor's own version alone. What may have other code on disk, as ``deploy switch`` begins it, is a new
program. So is any where this is not Linux: elsewhere the system's own libraries do not survive a fork that no program
follows.
"""

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from candlewick.app import kernels
from candlewick.app.cluster.launch import PIECE, Begun, execute
from candlewick.kernel.logging import logger

#: Longest message in either direction, bytes: a command line and a few settings.
MOST: Final = 1 << 16
#: The status of a process that ended when nobody was left who could say how.
UNKNOWN: Final = 255


class Order(msgspec.Struct):
    """To the fork server, with two descriptors: the handover, and where to print."""

    number: int
    command: list[str]
    env: dict[str, str]


class News(msgspec.Struct, omit_defaults=True):
    """From it. Of an order (0: it is ready to take any): ``pid`` began, or none did, for ``error``. Of a process that
    it began: it ended with ``status``."""

    order: int | None = None
    pid: int = 0
    error: int = 0
    status: int = 0


class ForkServer:
    """Begun with the first process that is asked of it, and again when it has ended meanwhile."""

    def __init__(self, exchange: str) -> None:
        """``exchange``: the venue whose kernels it loads."""
        self._exchange = exchange
        self._line: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._follower: asyncio.Task[None] | None = None
        self._is_closing = False
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Forked]] = {}
        self._forked: dict[int, Forked] = {}

    async def start(self) -> None:
        """Returns when it is ready to fork, or is not to be had, which is told."""
        if sys.platform != "linux":
            await asyncio.to_thread(kernels.warm, self._exchange)
            return
        try:
            await self._start()
        except OSError as error:
            logger("supervisor").error("the process that begins the others is not there", detail=str(error))

    async def _start(self) -> None:
        async with self._starting:
            if self._line is not None:
                return
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            try:
                with theirs:
                    self._process = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "candlewick.app.cli.forking", str(theirs.fileno()), self._exchange,
                        start_new_session=True, pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL,
                    )  # fmt: skip
            except BaseException:
                ours.close()
                raise
            ready = self._asked[0] = asyncio.get_running_loop().create_future()
            self._line = ours
            self._follower = asyncio.ensure_future(self._follow(ours, self._process))
            await ready

    async def begin(self, command: Sequence[str], env: Mapping[str, str], handover: int) -> Begun:
        """A ``Launch``. ``command`` begins with this interpreter, ``-m`` and the module of the command line."""
        await self.start()
        if self._line is None:
            return await execute(command, env, handover)
        read, write = os.pipe()
        try:
            order = Order(next(self._numbers), list(command), dict(env))
            answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
            self._asked[order.number] = answer
            try:
                socket.send_fds(self._line, [msgspec.json.encode(order)], [handover, write])
                forked = await answer
            finally:
                self._asked.pop(order.number, None)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        forked.output = read
        return forked

    async def _follow(self, line: socket.socket, process: asyncio.subprocess.Process) -> None:
        """What it says, until it says no more."""
        while piece := await _received(line):
            self._hear(msgspec.json.decode(piece, type=News))
        self._line = None
        line.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(OSError(0, "the process that begins the others has ended"))
        for forked in self._forked.values():
            forked.follow()
        self._forked.clear()
        if (status := await process.wait()) and not self._is_closing:
            logger("supervisor").error("the process that begins the others ended", status=status)

    def _hear(self, news: News) -> None:
        if news.order is None:
            self._forked.pop(news.pid).end(news.status)
            return
        # Known from here on, whether or not somebody still waits for it: it may end at once.
        forked = Forked(news.pid)
        if news.pid:
            self._forked[news.pid] = forked
        answer = self._asked.get(news.order)
        if answer is None or answer.done():
            return
        if news.error:
            answer.set_exception(OSError(news.error, os.strerror(news.error)))
        else:
            answer.set_result(forked)

    async def close(self) -> None:
        """End it, whatever it does. Processes that it began go on."""
        self._is_closing = True
        if self._process is not None and self._follower is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            await self._follower


class Forked:
    """A process that the fork server began. Once that is gone it can be seen that this one ended, not how."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        #: Where it prints, from when it was handed out.
        self.output = -1
        self._handle = _handle(pid)
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        if self.output < 0:
            return b""
        await _readable(self.output)
        piece = os.read(self.output, PIECE)
        if not piece:
            self.close()
        return piece

    def close(self) -> None:
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def end(self, status: int) -> None:
        """It ended so."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if not self._ended.done():
            self._ended.set_result(status)

    def follow(self) -> None:
        """Nobody will say how it ends."""
        if self._handle is None:
            self.end(UNKNOWN)
            return
        loop, handle = asyncio.get_running_loop(), self._handle

        def gone() -> None:
            loop.remove_reader(handle)
            self.end(UNKNOWN)

        loop.add_reader(handle, gone)


def _handle(pid: int) -> int | None:
    """A descriptor of this very process, whoever has its number later; None when there is none any more."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


async def _received(line: socket.socket) -> bytes:
    """The next message; b'' when nobody is there to send one."""
    while True:
        await _readable(line.fileno())
        try:
            return line.recv(MOST)
        except BlockingIOError:
            continue
        except OSError:
            return b""


async def _readable(descriptor: int) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
