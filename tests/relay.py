"""A relay on the loopback between a client and a server that can cut the line where a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Relay:
    """Forwards bytes both ways. ``swallow_after`` names bytes of a request whose answer never comes: the request goes
    through, then the line is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._server_at = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.swallow_after: bytes | None = None
        self.is_down = False
        self.cuts = 0

    def cut(self) -> None:
        """Break every line there is."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._server_at)
        self._writers |= {writer, upstream_writer}
        swallowing = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(1 << 16):
                if self.swallow_after is not None and self.swallow_after in data:
                    self.swallow_after = None
                    self.cuts += 1
                    swallowing.set()
                upstream_writer.write(data)
                await upstream_writer.drain()

        async def answers() -> None:
            while data := await upstream_reader.read(1 << 16):
                if swallowing.is_set():
                    break
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.ensure_future(requests()), asyncio.ensure_future(answers())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in (writer, upstream_writer):
            self._writers.discard(one)
            with suppress(OSError):
                one.transport.abort()


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay to the URL's server, and the URL that goes through it."""
    parts = urlsplit(url)
    relay = Relay(parts.hostname or "127.0.0.1", parts.port or 5432)
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    try:
        yield relay, urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))
    finally:
        listener.close()
        relay.cut()
        await asyncio.sleep(0.01)
