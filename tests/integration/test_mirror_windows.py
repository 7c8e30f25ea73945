"""Windows in Redis follow the log: killed, flushed, seeded late, by one mirror or two, they equal the rings."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from candlewick.adapters.cache.memory import MemoryWindows
from candlewick.adapters.cache.redis import RedisWindows
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.app.runtime.mirror_seeds import SeedUnavailable, from_history
from candlewick.app.runtime.mirror_windows import Seed, WindowsMirror
from candlewick.contracts import codec
from candlewick.contracts.stream import CandleBatch
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import EventLog, Position
from candlewick.ports.windows import Place, Rows, Windows
from candlewick.quant.windows.ring import FIELDS
from candlewick.testing import servers
from tests.candles_in_log import EXCHANGE, a_batch, columns, seed_of, standing

URL = servers.address("redis")
ROOT = Path(__file__).resolve().parents[2]
CLOCK = SystemClock()
CAPACITY = 30
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT")
pytestmark = pytest.mark.skipif(URL is None, reason=servers.why_not("redis") or "there")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    made = SqliteEventLog(tmp_path, CLOCK)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def windows() -> AsyncIterator[RedisWindows]:
    namespace = f"test-{SystemIds().new().hex}"
    made = RedisWindows(str(URL), namespace=namespace, capacity=CAPACITY, timeout_s=5.0, ttl_s=300.0)
    made.namespace = namespace  # type: ignore[attr-defined]
    yield made
    await made.close()
    await _flush(namespace)


async def _flush(namespace: str) -> None:
    client = Redis.from_url(str(URL))
    async for key in client.scan_iter(f"{namespace}:*", count=1000):
        await client.delete(key)
    await client.aclose()


def mirror(log: EventLog, windows: Windows, seed: Seed, member: str = "m") -> WindowsMirror:
    return WindowsMirror(
        log=log, windows=windows, seed=seed, member=member, clock=CLOCK, metrics=Metrics(), logger=logger("test")
    )


@asynccontextmanager
async def running(*parts: WindowsMirror) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def send(log: EventLog, draw: random.Random, begin: int, end: int) -> None:
    producer = await log.producer("stream")
    for now in range(begin, end):
        await producer.send([a_batch(draw, symbol, now) for symbol in SYMBOLS])
    await producer.close()


async def is_level(log: EventLog, windows: Windows) -> bool:
    """Every symbol's windows say where the log stands, and then hold what the rings do."""
    for symbol in SYMBOLS:
        expected, at = await standing(log, symbol, CAPACITY)
        found = {seconds: await windows.last(EXCHANGE, symbol, seconds, CAPACITY) for seconds in expected}
        for seconds, rows in expected.items():
            window = found[seconds]
            if window is None:
                return False
            claimed = {place: window.at.get(place, Position(0, 0)) for place in at}
            for place in at:
                if claimed[place] < await _newest_of(log, symbol, place):
                    return False
            for name, _ in FIELDS:
                assert window.rows[name].tolist() == rows[name].tolist(), (symbol, seconds, name, claimed, at)
    return True


async def _newest_of(log: EventLog, symbol: str, place: Place) -> Position:
    newest, after = Position(0, 0), None
    while found := await log.read_at(*place, after, 500):
        after = found[-1].position
        newest = max([newest, *(record.position for record in found if record.key == f"{EXCHANGE}:{symbol}")])
    return newest


async def until_level(log: EventLog, windows: Windows, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await is_level(log, windows):
            await asyncio.sleep(0.1)


async def test_windows_follow_the_log_and_are_seeded_where_they_begin_late(
    log: EventLog, windows: RedisWindows
) -> None:
    draw = random.Random(1)
    await send(log, draw, 0, 50)
    async with running(mirror(log, windows, seed_of(log))):
        await until_level(log, windows)
        await send(log, draw, 50, 70)
        await until_level(log, windows)
        # A server that lost everything is filled again by whoever speaks next.
        await _flush(windows.namespace)  # type: ignore[attr-defined]
        await send(log, draw, 70, 75)
        await until_level(log, windows)
    # Another one goes on where it ended.
    async with running(mirror(log, windows, seed_of(log))):
        await send(log, draw, 75, 80)
        await until_level(log, windows)


async def test_rings_of_this_process_are_kept_the_same_way(log: EventLog) -> None:
    draw, windows = random.Random(2), MemoryWindows(CLOCK, capacity=CAPACITY)
    await send(log, draw, 0, 20)
    async with running(mirror(log, windows, seed_of(log))):
        await send(log, draw, 20, 60)
        await until_level(log, windows)


async def test_nothing_is_claimed_while_there_is_no_seed(log: EventLog, windows: RedisWindows) -> None:
    draw, away = random.Random(3), True

    async def seed(exchange: str, symbol: str, most: int) -> tuple[Mapping[int, Rows], Mapping[Place, Position]]:
        if away:
            raise SeedUnavailable("history is away")
        return await seed_of(log)(exchange, symbol, most)

    part = mirror(log, windows, seed)
    await send(log, draw, 0, 10)
    async with running(part):
        async with asyncio.timeout(10):
            while part.check() is None:
                await asyncio.sleep(0.02)
        await send(log, draw, 10, 20)
        for symbol in SYMBOLS:
            assert await windows.last(EXCHANGE, symbol, 60, 5) is None
        away = False
        await until_level(log, windows)
        await send(log, draw, 20, 25)
        await until_level(log, windows)
        assert part.check() is None


async def test_a_seed_that_is_behind_is_waited_for(log: EventLog, windows: RedisWindows) -> None:
    draw, behind = random.Random(4), 3

    async def seed(exchange: str, symbol: str, most: int) -> tuple[Mapping[int, Rows], Mapping[Place, Position]]:
        nonlocal behind
        rows, at = await seed_of(log)(exchange, symbol, most)
        if behind:
            behind -= 1
            return {}, {place: Position(0, 0) for place in at}
        return rows, at

    await send(log, draw, 0, 10)
    async with running(mirror(log, windows, seed)):
        await until_level(log, windows)
    assert behind == 0


async def test_two_mirrors_share_the_partitions(log: EventLog, windows: RedisWindows) -> None:
    draw = random.Random(5)
    seed = seed_of(log)
    async with running(mirror(log, windows, seed, "m-0")):
        await send(log, draw, 0, 15)
        async with running(mirror(log, windows, seed, "m-1")):
            await send(log, draw, 15, 30)
            await until_level(log, windows, 60)
        await send(log, draw, 30, 40)
        await until_level(log, windows, 60)


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from candlewick.adapters.cache.redis import RedisWindows
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.app.runtime.mirror_windows import WindowsMirror
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock
from tests.candles_in_log import seed_of

url, namespace, folder, count = sys.argv[1:]
left = int(count)

def on_step(name):
    global left
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    clock = SystemClock()
    log = SqliteEventLog(Path(folder), clock)
    await log.open()
    windows = RedisWindows(url, namespace=namespace, capacity=30, timeout_s=5.0, ttl_s=300.0)
    await WindowsMirror(log=log, windows=windows, seed=seed_of(log), member="m", clock=clock, metrics=Metrics(),
                        logger=logger("mirror"), on_step=on_step).run()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_mirror_killed_between_windows_and_commit_changes_nothing(
    log: EventLog, windows: RedisWindows, tmp_path: Path
) -> None:
    draw = random.Random(6)
    for kill in range(3):
        await send(log, draw, kill * 10, kill * 10 + 10)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(URL), windows.namespace, str(tmp_path), str(kill + 1),  # type: ignore[attr-defined]
            cwd=ROOT,
        )  # fmt: skip
        if kill:
            # More than one batch, so that a later one is cut.
            await send(log, draw, kill * 10, kill * 10 + 10)
        async with asyncio.timeout(60):
            while child.returncode is None:
                await send(log, draw, kill * 10 + 9, kill * 10 + 10)
                await asyncio.sleep(0.2)
        assert child.returncode == -signal.SIGKILL
    async with running(mirror(log, windows, seed_of(log))):
        await send(log, draw, 30, 35)
        await until_level(log, windows, 60)


async def test_seeds_come_from_history_s_pages() -> None:
    class History:
        def __init__(self) -> None:
            self.asked: list[tuple[str, Any]] = []
            self.status = 200

        async def get(
            self, path: str, params: Mapping[str, str] = {}, **_: Any
        ) -> tuple[int, Mapping[str, str], bytes]:
            self.asked.append((path, dict(params)))
            frame = {"1m": 60, "1h": 3600}.get(path.rpartition("/")[2])
            candles = [(frame, n, n + 5, 0, 1, 1) for n in range(3)] if frame else []
            body = codec.encode(CandleBatch(EXCHANGE, "BTC-USDT", columns(candles)))  # type: ignore[arg-type]
            at = 7 if frame == 60 else 9
            return self.status, {"x-log-positions": f'[["normalized.ohlcv",3,1,{at}]]'}, body

    history = History()
    rows, at = await from_history(history)(EXCHANGE, "BTC-USDT", 2)  # type: ignore[arg-type]
    assert at == {("normalized.ohlcv", 3): Position(1, 7)}
    assert sorted(rows) == [60, 3600]
    assert rows[60]["close"].tolist() == [0.06, 0.07]
    assert all(params == {"limit": "2"} for _, params in history.asked)
    history.status = 503
    with pytest.raises(SeedUnavailable) as away:
        await from_history(history)(EXCHANGE, "BTC-USDT", 2)  # type: ignore[arg-type]
    assert away.value.code == "SEED_UNAVAILABLE"
