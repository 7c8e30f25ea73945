"""What a supervisor and the process of a service hand each other: listening sockets, and words of one byte.

A service's port belongs to the supervisor for as long as that runs; the process that shall serve is given the listening
socket itself. So addresses never change, the queue of connections that nobody has taken yet outlives every process,
and two versions can take from it side by side. Sockets of their own on one port (SO_REUSEPORT) have a queue each, which
is reset with the process; a forwarder in front would copy every byte once more and hold every client's socket.
"""

import array
import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from candlewick.kernel.logging import logger

# To the process: a listener of its own, leave to start its services, the service's listener, "another serves: leave".
OWN: Final = b"o"
GO: Final = b"g"
SERVE: Final = b"s"
LEAVE: Final = b"l"
# From the process: ready to start its services, ready, level with the log, taking connections, no longer taking any.
WARM: Final = b"w"
READY: Final = b"r"
LEVEL: Final = b"c"
SERVING: Final = b"t"
CLOSED: Final = b"x"

#: How a process ends that may do better next time: sysexits' EX_TEMPFAIL.
TRY_AGAIN: Final = 75

_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send(line: socket.socket, word: bytes, listener: socket.socket | None = None) -> None:
    """Never waits: the few words of a process's life fit into any socket's buffer."""
    handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener.fileno()]))] if listener else []
    line.sendmsg([word], handed)


def receive(line: socket.socket) -> tuple[bytes, socket.socket | None]:
    """One word and what came with it; b'' when the other side has ended. Raises BlockingIOError when nothing is there.
    The kernel ends a read at the first byte that carries a descriptor, so none is given to another word."""
    word, descriptors, _, _ = socket.recv_fds(line, 1, 1, _CLOEXEC)
    if not descriptors:
        return word, None
    os.set_inheritable(descriptors[0], False)
    listener = socket.socket(fileno=descriptors[0])
    listener.setblocking(False)
    return word, listener


async def next_word(line: socket.socket) -> tuple[bytes, socket.socket | None]:
    """As ``receive``, waiting for it."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return receive(line)
        except BlockingIOError:
            pass
        except OSError:
            return b"", None
        readable = asyncio.Event()
        loop.add_reader(line, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(line)


class Serving(Protocol):
    """A server of the process's application on one listener."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def leave(self, closed: Callable[[], None]) -> None: ...


class Handover:
    """The process's end. ``descriptor`` is the one that the supervisor left open for it."""

    def __init__(self, descriptor: int, stop: asyncio.Event) -> None:
        """``stop`` is set by a signal, and here when the supervisor is gone: nobody would begin this process again, or
        could hand its port to another."""
        os.set_inheritable(descriptor, False)
        self._line = socket.socket(fileno=descriptor)
        self._line.setblocking(False)
        self._stop = stop

    async def own_listener(self) -> socket.socket:
        """Where this very process answers, whichever others serve beside it."""
        _, listener = await next_word(self._line)
        if listener is None:
            raise SystemExit(1)  # nobody is there to say anything to
        return listener

    async def may_start(self) -> bool:
        """Wait until the services may start; False when it shall end instead."""
        self._tell(WARM)
        word, _ = await self._word()
        return word == GO

    async def serve(self, caught_up: Awaitable[None], new_server: Callable[[socket.socket], Serving]) -> None:
        """From ready to the end: take connections when told to, leave when another does."""
        self._tell(READY)
        level = asyncio.ensure_future(self._level(caught_up))
        server: Serving | None = None
        try:
            while True:
                word, listener = await self._word()
                if word == SERVE and listener is not None and server is None:
                    server = new_server(listener)
                    await server.start()
                    self._tell(SERVING)
                elif word == LEAVE:
                    if server is not None:
                        await server.leave(lambda: self._tell(CLOSED))
                    return
                elif word == b"":
                    if server is not None:
                        await server.stop()
                    return
        finally:
            level.cancel()
            await asyncio.gather(level, return_exceptions=True)

    async def _level(self, caught_up: Awaitable[None]) -> None:
        await caught_up
        self._tell(LEVEL)

    async def _word(self) -> tuple[bytes, socket.socket | None]:
        """The next word; b'' when it is time to end."""
        stopped = asyncio.ensure_future(self._stop.wait())
        word = asyncio.ensure_future(next_word(self._line))
        try:
            await asyncio.wait([stopped, word], return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                return b"", None
            found = word.result()
            if found[0] == b"":
                logger("supervisor").warning("the supervisor is gone: its processes end")
                self._stop.set()
            return found
        finally:
            for task in (stopped, word):
                task.cancel()
            await asyncio.gather(stopped, word, return_exceptions=True)

    def _tell(self, word: bytes) -> None:
        with suppress(OSError):  # it is gone; the next word says so
            send(self._line, word)
