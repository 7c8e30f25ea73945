"""Four real processes on one Redis: one computes, budgets hold for all together, a cold one reads windows at once."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from candlewick.adapters.cache.redis import RedisWindows
from candlewick.kernel.system import SystemIds
from candlewick.ports.log import Position
from candlewick.testing import servers
from candlewick.testing.conformance.windows import BTC, PLACE, at, minutes_of, plain

URL = servers.address("redis")
pytestmark = [pytest.mark.skipif(URL is None, reason=servers.why_not("redis") or "there"), pytest.mark.slow]
PROCESSES = 4

COMMON = """
import asyncio, json, os, sys, time
from candlewick.adapters.cache.redis import RedisCache, RedisWindows, SharedRateBudget
from candlewick.adapters.cache.revalidating import RevalidatingAnswers
from candlewick.kernel.logging import logger
from candlewick.kernel.system import SystemClock, SystemIds

url, name, number, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
clock, ids = SystemClock(), SystemIds()
def say(**what):
    print(json.dumps(what), flush=True)
async def go():
    say(ready=number)
    await asyncio.to_thread(sys.stdin.readline)
"""
ANSWERS = """
async def main():
    cache = RedisCache(url, clock, ids, namespace=name, lease_s=0.8, timeout_s=5.0)
    answers = RevalidatingAnswers(cache, clock, logger("test"))
    async def compute():
        with open(folder + "/computed", "a") as file:
            file.write(f"{number} {os.getpid()}\\n")
        # Long enough for everybody to come and wait, on a busy machine too.
        await asyncio.sleep(1.5)
        return b"by %d" % number
    for fresh_s in (60.0, 0.3, 0.3):
        await go()
        # By now what the second round computed is stale.
        await asyncio.sleep(0.5)
        key = "long" if fresh_s > 1 else "short"
        found = await asyncio.gather(*(answers.answer(key, compute, fresh_s=fresh_s, stale_s=60.0) for _ in range(25)))
        say(found=sorted({one.decode() for one in found}), count=len(found))
    await go()
    await answers.close()
    await cache.close()
asyncio.run(main())
"""
LEADING = """
async def main():
    cache = RedisCache(url, clock, ids, namespace=name, lease_s=0.8, timeout_s=5.0)
    async def compute():
        with open(folder + "/computed", "a") as file:
            file.write(f"{number} {os.getpid()}\\n")
        await asyncio.sleep(3600 if number == 0 else 1.0)
        return b"by %d" % number
    await go()
    say(found=(await cache.single("k", compute, ttl_s=60.0)).decode())
    await cache.close()
asyncio.run(main())
"""
SPENDING = """
LIMIT, WINDOW_S = 40, 0.5
async def main():
    budget = SharedRateBudget(url, clock, name, limit=LIMIT, window_s=WINDOW_S, timeout_s=5.0, namespace=name)
    await go()
    until = time.time() + 4.0
    turn = 0
    while time.time() < until:
        turn += 1
        weight = 1 + (turn * 7 + number) % 5
        await budget.spend(weight)
        # The window is at the latest the one in which the answer came; it began no earlier than the one asked in.
        say(weight=weight, latest=int(time.time() * 1000) // int(WINDOW_S * 1000))
    await budget.close()
asyncio.run(main())
"""
COLD = """
async def main():
    windows = RedisWindows(url, namespace=name, capacity=100)
    await go()
    window = await windows.last("binance", "BTC-USDT", 60, 100)
    at = {f"{t}:{p}": [q.epoch, q.offset] for (t, p), q in window.at.items()}
    say(times=window.rows["open_time_ms"].tolist(), close=window.rows["close"].tolist(), at=at)
    await windows.close()
asyncio.run(main())
"""


class Crew:
    """Processes that begin each step together and say what they did."""

    def __init__(self, folder: Path) -> None:
        self.name = f"test-{SystemIds().new().hex}"
        self.folder = folder
        self.children: list[asyncio.subprocess.Process] = []

    async def begin(self, code: str, count: int = PROCESSES) -> None:
        for number in range(count):
            self.children.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    COMMON + code,
                    str(URL),
                    self.name,
                    str(number),
                    str(self.folder),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
            )
        await self.ready()

    async def ready(self, children: slice = slice(None)) -> None:
        for child in self.children[children]:
            assert "ready" in await self.heard(child)

    def go(self, children: slice = slice(None)) -> None:
        for child in self.children[children]:
            assert child.stdin is not None
            child.stdin.write(b"go\n")

    async def heard(self, child: asyncio.subprocess.Process) -> dict[str, Any]:
        assert child.stdout is not None
        async with asyncio.timeout(60):
            line = await child.stdout.readline()
        assert line, f"the process ended, status {await child.wait()}"
        said: dict[str, Any] = json.loads(line)
        return said

    def computed(self) -> list[str]:
        file = self.folder / "computed"
        return file.read_text().splitlines() if file.exists() else []

    async def close(self) -> None:
        for child in self.children:
            if child.returncode is None:
                child.kill()
            await child.wait()
        client = Redis.from_url(str(URL))
        async for key in client.scan_iter(f"{self.name}:*", count=1000):
            await client.delete(key)
        await client.aclose()


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    crew = Crew(tmp_path)
    yield crew
    await crew.close()


async def test_one_of_all_processes_computes_and_the_stale_is_served_meanwhile(crew: Crew) -> None:
    await crew.begin(ANSWERS)
    answers: list[set[str]] = []
    for step in range(3):
        crew.go()
        said = [await crew.heard(child) for child in crew.children]
        assert {one["count"] for one in said} == {25}
        answers.append({answer for one in said for answer in one["found"]})
        if step < 2:
            assert len(crew.computed()) == step + 1
        await crew.ready()
    assert len(answers[0]) == len(answers[1]) == 1
    # The third round: what was computed in the second is stale, is served by all, and one process computes it anew.
    assert answers[2] == answers[1]
    async with asyncio.timeout(10):
        while len(crew.computed()) < 3:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert len(crew.computed()) == 3
    crew.go()


async def test_another_process_computes_when_the_first_is_killed(crew: Crew) -> None:
    await crew.begin(LEADING)
    crew.go(slice(1))
    async with asyncio.timeout(30):
        while not crew.computed():
            await asyncio.sleep(0.02)
    crew.go(slice(1, None))
    await asyncio.sleep(1.2)
    assert len(crew.computed()) == 1, "the lease of one that lives was not kept up"
    crew.children[0].send_signal(signal.SIGKILL)
    found = {(await crew.heard(child))["found"] for child in crew.children[1:]}
    assert len(found) == 1
    assert len(crew.computed()) == 2


async def test_what_all_processes_spend_never_passes_the_limit(crew: Crew) -> None:
    """Also when one of them is killed on the way."""
    await crew.begin(SPENDING)
    crew.go()
    spent: Counter[int] = Counter()
    by_process: Counter[int] = Counter()

    async def listen(number: int, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        async for line in child.stdout:
            said = json.loads(line)
            spent[said["latest"]] += said["weight"]
            by_process[number] += said["weight"]
            if number == 0 and by_process[0] > 30:
                child.send_signal(signal.SIGKILL)
                return

    async with asyncio.timeout(60):
        await asyncio.gather(*(listen(number, child) for number, child in enumerate(crew.children)))
    assert len(by_process) == PROCESSES
    first = min(spent)
    total = 0
    for window in range(first, max(spent) + 1):
        total += spent[window]
        # What was granted up to a window's end was granted in it or before: an answer may come late, never early. The
        # window before the first may be where the first was granted.
        assert total <= 40 * (window - first + 2), (window - first, total)
    # The server's own count, which decided, in the window that is left.
    client = Redis.from_url(str(URL))
    kept = await client.hgetall(f"{crew.name}:budget:{crew.name}")
    await client.aclose()
    assert int(kept.get(b"used", b"0")) <= 40
    assert total > 40


async def test_a_cold_process_reads_what_others_wrote_without_a_replay(crew: Crew) -> None:
    writers = [RedisWindows(str(URL), namespace=crew.name, capacity=100) for _ in range(2)]
    await writers[0].seed(*BTC, {60: plain(*range(80))}, {PLACE: at(10)})

    async def write(writer: RedisWindows, begin: int) -> None:
        for i in range(begin, 60):
            assert await writer.apply(*BTC, {60: plain(80 + i)}, PLACE, after=Position(1, 10 + i), at=at(11 + i))

    await write(writers[0], 0)
    await asyncio.gather(write(writers[0], 0), write(writers[1], 30))
    await crew.begin(COLD, 1)
    crew.go()
    said = await crew.heard(crew.children[0])
    window = await writers[1].last(*BTC, 60, 100)
    assert window is not None
    assert minutes_of(window) == list(range(40, 140))
    assert said["times"] == window.rows["open_time_ms"].tolist()
    assert said["close"] == window.rows["close"].tolist()
    assert said["at"] == {"normalized.ohlcv:7": [1, 70]}
    for writer in writers:
        await writer.close()
