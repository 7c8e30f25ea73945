"""A link to a server that can be cut and mended: what a client sees of a server's restart, or a server of a kill."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

_CHUNK: Final = 1 << 16


class Link:
    """Carries bytes between a loopback port of its own and the server of ``url``; for one event loop."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.StreamWriter] = set()
        self._work: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """The server's address through this link."""
        user = self._target.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self._port}" if user else f"127.0.0.1:{self._port}"
        return urlunsplit(self._target._replace(netloc=netloc))

    async def open(self) -> None:
        """Carry; on the same port as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Every connection breaks at once and no new one is taken until ``open``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._carrying:
            writer.transport.abort()
        if self._work:
            await asyncio.wait(self._work)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        if self._server is None:
            # Cut while the server was still being called.
            writer.transport.abort()
            there_writer.transport.abort()
            return
        ends = {writer, there_writer}
        self._carrying |= ends
        halves = (self._start(_pump(reader, there_writer)), self._start(_pump(there_reader, writer)))
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._carrying -= ends
            for end in ends:
                end.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
