"""Stale while revalidate behaves alike on the memory's cache and on a server's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from candlewick.adapters.cache.memory import MemoryCache
from candlewick.adapters.cache.redis import RedisCache
from candlewick.adapters.cache.revalidating import RevalidatingAnswers
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.cache import BadTtl, Cache
from candlewick.testing import servers
from candlewick.testing.conformance.cache import Computation

FRESH = {"fresh_s": 0.15, "stale_s": 5.0}


class Log:
    def __init__(self) -> None:
        self.warnings: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.warnings.append(fields)


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    cache: Cache
    if request.param == "memory":
        cache = MemoryCache(SystemClock())
    else:
        if (url := servers.address("redis")) is None:
            pytest.skip(servers.why_not("redis"))
        cache = RedisCache(url, SystemClock(), SystemIds(), namespace=SystemIds().new().hex)
    yield cache
    await cache.close()


@pytest.fixture
def log() -> Log:
    return Log()


async def test_the_stale_is_served_while_one_computes(cache: Cache, log: Log) -> None:
    processes = [RevalidatingAnswers(cache, SystemClock(), log) for _ in range(2)]
    work = Computation()
    work.go.set()
    first = await asyncio.gather(*(one.answer("k", work, **FRESH) for one in (*processes, *processes)))
    assert first == [b"computed 1"] * 4
    assert await processes[1].answer("k", work, **FRESH) == b"computed 1"
    assert work.begun == 1
    await asyncio.sleep(0.2)
    work.go.clear()
    stale = await asyncio.gather(*(one.answer("k", work, **FRESH) for one in (*processes, *processes)))
    assert stale == [b"computed 1"] * 4
    await asyncio.sleep(0.05)
    assert await processes[0].answer("k", work, **FRESH) == b"computed 1"
    assert work.begun == 2
    work.go.set()
    await asyncio.sleep(0.05)
    assert await processes[1].answer("k", work, **FRESH) == b"computed 2"
    assert not log.warnings
    for one in processes:
        await one.close()


async def test_a_failure_keeps_the_stale_and_is_tried_again(cache: Cache, log: Log) -> None:
    answers = RevalidatingAnswers(cache, SystemClock(), log, retry_s=0.1)
    work, broken = Computation(), Computation(ValueError("on purpose"))
    work.go.set()
    broken.go.set()
    with pytest.raises(ValueError, match="on purpose"):
        await answers.answer("k", broken, **FRESH)
    await answers.answer("k", work, **FRESH)
    await asyncio.sleep(0.2)
    for _ in range(5):
        assert await answers.answer("k", broken, **FRESH) == b"computed 1"
        await asyncio.sleep(0.005)
    assert broken.begun == 2, "a failure was tried again at once"
    assert [one["key"] for one in log.warnings] == ["k"]
    await asyncio.sleep(0.12)
    assert await answers.answer("k", work, **FRESH) == b"computed 1"
    await asyncio.sleep(0.05)
    assert await answers.answer("k", work, **FRESH) == b"computed 2"
    await answers.close()


async def test_the_stale_has_an_end(cache: Cache, log: Log) -> None:
    answers = RevalidatingAnswers(cache, SystemClock(), log)
    work = Computation()
    work.go.set()
    await answers.answer("k", work, fresh_s=0.05, stale_s=0.05)
    await asyncio.sleep(0.15)
    assert await answers.answer("k", work, fresh_s=0.05, stale_s=0.05) == b"computed 2"
    with pytest.raises(BadTtl):
        await answers.answer("k", work, fresh_s=0.0, stale_s=1.0)
    with pytest.raises(BadTtl):
        await answers.answer("k", work, fresh_s=1.0, stale_s=-1.0)


async def test_closing_gives_up_what_runs(cache: Cache, log: Log) -> None:
    answers = RevalidatingAnswers(cache, SystemClock(), log)
    work = Computation()
    work.go.set()
    await answers.answer("k", work, **FRESH)
    await asyncio.sleep(0.2)
    work.go.clear()
    await answers.answer("k", work, **FRESH)
    await asyncio.sleep(0.05)
    assert work.begun == 2
    async with asyncio.timeout(1):
        await answers.close()
    assert not log.warnings
