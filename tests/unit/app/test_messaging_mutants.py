"""LAW 14's suite would be worth little if a broken runtime passed it: each of these loses or doubles facts, and is
seen to. The sound runtime passes the same scenario, with the same delays."""

import asyncio
from contextlib import asynccontextmanager, nullcontext
from random import Random

import pytest
import structlog

from candlewick.app.runtime.messaging import LogMessaging
from candlewick.app.runtime.outbox import Outbox
from candlewick.contracts import codec
from candlewick.contracts.history import GapClosed
from candlewick.contracts.topics import HISTORY_GAPS
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds
from tests.unit.app.test_messaging import Bench, all_records

pytestmark = pytest.mark.slow

SYMBOLS = [f"S{i}-USDT" for i in range(8)]
FACTS = 25


class Slow:
    """A relay that is held up between reading the outbox and sending."""

    def __init__(self, outbox, seed):
        self._outbox, self._random = outbox, Random(seed)
        self._sound = outbox.relay
        outbox.relay = self.relay

    async def relay(self, producer):
        random = self._random

        class Held:
            @asynccontextmanager
            async def transaction(self):
                await asyncio.sleep(random.random() * 0.05)
                async with producer.transaction() as out:
                    yield out

        return await self._sound(Held())


class Around:
    """Passes on what a mutant leaves alone."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)


class NobodyWaits(Around):
    def alone(self, name):
        return nullcontext()


class NoFence(Around):
    number = 0

    async def producer(self, name, *, transactional_id=None):
        NoFence.number += 1
        return await self._inner.producer(name, transactional_id=f"{transactional_id}-{self.number}")


class SendsTwice(Around):
    """A relay that died after it had sent, each time."""

    async def producer(self, name, *, transactional_id=None):
        return Twice(await self._inner.producer(name, transactional_id=transactional_id))


class Twice(Around):
    @asynccontextmanager
    async def transaction(self):
        said = []

        class Out:
            def send(self, records):
                said.extend(records)

        yield Out()
        for _ in range(2):
            async with self._inner.transaction() as out:
                out.send(said)


async def scenario(bench, *, log=lambda inner: inner, database=lambda inner: inner):
    """Two processes of one service write facts of eight keys; what another service's handler committed, in order."""
    stores = [bench.database("history") for _ in range(2)]
    outboxes, tasks = [], []
    for number, store in enumerate(stores):
        await store.open()
        outbox = Outbox(
            service="history", log=log(bench.log), database=database(store), clock=SystemClock(), ids=SystemIds(),
            metrics=Metrics(), logger=structlog.get_logger(),
        )  # fmt: skip
        await outbox.open()
        Slow(outbox, number)
        outboxes.append(outbox)
        tasks.append(asyncio.ensure_future(outbox.run()))
    seen = []

    async def handler(event, unit):
        seen.append((event.message.symbol, int(event.message.gap_id)))

    async with bench.messaging("notify") as consumer:
        await consumer.handle([HISTORY_GAPS.name], handler)
        for n in range(FACTS):
            for outbox, store in zip(outboxes, stores, strict=True):
                async with store.transaction() as tx:
                    unit = outbox.unit(tx)
                    for symbol in SYMBOLS:
                        unit.emit(HISTORY_GAPS.name, GapClosed("demo", symbol, str(n), "repaired", ""), ts_event=1)
                    await unit.write()
                outbox.wake()
            await asyncio.sleep(0.01)
        deadline = asyncio.get_running_loop().time() + 4.0
        while len(seen) < 2 * FACTS * len(SYMBOLS) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for store in stores:
        await store.close()
    return seen, await all_records(bench.log, HISTORY_GAPS.name)


def assert_handled_once_and_in_order(found):
    seen, _ = found
    for symbol in SYMBOLS:
        assert [n for name, n in seen if name == symbol] == sorted([*range(FACTS)] * 2)


def assert_sent_once_and_in_order(found):
    """Nobody was killed, so nothing needed to be sent twice."""
    _, records = found
    sent = {}
    for record in records:
        sent.setdefault(record.partition, []).append(codec.decode_envelope(record.header).sequence)
    for sequences in sent.values():
        assert sequences == list(range(1, len(sequences) + 1))


@pytest.fixture
async def bench(tmp_path):
    made = Bench(tmp_path)
    await made.log.open()
    yield made
    await made.log.close()


async def test_two_processes_of_a_service_tell_every_fact_once_and_in_order(bench):
    found = await scenario(bench)
    assert_handled_once_and_in_order(found)
    assert_sent_once_and_in_order(found)
    assert bench.failures == []


async def test_two_relays_at_once_are_seen(bench):
    with pytest.raises(AssertionError):
        assert_sent_once_and_in_order(await scenario(bench, log=NoFence, database=NobodyWaits))


async def test_an_inbox_that_compares_sequences_of_different_partitions_is_seen(bench, monkeypatch):
    """``sequence > last seen`` of the producer alone: a partition that is read later seems to have been read."""
    sound = LogMessaging._is_seen

    async def by_producer(self, tx, record, envelope):
        if envelope.sequence and record.partition:
            row = await tx.fetch_one(
                "SELECT max(sequence) FROM inbox_sequence WHERE producer = :producer", {"producer": envelope.producer}
            )
            if row and row[0] is not None and envelope.sequence <= row[0]:
                return True
        return await sound(self, tx, record, envelope)

    monkeypatch.setattr(LogMessaging, "_is_seen", by_producer)
    with pytest.raises(AssertionError):
        assert_handled_once_and_in_order(await scenario(bench))


async def test_what_is_sent_twice_is_handled_once(bench):
    assert_handled_once_and_in_order(await scenario(bench, log=SendsTwice))


async def test_an_inbox_that_remembers_nothing_is_seen(bench, monkeypatch):
    async def never(self, tx, record, envelope):
        return False

    monkeypatch.setattr(LogMessaging, "_is_seen", never)
    with pytest.raises(AssertionError):
        assert_handled_once_and_in_order(await scenario(bench, log=SendsTwice))


async def test_positions_moved_before_the_handlers_transaction_are_seen(bench, monkeypatch):
    """Commit before state: what a handler failed on is never handled."""
    sound = LogMessaging._transact
    failed = []

    async def early(self, records, handler):
        database, _ = self._owned()
        async with database.transaction() as tx:
            await self._advance(tx, records)
        if not failed:
            failed.append(records)
            raise asyncio.CancelledError  # the process dies here
        await sound(self, records, handler)

    monkeypatch.setattr(LogMessaging, "_transact", early)
    with pytest.raises(AssertionError):
        assert_handled_once_and_in_order(await scenario(bench))
