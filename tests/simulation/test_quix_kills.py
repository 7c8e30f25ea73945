"""LAWS 10, 14 on Quix Streams: kill -9 at any step, while state is restored too, loses nothing and doubles nothing."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.names import Names
from candlewick.adapters.log.kafka import KafkaEventLog, KafkaTopics
from candlewick.adapters.stream.quix.progress import Progress
from candlewick.contracts.base import Message
from candlewick.contracts.collector import TradeBatch
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import LogUnavailable
from candlewick.testing.conformance.log_harness import everything
from tests.kafka import BROKERS, needs_kafka
from tests.simulation import quix_world as world
from tests.simulation.stream_world import expected, story

pytestmark = [needs_kafka, pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(400)]
GROUP = "stream.candles"


class Workers:
    """The program that forks, asked over its pipes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = f"test-{SystemIds().new().hex[-12:]}."
        self._zygote = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.simulation.quix_world"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def spawn(self, member: str, **order: Any) -> int:
        """A worker at work; its process id."""
        told = {"brokers": BROKERS, "member": member, "folder": str(self.folder), "prefix": self.prefix}
        return int(self._ask(do="spawn", **told, **order)["pid"])

    def wait(self, pid: int) -> int:
        """Its exit code, negative when killed."""
        return int(self._ask(do="wait", pid=pid)["code"])

    def run(self, member: str, **order: Any) -> int:
        """To its end."""
        return self.wait(self.spawn(member, **order))

    def told(self, member: str) -> dict[str, Any]:
        """What a worker said when it left."""
        found: dict[str, Any] = json.loads((self.folder / f"{member}.json").read_text())
        return found

    def _ask(self, **order: Any) -> dict[str, Any]:
        assert self._zygote.stdin is not None
        print(json.dumps(order), file=self._zygote.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._zygote.stdout is not None
        found: dict[str, Any] = json.loads(self._zygote.stdout.readline())
        return found

    def end(self) -> None:
        """No worker outlives its test."""
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(30)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(tmp_path)
    yield workers
    workers.end()


@pytest.fixture
async def log(workers: Workers) -> AsyncIterator[KafkaEventLog]:
    assert BROKERS is not None
    options = world.options(workers.prefix)
    log = KafkaEventLog(BROKERS, SystemClock(), SystemIds(), topics=world.TOPICS, options=options)
    await log.apply()
    await log.open()
    yield log
    await log.close()
    KafkaTopics(BROKERS, world.TOPICS, options).delete()
    admin = Admin(BROKERS, options)
    admin.delete([name for name in admin.metadata().topics if name.startswith(f"{workers.prefix}stream.")])


async def _write(log: KafkaEventLog, messages: list[Message]) -> None:
    producer = await log.producer("collector")
    await producer.send(world.records(messages))
    await producer.close()


async def _equals(log: KafkaEventLog, messages: list[Message]) -> bool:
    return world.candles(await everything(log, world.CANDLES)) == expected(messages)


async def test_kill_minus_nine_at_every_step(workers: Workers, log: KafkaEventLog) -> None:
    """With and without the disk of the life before."""
    messages = story(11)
    await _write(log, messages)
    random = Random(20240808)
    killed = 0
    for turn, place in enumerate(world.STEPS * 2):
        code = await asyncio.to_thread(workers.run, "w", place=place, count=random.randint(1, 6), messages=4)
        assert code in {0, -signal.SIGKILL}
        killed += code != 0
        if turn % 3 == 2:
            shutil.rmtree(workers.folder / "w")
    assert killed >= len(world.STEPS) * 2 - 3
    assert await asyncio.to_thread(workers.run, "w") == 0
    assert await _equals(log, messages)


async def test_four_workers_begin_cold_with_full_state(workers: Workers, log: KafkaEventLog) -> None:
    """Their disks are gone: all of it comes from the changelogs, while one of them is killed at it, and compaction has
    been over them."""
    assert BROKERS is not None
    messages = story(5, trades=400)
    half = len(messages) // 2
    await _write(log, messages[:half])
    assert await asyncio.to_thread(workers.run, "w0", messages=16) == 0
    before = world.changelog(BROKERS, workers.prefix)
    trades = sum(len(one.columns_v1.price) for one in messages[:half] if isinstance(one, TradeBatch))
    size = sum(one[2] for one in before)
    print(f"\nchangelog: {size / trades:.0f} bytes a trade, {len(before)} records for {half} messages, {trades} trades")
    rest = await _compacted(workers, log, messages[half:], len(before))
    after = world.changelog(BROKERS, workers.prefix)
    assert len(after) < len(before), "compaction has been over the changelog"
    assert {one[:2] for one in after} >= {one[:2] for one in before}, "the newest of each key is kept"
    print(f"compaction left {len(after)} records of more than {len(before)}")
    for child in workers.folder.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    await _write(log, rest)
    begin = time.monotonic()
    places = [("w0", {"place": "restoring", "count": 2}), ("w1", {}), ("w2", {}), ("w3", {})]
    pids = [workers.spawn(member, serve=True, **order) for member, order in places]
    assert await asyncio.to_thread(workers.wait, pids[0]) == -signal.SIGKILL
    pids[0] = workers.spawn("w0", serve=True)
    await _caught_up(workers)
    print(f"four cold workers had caught up after {time.monotonic() - begin:.1f} s")
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        assert await asyncio.to_thread(workers.wait, pid) == 0
    assert sum(workers.told(f"w{i}")["restored"] for i in range(4)) > 0, "state came from the changelogs"
    assert await _equals(log, messages)


async def _compacted(workers: Workers, log: KafkaEventLog, rest: list[Message], count: int) -> list[Message]:
    """Have the brokers compact the changelog. Only closed segments are, and a record closes one: so more is processed
    meanwhile; returns what is still unwritten of ``rest``."""
    assert BROKERS is not None
    admin = Admin(BROKERS, world.options(workers.prefix))
    name = next(name for name in admin.metadata().topics if name.startswith(f"{workers.prefix}stream."))
    admin.alter({name: {"segment.ms": "50", "min.cleanable.dirty.ratio": "0.0", "delete.retention.ms": "10"}})
    deadline = time.monotonic() + 240  # one cleaner for all topics, those of other tests too
    while len(world.changelog(BROKERS, workers.prefix)) >= count:
        assert time.monotonic() < deadline, "the brokers did not compact within four minutes"
        assert len(rest) > 10, "there is something left to process"
        await _write(log, rest[:5])
        rest = rest[5:]
        assert await asyncio.to_thread(workers.run, "w0") == 0
        await asyncio.sleep(2)
    return rest


async def _caught_up(workers: Workers) -> None:
    assert BROKERS is not None
    options = world.options(workers.prefix)
    names = Names(world.TOPICS, workers.prefix)
    places = {names.there(world.RAW.name): world.RAW.partitions}
    progress = Progress(BROKERS, Admin(BROKERS, options), options, workers.prefix + GROUP, places)
    deadline = time.monotonic() + 180
    ends: dict[tuple[str, int], int] | None = None
    while ends is None or ends:
        assert time.monotonic() < deadline, f"not done within three minutes: {ends}"
        with contextlib.suppress(LogUnavailable):
            ends = progress.ends() if ends is None else progress.left(ends)
        await asyncio.sleep(0.1)
    progress.close()


async def test_killed_at_random_instants_by_another(workers: Workers, log: KafkaEventLog) -> None:
    """Two workers, one or the other killed while both work and more comes in; it comes back under its name."""
    messages = story(23, trades=600)
    random = Random(4)
    pids = {member: workers.spawn(member, serve=True, messages=64) for member in ("a", "b")}
    step = len(messages) // 8
    for turn in range(8):
        await _write(log, messages[turn * step : (turn + 1) * step if turn < 7 else len(messages)])
        await asyncio.sleep(random.uniform(0.1, 1.5))
        member = random.choice("ab")
        os.kill(pids[member], signal.SIGKILL)
        assert await asyncio.to_thread(workers.wait, pids[member]) == -signal.SIGKILL
        if turn % 4 == 3:
            shutil.rmtree(workers.folder / member, ignore_errors=True)
        pids[member] = workers.spawn(member, serve=True, messages=64)
    await _caught_up(workers)
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    for pid in pids.values():
        assert await asyncio.to_thread(workers.wait, pid) == 0
    assert await _equals(log, messages)
