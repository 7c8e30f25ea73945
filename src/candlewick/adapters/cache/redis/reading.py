"""One connection that asks short questions quickly.

Of the time in which redis-py's asyncio client reads a window the larger part is its own work
(benchmarks/cluster/windows.py). Questions are sent as they come and answered in their order:
https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

import asyncio
from collections import deque
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from candlewick.kernel.errors import Rejected
from candlewick.ports.cache import CacheUnavailable

Answer = bytes | int | None | list[Any]
_END: Final = b"\r\n"


class BadCacheUrl(Rejected):
    """An address that names no Redis server."""

    code = "BAD_CACHE_URL"


class QuickReader:
    """Connects at the first question, and again after the server was away. One event loop.

    A question that is not answered within ``timeout_s``, or whose connection breaks, raises CacheUnavailable; only what
    may be asked twice should be asked here, for a broken connection is made anew and asked once more.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """``url`` as redis-py takes it: redis://, rediss:// or unix://, with user, password and database."""
        self._url = url
        self._timeout_s = timeout_s
        self._wire: _Wire | None = None
        self._connecting = asyncio.Lock()
        self._is_closed = False

    async def ask(self, *words: bytes) -> Answer:
        """Raises CacheUnavailable."""
        question = _question(words)
        wire = self._wire
        if wire is None or wire.is_lost:
            wire = await self._connected()
        try:
            return await wire.ask(question)
        except ConnectionError:
            pass
        try:
            return await (await self._connected()).ask(question)
        except ConnectionError as error:
            raise CacheUnavailable(f"the cache's server cannot be reached: {error}") from error

    async def close(self) -> None:
        """What is under way ends as CacheUnavailable."""
        self._is_closed = True
        if self._wire is not None:
            self._wire.abort("the cache is closed")

    async def _connected(self) -> "_Wire":
        async with self._connecting:
            if self._is_closed:
                raise CacheUnavailable("the cache is closed")
            if self._wire is None or self._wire.is_lost:
                try:
                    async with asyncio.timeout(self._timeout_s):
                        self._wire = await self._connect()
                except (OSError, TimeoutError) as error:
                    reason = str(error) or "no answer in time"
                    raise CacheUnavailable(f"the cache's server cannot be reached: {reason}") from error
            return self._wire

    async def _connect(self) -> "_Wire":
        loop = asyncio.get_running_loop()
        parts = urlsplit(self._url)
        if parts.scheme == "unix":
            _, wire = await loop.create_unix_connection(lambda: _Wire(self._timeout_s), unquote(parts.path))
            database = parse_qs(parts.query).get("db", ["0"])[0]
        elif parts.scheme in ("redis", "rediss"):
            _, wire = await loop.create_connection(
                lambda: _Wire(self._timeout_s),
                parts.hostname or "localhost",
                parts.port or 6379,
                ssl=True if parts.scheme == "rediss" else None,
            )
            database = parts.path.strip("/") or parse_qs(parts.query).get("db", ["0"])[0]
        else:
            raise BadCacheUrl(f"a cache's address must begin with redis://, rediss:// or unix://, was {self._url!r}")
        try:
            if parts.password:
                user = [unquote(parts.username).encode()] if parts.username else []
                await wire.ask(_question((b"AUTH", *user, unquote(parts.password).encode())))
            if database != "0":
                await wire.ask(_question((b"SELECT", database.encode())))
        except BaseException:
            wire.abort("it did not let us in")
            raise
        return wire


class _Wire(asyncio.Protocol):
    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        self._read = bytearray()
        self._watch: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.is_lost = False
        self._why = "the connection broke"

    def ask(self, question: bytes) -> "asyncio.Future[Answer]":
        """Raises ConnectionError, or CacheUnavailable when the server refuses, in the future."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        if self._transport is None or self.is_lost:
            future.set_exception(ConnectionError(self._why))
            return future
        self._waiting.append((self._loop.time() + self._timeout_s, future))
        self._transport.write(question)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._look)
        return future

    def abort(self, why: str) -> None:
        self._why = why
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionError(str(exc) if exc is not None else self._why))

    def data_received(self, data: bytes) -> None:
        self._read += data
        at = 0
        while at < len(self._read) and (found := _parsed(self._read, at)) is not None:
            answer, at = found
            _, future = self._waiting.popleft()
            if future.done():
                continue
            if isinstance(answer, _Refusal):
                future.set_exception(CacheUnavailable(f"the cache's server refuses: {answer.text}"))
            else:
                future.set_result(answer)
        del self._read[:at]

    def _look(self) -> None:
        """Whether the oldest question waits too long."""
        self._watch = None
        if not self._waiting:
            return
        left_s = self._waiting[0][0] - self._loop.time()
        if left_s <= 0:
            self.abort("no answer in time")
        else:
            self._watch = self._loop.call_later(left_s, self._look)


class _Refusal:
    def __init__(self, text: str) -> None:
        self.text = text


def _question(words: tuple[bytes, ...]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def _parsed(data: bytearray, at: int) -> tuple[Any, int] | None:
    """The answer that begins at ``at`` and where the next one does; None while it is not all there."""
    end = data.find(_END, at)
    if end < 0:
        return None
    kind, line, at = data[at], data[at + 1 : end], end + 2
    if kind == 0x24:  # $: so many bytes
        size = int(line)
        if size < 0:
            return None, at
        return (bytes(data[at : at + size]), at + size + 2) if len(data) >= at + size + 2 else None
    if kind == 0x2A:  # *: so many answers
        found = []
        for _ in range(int(line)):
            one = _parsed(data, at)
            if one is None:
                return None
            found.append(one[0])
            at = one[1]
        return found, at
    if kind == 0x3A:  # : a number
        return int(line), at
    if kind == 0x2D:  # -: a refusal
        return _Refusal(line.decode(errors="replace")), at
    return bytes(line), at
