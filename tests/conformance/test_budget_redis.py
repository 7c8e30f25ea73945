"""One rate budget for every process behind an address."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from candlewick.adapters.cache.redis import SharedRateBudget
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.testing import servers
from candlewick.testing.link import Link

WINDOW_S = 0.5
Make = Callable[..., SharedRateBudget]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    if (url := servers.address("redis")) is None:
        pytest.skip(servers.why_not("redis"))
    link = Link(url)
    await link.open()
    yield link
    await link.cut()


@pytest.fixture
async def make(link: Link) -> AsyncIterator[Make]:
    made: list[SharedRateBudget] = []
    name = SystemIds().new().hex

    def budget(limit: int = 10, share_alone: float = 0.25) -> SharedRateBudget:
        made.append(
            SharedRateBudget(
                link.url, SystemClock(), name, limit=limit, window_s=WINDOW_S, share_alone=share_alone, timeout_s=0.5
            )
        )
        return made[-1]

    yield budget
    for one in made:
        await one.close()


async def _window_begins() -> None:
    await asyncio.sleep(WINDOW_S - time.time() % WINDOW_S + 0.01)


async def test_all_together_keep_to_the_limit(make: Make) -> None:
    processes = [make() for _ in range(4)]
    spent: list[float] = []

    async def work(budget: SharedRateBudget) -> None:
        for _ in range(6):
            await budget.spend(1)
            spent.append(time.time())

    await _window_begins()
    began = time.time() // WINDOW_S * WINDOW_S
    async with asyncio.timeout(5):
        await asyncio.gather(*(work(one) for one in processes))
    assert len(spent) == 24
    for i, at in enumerate(sorted(spent)):
        assert at >= began + i // 10 * WINDOW_S, f"spending {i} came in an earlier window"
    assert max(spent) < began + 3 * WINDOW_S + 0.3
    assert processes[0].used() <= 10


async def test_what_one_observes_all_keep_to(make: Make) -> None:
    one, other = make(), make()
    await _window_begins()
    await one.spend(1)
    one.observe(10)
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await other.spend(1)
    assert time.monotonic() - began > WINDOW_S / 3


async def test_a_silence_is_everybodys(make: Make) -> None:
    one, other = make(), make()
    await other.spend(1)
    one.silence(0.8)
    await asyncio.sleep(0.05)
    one.silence(0.1)
    began = time.monotonic()
    await other.spend(1)
    assert time.monotonic() - began > 0.6
    assert other.silent_s() == pytest.approx(0, abs=0.1)


async def test_more_than_the_limit_is_spent_in_a_window_of_its_own(make: Make) -> None:
    budget = make()
    async with asyncio.timeout(2):
        await budget.spend(50)


async def test_without_the_server_each_keeps_to_its_share(make: Make, link: Link) -> None:
    budget = make(limit=8, share_alone=0.25)
    await budget.spend(1)
    await link.cut()
    await _window_begins()
    began = time.monotonic()
    for _ in range(5):
        await budget.spend(1)
    assert time.monotonic() - began > WINDOW_S, "more than a share of 2 in a window"
    await link.open()
    await budget.spend(1)
