"""LAWS 13 and 14: inbox, outbox, relay and followers over the embedded log and database."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import structlog

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.app.runtime.messaging import LogMessaging
from candlewick.app.runtime.outbox import Outbox
from candlewick.app.tracing import NoTracer
from candlewick.contracts import codec
from candlewick.contracts.collector import GapSuspected
from candlewick.contracts.history import GapClosed
from candlewick.contracts.topics import COLLECTOR_GAPS, HISTORY_GAPS, dead_letters
from candlewick.kernel.errors import Rejected, Retryable
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import LogUnavailable, OutcomeUnknown


def gap(n, symbol="BTC-USDT"):
    return GapSuspected("demo", symbol, n, n + 1, "silence", -1, -1, "")


class Bench:
    """A log, one service's database, and as many messagings over them as wanted."""

    def __init__(self, folder):
        self.folder = folder
        self.log = SqliteEventLog(folder, SystemClock())
        self.failures = []
        self.tasks = set()

    def database(self, service):
        return SqliteDatabase(self.folder / f"{service}.db")

    @asynccontextmanager
    async def messaging(self, service="history", with_database=True):
        database = self.database(service) if with_database else None
        if database is not None:
            await database.open()
        tasks = self.tasks = set()

        def background(name, work):
            task = asyncio.ensure_future(work)
            tasks.add(task)
            task.add_done_callback(
                lambda t: t.cancelled() or t.exception() is None or self.failures.append((name, t.exception()))
            )

        made = LogMessaging(
            service=service, member="main", log=self.log, database=database, clock=SystemClock(), ids=SystemIds(),
            metrics=Metrics(), logger=structlog.get_logger(), background=background, tracer=NoTracer(),
        )  # fmt: skip
        await made.open()
        made.database = database
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await made.close()
            if database is not None:
                await database.close()


@pytest.fixture
async def bench(tmp_path):
    made = Bench(tmp_path)
    await made.log.open()
    yield made
    await made.log.close()
    assert made.failures == []


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def counted(database):
    """What the handlers committed; None before the first one did."""
    try:
        async with database.reading() as tx:
            return [n for (n,) in await tx.fetch("SELECT n FROM counted ORDER BY n")]
    except Rejected:
        return None


async def until_counted(database, expected, seconds=10.0):
    async with asyncio.timeout(seconds):
        while await counted(database) != expected:
            await asyncio.sleep(0.02)


async def all_records(log, topic):
    (partitions,) = [state.partitions for state in await log.describe() if state.name == topic]
    return [r for p in range(partitions) for r in await log.read_at(topic, p, None, 1000)]


async def test_law_14_state_inbox_and_outbox_commit_together_over_restarts(bench):
    seen = []

    async def handler(event, unit):
        seen.append(event.message.start_ns)
        await unit.execute("CREATE TABLE IF NOT EXISTS counted (n INTEGER)")
        await unit.execute("INSERT INTO counted VALUES (:n)", {"n": event.message.start_ns})
        unit.emit(
            HISTORY_GAPS.name,
            GapClosed("demo", event.message.symbol, f"g{event.message.start_ns}", "repaired", ""),
            ts_event=1,
        )

    async with bench.messaging("collector", with_database=False) as producer:
        await producer.publish(COLLECTOR_GAPS.name, [(gap(n), n, n) for n in range(50)])
    for _ in range(2):
        async with bench.messaging() as service:
            await service.handle([COLLECTOR_GAPS.name], handler)
            await until_counted(service.database, list(range(50)))
            await asyncio.sleep(0.1)
            assert await counted(service.database) == list(range(50))
            async with asyncio.timeout(10):
                while len(records := await all_records(bench.log, HISTORY_GAPS.name)) < 50:
                    await asyncio.sleep(0.02)
    assert seen == list(range(50))
    envelopes = [codec.decode_envelope(r.header) for r in records]
    assert [e.sequence for e in envelopes] == list(range(1, 51))
    assert {e.producer for e in envelopes} == {"history"}
    assert [codec.decode(e.type, r.value).gap_id for e, r in zip(envelopes, records, strict=True)] == [
        f"g{n}" for n in range(50)
    ]


async def test_law_14_a_failing_handler_leaves_no_trace_and_poison_goes_to_the_dead_letters(bench):
    async def handler(event, unit):
        await unit.execute("CREATE TABLE IF NOT EXISTS counted (n INTEGER)")
        await unit.execute("INSERT INTO counted VALUES (:n)", {"n": event.message.start_ns})
        if event.message.start_ns == 13:
            raise Rejected("thirteen is poison")

    async with bench.messaging("collector", with_database=False) as producer, bench.messaging() as service:
        await producer.publish(COLLECTOR_GAPS.name, [(gap(n), n, n) for n in range(30)])
        await service.handle([COLLECTOR_GAPS.name], handler)

        async with asyncio.timeout(10):
            while True:
                dead = await all_records(bench.log, dead_letters(COLLECTOR_GAPS.name))
                if dead:
                    break
                await asyncio.sleep(0.02)
        await until_counted(service.database, [n for n in range(30) if n != 13])
        assert len(dead) == 1
        envelope = codec.decode_envelope(dead[0].header)
        assert "REJECTED: thirteen is poison" in envelope.producer
        assert codec.decode(envelope.type, dead[0].value) == gap(13)


async def test_a_retryable_failure_is_tried_again_and_nothing_is_skipped(bench):
    tries = []

    async def handler(event, unit):
        tries.append(event.message.start_ns)
        if len(tries) < 3:
            raise Retryable("not yet")

    async with bench.messaging("collector", with_database=False) as producer, bench.messaging() as service:
        await producer.publish(COLLECTOR_GAPS.name, [(gap(1), 1, 1)])
        await service.handle([COLLECTOR_GAPS.name], handler)
        await until(lambda: len(tries) == 3)
    assert await all_records(bench.log, dead_letters(COLLECTOR_GAPS.name)) == []


async def test_law_14_what_a_relay_sent_twice_is_handled_once(bench):
    seen = []

    async def handler(event, unit):
        seen.append(event.message.gap_id)

    async with bench.messaging("history") as producer:

        async def work(unit):
            unit.emit(HISTORY_GAPS.name, GapClosed("demo", "BTC-USDT", "g1", "repaired", ""), ts_event=1)
            unit.emit(HISTORY_GAPS.name, GapClosed("demo", "BTC-USDT", "g2", "repaired", ""), ts_event=1)

        await producer.unit_of_work(work)
        async with asyncio.timeout(5):
            while len(records := await all_records(bench.log, HISTORY_GAPS.name)) < 2:
                await asyncio.sleep(0.01)
        again = await bench.log.producer("again")
        from candlewick.ports.log import NewRecord

        await again.send([NewRecord(r.topic, r.key, r.value, r.header, 1) for r in records])
        await again.close()
    async with bench.messaging("notify") as consumer:
        await consumer.handle([HISTORY_GAPS.name], handler)
        await until(lambda: len(seen) >= 2)
        await asyncio.sleep(0.2)
    assert seen == ["g1", "g2"]


async def test_law_14_a_relay_that_was_held_up_forgets_only_what_it_sent(bench):
    """It sends, is held up, another one takes over and empties the outbox, newer facts are written; then it goes on."""

    async def say(made, gap_id):
        async def work(unit):
            unit.emit(HISTORY_GAPS.name, GapClosed("demo", "BTC-USDT", gap_id, "repaired", ""), ts_event=1)

        await made.unit_of_work(work)

    def outbox(database):
        return Outbox(
            service="history", log=bench.log, database=database, clock=SystemClock(), ids=SystemIds(),
            metrics=Metrics(), logger=structlog.get_logger(),
        )  # fmt: skip

    class HeldUp:
        """A database whose next transaction waits."""

        def __init__(self, inner):
            self.inner, self.reached, self.go = inner, asyncio.Event(), asyncio.Event()

        def __getattr__(self, name):
            return getattr(self.inner, name)

        @asynccontextmanager
        async def transaction(self):
            self.reached.set()
            await self.go.wait()
            async with self.inner.transaction() as tx:
                yield tx

    async with bench.messaging() as made:
        for task in bench.tasks:
            task.cancel()
        await asyncio.gather(*bench.tasks, return_exceptions=True)
        first, second = outbox(made.database), outbox(made.database)
        lines = [await bench.log.producer("history", transactional_id="history.relay")]
        await say(made, "one")
        first._database = HeldUp(made.database)
        held_up = asyncio.ensure_future(first.relay(lines[0]))
        await first._database.reached.wait()
        lines.append(await bench.log.producer("history", transactional_id="history.relay"))
        assert await second.relay(lines[1]) == 1
        await say(made, "two")
        first._database.go.set()
        await held_up
        assert await second.relay(lines[1]) == 1
        for line in lines:
            await line.close()
    records = await all_records(bench.log, HISTORY_GAPS.name)
    ids = [codec.decode(codec.decode_envelope(r.header).type, r.value).gap_id for r in records]
    assert ids == ["one", "one", "two"]


@pytest.mark.parametrize("fault", [LogUnavailable, OutcomeUnknown])
async def test_law_14_a_producer_that_can_begin_no_transaction_any_more_is_made_anew(bench, fault):
    """As the client's is whose transaction could not be ended: it says so for ever."""

    class Stuck:
        is_closed = False

        def transaction(self):
            raise fault("ending the transaction failed")

        async def close(self):
            self.is_closed = True

    class Log:
        stuck = Stuck()

        def __init__(self):
            self.left = [self.stuck]

        async def producer(self, *given, **named):
            return self.left.pop() if self.left else await bench.log.producer(*given, **named)

    async def work(unit):
        unit.emit(HISTORY_GAPS.name, GapClosed("demo", "BTC-USDT", "g1", "repaired", ""), ts_event=1)

    async with bench.messaging("history") as made:
        for task in bench.tasks:
            task.cancel()
        await asyncio.gather(*bench.tasks, return_exceptions=True)
        await made.unit_of_work(work)
        outbox = Outbox(
            service="history", log=Log(), database=made.database, clock=SystemClock(), ids=SystemIds(),
            metrics=Metrics(), logger=structlog.get_logger(),
        )  # fmt: skip
        relaying = asyncio.ensure_future(outbox.run())
        async with asyncio.timeout(5):
            while not await all_records(bench.log, HISTORY_GAPS.name):
                await asyncio.sleep(0.01)
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
    assert Log.stuck.is_closed


async def test_law_13_followers_see_what_comes_from_now_on_and_a_failing_one_goes_on(bench):
    seen, asked = [], set()

    def follower(events):
        asked.update(e.message.start_ns for e in events)
        if any(e.message.start_ns == 2 for e in events):
            raise ValueError("cannot take two")
        seen.extend(e.message.start_ns for e in events)

    async with bench.messaging("collector", with_database=False) as made:
        await made.publish(COLLECTOR_GAPS.name, [(gap(0), 0, 0)])
        await made.follow([COLLECTOR_GAPS.name], follower)
        for n in (1, 2, 3):
            await made.publish(COLLECTOR_GAPS.name, [(gap(n), n, n)])
            await until(lambda n=n: n in asked)
    assert seen == [1, 3]


async def test_replay_hands_over_everything_before_it_returns(bench):
    seen = []
    async with bench.messaging("collector", with_database=False) as made:
        await made.publish(COLLECTOR_GAPS.name, [(gap(n, f"S{n % 7}-USDT"), n, n) for n in range(200)])
        await made.replay([COLLECTOR_GAPS.name], lambda events: seen.extend(e.message.start_ns for e in events))
        assert sorted(seen) == list(range(200))
        await made.publish(COLLECTOR_GAPS.name, [(gap(200), 200, 200)])
        await until(lambda: 200 in seen)


async def test_law_14_of_two_processes_of_a_service_one_relays_and_the_other_takes_over(bench):
    """Two relays at once would fence each other for ever; the second waits for its turn and gets it when the first
    ends."""

    async def say(made, gap_id):
        async def work(unit):
            unit.emit(HISTORY_GAPS.name, GapClosed("demo", "BTC-USDT", gap_id, "repaired", ""), ts_event=1)

        await made.unit_of_work(work)

    async def told():
        records = await all_records(bench.log, HISTORY_GAPS.name)
        return sorted(codec.decode(codec.decode_envelope(r.header).type, r.value).gap_id for r in records)

    async def until_told(expected):
        async with asyncio.timeout(10):
            while await told() != expected:
                await asyncio.sleep(0.05)

    async with bench.messaging() as second:
        async with bench.messaging() as first:
            await say(first, "1")
            await say(second, "2")
            await until_told(["1", "2"])
            await asyncio.sleep(1.0)
        await say(second, "3")
        await until_told(["1", "2", "3"])
    assert bench.failures == []


@pytest.mark.slow
async def test_caught_up_means_that_followers_and_handlers_have_what_was_there(bench):
    heard, handled = [], []

    async def handler(event, unit):
        handled.append(event.message.start_ns)

    async with bench.messaging("collector", with_database=False) as producer, bench.messaging() as service:
        await asyncio.wait_for(service.caught_up(), 10)  # of nothing
        await producer.publish(COLLECTOR_GAPS.name, [(gap(n), n, n) for n in range(3000)])
        await service.replay([COLLECTOR_GAPS.name], lambda events: heard.extend(e.message.start_ns for e in events))
        await service.handle([COLLECTOR_GAPS.name], handler)
        await asyncio.wait_for(service.caught_up(), 60)
        assert len(heard) == 3000
        assert len(handled) >= 2000, "no further behind than one poll"
        await asyncio.wait_for(service.caught_up(), 60)


async def test_a_relay_that_is_woken_and_cancelled_at_once_ends(bench):
    """asyncio.wait_for of Python 3.11 swallows a cancellation that comes together with what it waits for: a service
    would never have stopped."""
    for _ in range(20):
        async with bench.messaging() as made:
            await asyncio.sleep(0.02)
            made._outbox.wake()
            for task in bench.tasks:
                task.cancel()
            _, running = await asyncio.wait(bench.tasks, timeout=5.0)
            assert not running
