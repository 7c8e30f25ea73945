"""A window of 100 candles read from Redis, beside redis-py fetching the same bytes in the same run.

Asks for a server (``./dev servers start redis``); without one every figure says why it has no value. Reads of ours and
of both peers take turns, so that the weather of a shared machine falls on all of them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
import redis
import redis.asyncio

from benchmarks.measure import Figure
from candlewick.adapters.cache.redis import RedisWindows
from candlewick.kernel.system import SystemIds
from candlewick.ports.log import Position
from candlewick.ports.windows import Rows
from candlewick.quant.windows.ring import FIELDS
from candlewick.testing import servers

_CANDLES = 100
_READS = 4_000
_APPENDS = 500
_TURN = 50
_PLACE = ("normalized.ohlcv", 0)
_SYNC = "redis-py, GET of the same bytes, blocking its thread"
_ASYNC = "redis-py's asyncio client, GET of the same bytes"
_SHARES = (("p50", 0.5), ("p99", 0.99))


def main() -> list[Figure]:
    url = servers.address("redis")
    if url is None:
        return [Figure("window of 100 candles from Redis, p99", None, "ms", "lower", note=servers.why_not("redis"))]
    return asyncio.run(_measured(url))


def _rows(first: int, count: int) -> Rows:
    rows = {name: np.ones(count, dtype) for name, dtype in FIELDS}
    rows["open_time_ms"] = (first + np.arange(count, dtype=np.int64)) * 60_000
    return rows


async def _measured(url: str) -> list[Figure]:
    namespace = f"bench-{SystemIds().new().hex}"
    windows = RedisWindows(url, namespace=namespace, capacity=_CANDLES, ttl_s=300.0)
    await windows.seed("bench", "BTC-USDT", {60: _rows(0, _CANDLES)}, {_PLACE: Position(0, 0)})
    plain, other = redis.Redis.from_url(url), redis.asyncio.Redis.from_url(url)
    data = plain.hget(f"{namespace}:window:bench:BTC-USDT", "60")
    assert isinstance(data, bytes)
    key = f"{namespace}:plain"
    plain.set(key, data, ex=300)

    async def ours() -> None:
        await windows.last("bench", "BTC-USDT", 60, _CANDLES)

    async def blocking() -> None:
        plain.get(key)

    async def looping() -> None:
        await other.get(key)

    read, sync, loop = await _in_turns(ours, blocking, looping)
    offset = 0

    async def append() -> None:
        nonlocal offset
        offset += 1
        after, at = Position(0, offset - 1), Position(0, offset)
        await windows.apply("bench", "BTC-USDT", {60: _rows(_CANDLES + offset, 1)}, _PLACE, after=after, at=at)

    applied = [await _timed(append) for _ in range(_APPENDS)]
    await windows.forget("bench", "BTC-USDT")
    plain.delete(key)
    plain.close()
    await other.aclose()
    await windows.close()
    return [
        *(_beside(f"window of 100 candles from Redis, {name}", read, sync, at, _SYNC) for name, at in _SHARES),
        *(_beside(f"the same beside asyncio, {name}", read, loop, at, _ASYNC) for name, at in _SHARES),
        *(Figure(f"{_SYNC}, {name}", _ms(sync, at), "ms", "lower") for name, at in _SHARES),
        *(Figure(f"{_ASYNC}, {name}", _ms(loop, at), "ms", "lower") for name, at in _SHARES),
        *(Figure(f"a candle applied to a window in Redis, {name}", _ms(applied, at), "ms", "lower")
          for name, at in _SHARES),
    ]  # fmt: skip


def _beside(name: str, ours: list[float], peers: list[float], at: float, peer: str) -> Figure:
    return Figure(name, _ms(ours, at), "ms", "lower", peer=peer, ratio=_ms(peers, at) / _ms(ours, at))


async def _in_turns(*works: Callable[[], Awaitable[None]]) -> list[list[float]]:
    """Seconds of every single call of each."""
    samples: list[list[float]] = [[] for _ in works]
    for turn in range(_READS // _TURN + 1):
        for work, mine in zip(works, samples, strict=True):
            times = [await _timed(work) for _ in range(_TURN)]
            if turn:
                mine.extend(times)
    return samples


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


def _ms(samples: list[float], share: float) -> float:
    return sorted(samples)[min(int(len(samples) * share), len(samples) - 1)] * 1e3


if __name__ == "__main__":
    for figure in main():
        print(figure)
