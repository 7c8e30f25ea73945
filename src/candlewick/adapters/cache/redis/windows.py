"""``ports.windows`` in a Redis server: what all processes, and other languages, read without a replay."""

from collections.abc import Iterator, Mapping

from redis.exceptions import RedisError

from candlewick.adapters.cache.redis.reading import QuickReader
from candlewick.adapters.cache.redis.rows import MERGE, packed, unpacked
from candlewick.adapters.cache.redis.server import RedisServer, refused
from candlewick.ports.cache import BadTtl
from candlewick.ports.log import Position
from candlewick.ports.windows import Place, Rows, Window


class RedisWindows:
    """A change of all of a symbol's windows is one step on the server; ``rows`` says how they lie there. The server's
    ``maxmemory`` may take a symbol's windows away, all of them or none. One event loop."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "candlewick",
        capacity: int = 100,
        ttl_s: float = 86_400.0,
        timeout_s: float = 1.0,
    ) -> None:
        if not ttl_s > 0:
            raise BadTtl(f"a time to live must be positive seconds, was {ttl_s!r}")
        self._server = RedisServer(url, timeout_s=timeout_s, connections=8)
        self._reader = QuickReader(url, timeout_s=timeout_s)
        self._prefix = f"{namespace}:window:"
        self.capacity = capacity
        self._ttl_ms = max(1, int(ttl_s * 1000))

    async def seed(self, exchange: str, symbol: str, rows: Mapping[int, Rows], at: Mapping[Place, Position]) -> None:
        """Raises CacheUnavailable: they may be seeded."""
        lines = [_line(place, position) for place, position in at.items()]
        await self._merge(exchange, symbol, rows, ["", ""], lines)

    async def apply(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], place: Place, *, after: Position, at: Position
    ) -> bool:
        """Raises CacheUnavailable: it may be applied; to do so again changes nothing."""
        return await self._merge(exchange, symbol, rows, [_line(place, after), _line(place, at)], [])

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        """Raises CacheUnavailable."""
        key = f"{self._prefix}{exchange}:{symbol}".encode()
        answer = await self._reader.ask(b"HMGET", key, b"at", b"%d" % seconds)
        assert isinstance(answer, list)
        lines, data = answer
        if lines is None:
            return None
        return Window(unpacked(data or b"", n), dict(_positions(lines)))

    async def forget(self, exchange: str, symbol: str) -> None:
        """Raises CacheUnavailable: they may be kept still."""
        try:
            await self._server.ask(lambda client: client.unlink(f"{self._prefix}{exchange}:{symbol}"), may_repeat=True)
        except RedisError as error:
            raise refused(error) from error

    async def close(self) -> None:
        """What is kept stays in the server."""
        await self._reader.close()
        await self._server.close()

    async def _merge(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], move: list[str], lines: list[str]
    ) -> bool:
        arguments: list[str | bytes | int] = [self._ttl_ms, self.capacity, *move, len(rows)]
        for seconds, some in rows.items():
            arguments += [seconds, packed(some)]
        arguments += lines
        try:
            done = await self._server.run(MERGE, [f"{self._prefix}{exchange}:{symbol}"], arguments, may_repeat=True)
        except RedisError as error:
            raise refused(error) from error
        return bool(done)


def _line(place: Place, position: Position) -> str:
    return f"{place[0]}:{place[1]}:{position.epoch}:{position.offset}"


def _positions(lines: bytes) -> Iterator[tuple[Place, Position]]:
    for line in lines.decode().splitlines():
        topic, partition, epoch, offset = line.rsplit(":", 3)
        yield (topic, int(partition)), Position(int(epoch), int(offset))
