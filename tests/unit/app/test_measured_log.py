"""How far a service's readers are behind, as the metrics tell it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.app.runtime.measured_log import EVERY_S, MeasuredLog
from candlewick.contracts.topics import COLLECTOR_GAPS, MARKET_SYMBOLS
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import LogUnavailable, NewRecord

GAPS, SYMBOLS = COLLECTOR_GAPS.name, MARKET_SYMBOLS.name


class Ground:
    def __init__(self, inner, clock):
        self.metrics = Metrics()
        self.log = MeasuredLog(inner, "history", self.metrics, clock)

    async def write(self, count, topic=GAPS):
        producer = await self.log.producer("test")
        await producer.send([NewRecord(topic, f"demo:{n}", b"x", b"", n) for n in range(count)])

    async def reader(self, *topics, group=None):
        made = await self.log.consumer(topics or (GAPS,), group=group, member="main", start="oldest")
        await made.poll(max_records=10)
        return made

    def told(self):
        lines = self.metrics.export().decode().splitlines()
        found = [line for line in lines if line.startswith("candlewick_consumer_lag{")]
        assert all('service="history"' in line for line in found)
        return {line.partition('topics="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in found}


@pytest.fixture
async def ground(tmp_path):
    log = SqliteEventLog(tmp_path, SystemClock())
    await log.open()
    yield Ground(log, SystemClock())
    await log.close()


async def test_what_is_written_and_not_read_is_told_by_topics(ground):
    await ground.write(50)
    await ground.write(5, SYMBOLS)
    shared, broadcast = await ground.reader(group="g"), await ground.reader(SYMBOLS, GAPS)
    await ground.log.ask()
    assert ground.told() == {GAPS: 40, f"{SYMBOLS},{GAPS}": 45}
    while await shared.poll(timeout_s=0.1):
        pass
    await ground.log.ask()
    assert ground.told() == {GAPS: 0, f"{SYMBOLS},{GAPS}": 45}
    await broadcast.close()
    await ground.log.ask()
    assert ground.told() == {GAPS: 0, f"{SYMBOLS},{GAPS}": 0}, "who no longer reads is not behind"


async def test_a_reader_that_stands_is_asked_all_the_same(ground):
    """Its handler hangs, so it does not poll: that is when it matters."""
    await ground.write(20)
    await ground.reader(group="g")
    await ground.log.ask()
    assert ground.told() == {GAPS: 10}
    await ground.write(30)
    await ground.log.ask()
    assert ground.told() == {GAPS: 40}


async def test_who_only_looks_for_ends_is_no_reader(ground):
    await ground.write(20)
    watcher = await ground.log.consumer([GAPS], group=None, member="main", start="oldest")
    assert len(await watcher.end_positions()) > 0
    await ground.log.ask()
    assert ground.told() == {}


class Careful:
    """A consumer that does not bear two tasks at once."""

    def __init__(self, lag=7):
        self.is_busy, self.behind = False, lag

    @asynccontextmanager
    async def alone(self):
        assert not self.is_busy
        self.is_busy = True
        await asyncio.sleep(0.001)
        yield
        self.is_busy = False

    async def poll(self, **_):
        async with self.alone():
            return []

    async def lag(self):
        async with self.alone():
            if self.behind is None:
                raise LogUnavailable("no broker answers")
            return self.behind


class Log:
    """Gives out consumers that were made before."""

    def __init__(self, *consumers):
        self.consumers = list(consumers)

    async def consumer(self, *_, **__):
        return self.consumers.pop(0)


async def test_polls_and_questions_take_turns_and_both_come_to_pass():
    ground = Ground(Log(Careful()), SystemClock())
    reader = await ground.reader()

    async def read():
        for _ in range(50):
            await reader.poll()

    async def ask():
        for _ in range(50):
            await ground.log.ask()

    await asyncio.wait_for(asyncio.gather(read(), ask()), 10)
    assert ground.told() == {GAPS: 7}


async def test_what_cannot_be_asked_keeps_its_last_value_and_the_others_go_on():
    away, there = Careful(), Careful(3)
    ground = Ground(Log(away, there), SystemClock())
    await ground.reader(GAPS)
    await ground.reader(SYMBOLS)
    await ground.log.ask()
    away.behind, there.behind = None, 4
    await ground.log.ask()
    assert ground.told() == {GAPS: 7, SYMBOLS: 4}


@pytest.mark.parametrize(("took_s", "rests_s"), [(0.0, EVERY_S), (0.5, EVERY_S), (10.0, 200.0)])
async def test_questions_take_little_of_a_reader_s_time(took_s, rests_s):
    now_ns, slept = 0, []

    class Slow(Careful):
        async def lag(self):
            nonlocal now_ns
            now_ns += int(took_s * NS_PER_SECOND)
            return 1

    class Clock:
        def monotonic_ns(self):
            return now_ns

        async def sleep(self, seconds):
            slept.append(seconds)
            if len(slept) == 3:
                raise asyncio.CancelledError

    ground = Ground(Log(Slow()), Clock())
    await ground.reader()
    with pytest.raises(asyncio.CancelledError):
        await ground.log.measure()
    assert slept == [rests_s] * 3


async def test_a_block_is_measured_to_its_end():
    ground = Ground(Log(Careful()), SystemClock())
    await ground.reader()
    async with ground.log.measured():
        async with asyncio.timeout(5):
            while ground.told() != {GAPS: 7}:
                await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1
