"""Laws of transactions: all or nothing, hidden while open, one writer per transactional id."""

from candlewick.kernel.errors import Fenced
from candlewick.ports.log import Consumer, EventLog, LogUnavailable
from candlewick.testing.conformance.log_harness import (
    EVENTS,
    OTHER,
    SINGLE,
    LogHarness,
    assert_rising,
    by_key,
    everything,
    expected,
    last_places,
    law,
    new,
    numbered,
    refused,
    take,
    until,
)


async def _member(log: EventLog) -> Consumer:
    """The only member of its group, with its partitions."""
    return await log.consumer([SINGLE.name], group="worker", member="w", start="oldest")


class TransactionLaws:
    """Every test takes a fresh harness."""

    @law(14)
    async def test_a_transaction_is_all_there(self, harness: LogHarness) -> None:
        """Records to several topics and the consumer's positions become true together; the group goes on behind."""
        log = await harness.open()
        plain = await log.producer("p")
        await plain.send(numbered(["a:b"], 10, SINGLE))
        worker = await log.producer("w", transactional_id="w-1")
        consumer = await _member(log)
        batch = (await take(consumer, 10, surplus_s=0, max_records=4))[:4]
        async with worker.transaction() as transaction:
            transaction.send(numbered(["a:b"], 4))
            transaction.send(numbered(["c:d"], 2, OTHER))
            transaction.advance(consumer, last_places(batch))
        await log.close()
        log = await harness.open()
        assert by_key(await everything(log, EVENTS)) == expected(["a:b"], 4)
        assert by_key(await everything(log, OTHER)) == expected(["c:d"], 2)
        again = await take(await _member(log), 6)
        assert by_key(again) == expected(["a:b"], 6, first=4)
        await log.close()

    @law(14)
    async def test_an_aborted_transaction_leaves_nothing(self, harness: LogHarness) -> None:
        """An exception in the context: no record is ever seen, the group has not moved, the next one works."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(["a:b"], 3, SINGLE))
        worker = await log.producer("w", transactional_id="w-1")
        consumer = await _member(log)
        batch = await take(consumer, 3)
        try:
            async with worker.transaction() as transaction:
                transaction.send(numbered(["a:b"], 4))
                transaction.advance(consumer, last_places(batch))
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        async with worker.transaction() as transaction:
            transaction.send([new("a:b", b"after")])
        await log.close()
        log = await harness.open()
        assert by_key(await everything(log, EVENTS)) == {"a:b": [b"after"]}
        assert len(await take(await _member(log), 3)) == 3, "the group must not have moved"
        await log.close()

    @law(12)
    async def test_an_open_transaction_is_unseen_and_nothing_overtakes_it_backwards(self, harness: LogHarness) -> None:
        """Nothing of an open transaction is seen; whatever is seen meanwhile, positions only rise for a reader."""
        log = await harness.open()
        plain = await log.producer("p")
        worker = await log.producer("w", transactional_id="w-1")
        reader = await log.consumer([SINGLE.name], group=None, member="r", start="oldest")
        await plain.send([new("a:b", b"before", SINGLE)])
        async with worker.transaction() as transaction:
            transaction.send([new("a:b", b"inside", SINGLE)])
            await plain.send([new("c:d", b"beside", SINGLE)])
            early = await take(reader, 1, surplus_s=0.4)
            assert b"inside" not in [r.value for r in early], "an open transaction must not be seen"
            transaction.send([new("a:b", b"inside too", SINGLE)])
        late = await take(reader, 4 - len(early))
        assert_rising(early + late)
        found = by_key(early + late)
        assert found == {"a:b": [b"before", b"inside", b"inside too"], "c:d": [b"beside"]}, f"was {found}"
        await log.close()

    @law(14)
    async def test_a_kill_between_any_two_steps_keeps_all_or_nothing(self, harness: LogHarness) -> None:
        """Killed at each step of the commit: the two topics and the group's position agree afterwards."""
        assert harness.steps, "the harness must name the steps of a commit"
        for step in harness.steps:
            log = await harness.open()
            await (await log.producer("p")).send([new("a:b", step.encode(), SINGLE)])
            await log.close()
            done_before = len(await self._outputs(harness))
            log = await harness.open(crash_at=step)
            try:
                worker = await log.producer("w", transactional_id="w-1")
                consumer = await _member(log)
                batch = await take(consumer, 1, surplus_s=0)
                async with worker.transaction() as transaction:
                    transaction.send([new("a:b", record.value) for record in batch])
                    transaction.send([new("a:b", record.value, OTHER) for record in batch])
                    transaction.advance(consumer, last_places(batch))
            except (LogUnavailable, Fenced):
                pass
            await harness.crash(log)
            log = await harness.open()
            events = len(await everything(log, EVENTS))
            others = len(await everything(log, OTHER))
            left = len(await take(await _member(log), 0, surplus_s=0.5))
            await log.close()
            done = events - done_before
            assert events == others, f"killed at {step}: {events} records in one topic, {others} in the other"
            assert done == 0 or left == 0, f"killed at {step}: outputs are there, but {left} inputs come again"
            assert done > 0 or left > 0, f"killed at {step}: an input is done without its output"
            if left:
                await self._work_off(harness)

    async def _outputs(self, harness: LogHarness) -> list[bytes | None]:
        log = await harness.open()
        found = [record.value for record in await everything(log, EVENTS)]
        await log.close()
        return found

    async def _work_off(self, harness: LogHarness) -> None:
        log = await harness.open()
        worker = await log.producer("w", transactional_id="w-1")
        consumer = await _member(log)
        batch = await take(consumer, 1)
        async with worker.transaction() as transaction:
            transaction.send([new("a:b", record.value) for record in batch])
            transaction.send([new("a:b", record.value, OTHER) for record in batch])
            transaction.advance(consumer, last_places(batch))
        await log.close()

    @law()
    async def test_a_newer_producer_fences_the_older(self, harness: LogHarness) -> None:
        """The same transactional id a second time: the first one's later calls raise Fenced and leave nothing."""
        log = await harness.open()
        first = await log.producer("w", transactional_id="w-1")
        async with first.transaction() as transaction:
            transaction.send([new("a:b", b"of the first")])
        second = await log.producer("w", transactional_id="w-1")

        async def late() -> None:
            async with first.transaction() as transaction:
                transaction.send([new("a:b", b"of a zombie")])

        await refused(Fenced, late(), "the older producer's transaction")
        async with second.transaction() as transaction:
            transaction.send([new("a:b", b"of the second")])
        assert by_key(await everything(log, EVENTS)) == {"a:b": [b"of the first", b"of the second"]}
        await log.close()

    @law()
    async def test_a_member_without_its_partitions_cannot_advance(self, harness: LogHarness) -> None:
        """A transaction with positions of partitions that another member took raises Fenced and leaves nothing."""
        log, other = await harness.open(), await harness.open()
        await (await log.producer("p")).send(numbered(["a:b"], 3, SINGLE))
        worker = await log.producer("w", transactional_id="w-1")
        old = await _member(log)
        batch = await take(old, 3)
        # The same member starts anew elsewhere: it takes the seat, and the old one is a zombie.
        young = await other.consumer([SINGLE.name], group="worker", member="w", start="oldest")
        await until(young.assignment, "the new one has the partition", pump=lambda: young.poll(timeout_s=0.1))

        async def late() -> None:
            async with worker.transaction() as transaction:
                transaction.send([new("a:b", b"of a zombie")])
                transaction.advance(old, last_places(batch))

        await refused(Fenced, late(), "positions of partitions that are another's")
        assert await everything(log, EVENTS) == []
        await log.close()
        await other.close()
