"""Laws of order, delivery, positions and reading."""

import asyncio
import time

from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import NotShared, Position, Record, RecordTooLarge
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
)

KEYS = [f"venue:S{i}-USDT" for i in range(8)]


class DeliveryLaws:
    """Every test takes a fresh harness."""

    @law(12)
    async def test_records_of_a_key_keep_their_order(self, harness: LogHarness) -> None:
        """One producer's records of a key arrive in the order sent, also when calls are not awaited one by one."""
        log = await harness.open()
        producer = await log.producer("p")
        reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
        await asyncio.gather(*[producer.send(numbered(KEYS, 5, first=5 * i)) for i in range(20)])
        records = await take(reader, 800)
        assert by_key(records) == expected(KEYS, 100)
        assert_rising(records)
        await log.close()

    @law(9)
    async def test_partition_is_murmur2_of_the_key(self, harness: LogHarness) -> None:
        """A record lies in the partition that the shared hash names; all of a key's in one."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(KEYS, 3))
        for record in await everything(log, EVENTS):
            assert record.partition == partition_of(record.key, EVENTS.partitions), f"was {record.partition}"
        await log.close()

    @law(12, 19)
    async def test_what_is_read_is_what_was_sent_and_where(self, harness: LogHarness) -> None:
        """Key, header, value (None too) come back; ``send`` tells the positions; the append time is told."""
        log = await harness.open()
        sent = [new("a:b", b"x" * 10_000), new("a:b", None), new("c:d", b""), new("ü:ß", b"\x00\xff")]
        before = time.monotonic()
        places = await (await log.producer("p")).send(sent)
        records = await everything(log, EVENTS)
        found = {(r.partition, r.position): (r.key, r.header, r.value) for r in records}
        for record, place in zip(sent, places, strict=True):
            where = (partition_of(record.key, EVENTS.partitions), place)
            assert found.get(where) == (record.key, record.header, record.value), f"at {where}"
        assert len(records) == len(sent)
        slack_ns = int((time.monotonic() - before + 5) * 1e9)
        assert max(r.ts_append for r in records) - min(r.ts_append for r in records) < slack_ns
        assert min(r.ts_append for r in records) > 1_600_000_000_000_000_000
        await log.close()

    @law(12)
    async def test_acknowledged_records_survive_a_kill(self, harness: LogHarness) -> None:
        """After ``send`` returned, a killed process loses nothing of it and doubles nothing."""
        log = await harness.open()
        producer = await log.producer("p")
        for i in range(20):
            await producer.send(numbered(KEYS, 1, first=i))
        await harness.crash(log)
        log = await harness.open()
        assert by_key(await everything(log, EVENTS)) == expected(KEYS, 20)
        await log.close()

    @law()
    async def test_close_keeps_what_was_accepted(self, harness: LogHarness) -> None:
        """Sends that returned before the close are there after it."""
        log = await harness.open()
        producer = await log.producer("p")
        await asyncio.gather(*[producer.send(numbered(KEYS, 1, first=i)) for i in range(50)])
        await log.close()
        log = await harness.open()
        assert by_key(await everything(log, EVENTS)) == expected(KEYS, 50)
        await log.close()

    @law(16)
    async def test_poll_gives_no_more_than_asked(self, harness: LogHarness) -> None:
        """``max_records`` and ``max_bytes`` bound a poll; one record always fits."""
        log = await harness.open()
        await (await log.producer("p")).send([new("a:b", b"x" * 2_000, SINGLE) for _ in range(30)])
        reader = await log.consumer([SINGLE.name], group=None, member="r", start="oldest")
        few = await reader.poll(max_records=7)
        assert 1 <= len(few) <= 7, f"asked for 7, was {len(few)}"
        small = await reader.poll(max_bytes=5_000)
        assert 1 <= len(small) <= 2, f"asked for 5000 bytes, was {len(small)} records of 2000"
        one = await reader.poll(max_bytes=10)
        assert len(one) == 1, f"one record always fits, was {len(one)}"
        rest = await take(reader, 30 - len(few) - len(small) - 1)
        assert len(few) + len(small) + 1 + len(rest) == 30
        await log.close()

    @law(17)
    async def test_poll_waits_for_the_first_record_and_no_longer_than_told(self, harness: LogHarness) -> None:
        """An empty poll ends at its time-out; one that waits is woken by a record."""
        log = await harness.open()
        producer = await log.producer("p")
        reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
        begin = time.monotonic()
        assert await reader.poll(timeout_s=0.3) == []
        took = time.monotonic() - begin
        assert 0.25 <= took < 1.5, f"asked to wait 0.3 s, was {took:.2f}"
        waiting = asyncio.create_task(reader.poll(timeout_s=10.0))
        await asyncio.sleep(0.1)
        begin = time.monotonic()
        await producer.send([new("a:b", b"1")])
        assert len(await waiting) == 1
        took = time.monotonic() - begin
        assert took < 2.0, f"a waiting poll must be woken, was {took:.2f} s late"
        await log.close()

    @law()
    async def test_cancelled_poll_loses_nothing(self, harness: LogHarness) -> None:
        """A poll that is cancelled at any moment gives its records to the next one."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(KEYS, 60))
        reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
        records: list[Record] = []
        for i in range(60):
            poll = asyncio.create_task(reader.poll(max_records=8, timeout_s=0.1))
            for _ in range(i % 4):
                await asyncio.sleep(0)
            if i % 5 == 4:
                await asyncio.sleep(0.002)
            poll.cancel()
            try:
                records += await poll
            except asyncio.CancelledError:
                continue
        records += await take(reader, 480 - len(records))
        assert by_key(records) == expected(KEYS, 60)
        await log.close()

    @law(13)
    async def test_broadcast_consumers_each_read_everything(self, harness: LogHarness) -> None:
        """Two broadcast consumers both get all partitions and all records; they commit nothing."""
        log = await harness.open()
        readers = [await log.consumer([EVENTS.name], group=None, member=name, start="oldest") for name in "ab"]
        await (await log.producer("p")).send(numbered(KEYS, 5))
        found = [await take(reader, 40) for reader in readers]
        for reader, records in zip(readers, found, strict=True):
            assert by_key(records) == expected(KEYS, 5)
            assert {place[1] for place in reader.assignment()} == set(range(EVENTS.partitions))
        await refused(NotShared, readers[0].commit(last_places(found[0])), "broadcast commits nothing")
        await log.close()

    @law(12, 13)
    async def test_seek_by_position_reads_on_behind_it(self, harness: LogHarness) -> None:
        """Behind a position come exactly the later records of that partition; None is the oldest kept."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(["a:b"], 30, SINGLE))
        reader = await log.consumer([SINGLE.name], group=None, member="r", start="oldest")
        records = await take(reader, 30)
        middle = records[11].position
        assert await reader.seek(SINGLE.name, 0, middle) == middle
        assert [r.value for r in await take(reader, 18)] == [r.value for r in records[12:]]
        await reader.seek(SINGLE.name, 0, None)
        assert [r.value for r in await take(reader, 30)] == [r.value for r in records]
        await log.close()

    @law(12)
    async def test_seek_by_time_is_exact(self, harness: LogHarness) -> None:
        """Reading goes on at the first record appended at or after the time, in every partition."""
        log = await harness.open()
        producer = await log.producer("p")
        for i in range(8):
            await producer.send(numbered(KEYS, 1, first=i))
            await asyncio.sleep(0.005)
        reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
        records = await take(reader, 64)
        times = sorted({record.ts_append for record in records})
        for moment in (times[0], times[len(times) // 2], times[-1], times[-1] + 1):
            wanted = {(r.key, r.value) for r in records if r.ts_append >= moment}
            await reader.seek_to_time(moment)
            found = await take(reader, len(wanted))
            assert {(r.key, r.value) for r in found} == wanted, f"at {moment}"
            assert len(found) == len(wanted)
        await log.close()

    @law(13)
    async def test_start_says_where_a_reader_begins(self, harness: LogHarness) -> None:
        """``newest`` skips what is there, ``oldest`` does not, ``committed`` without a position is oldest."""
        log = await harness.open()
        producer = await log.producer("p")
        await producer.send(numbered(KEYS, 2))
        newest = await log.consumer([EVENTS.name], group=None, member="n", start="newest")
        oldest = await log.consumer([EVENTS.name], group=None, member="o", start="oldest")
        committed = await log.consumer([EVENTS.name], group=None, member="c", start="committed")
        assert await newest.poll(timeout_s=0.3) == [], "the newest begins behind what is there"
        await producer.send(numbered(KEYS, 1, first=2))
        assert by_key(await take(newest, 8)) == expected(KEYS, 1, first=2)
        assert by_key(await take(oldest, 24)) == expected(KEYS, 3)
        assert by_key(await take(committed, 24)) == expected(KEYS, 3)
        await log.close()

    @law(12)
    async def test_ends_and_lag_tell_how_far_behind(self, harness: LogHarness) -> None:
        """``end_positions`` are those of the newest records; ``lag`` falls to 0 as they are polled."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(KEYS, 10))
        reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
        assert await reader.lag() >= 80
        records = await take(reader, 80)
        assert dict(await reader.end_positions()) == last_places(records)
        assert await reader.lag() == 0
        await log.close()

    @law()
    async def test_read_at_looks_into_one_partition(self, harness: LogHarness) -> None:
        """A bounded look: in order, behind the position, no more than the limit."""
        log = await harness.open()
        places = await (await log.producer("p")).send(numbered(["a:b"], 10, SINGLE))
        assert [r.value for r in await log.read_at(SINGLE.name, 0, None, 4)] == [b"0", b"1", b"2", b"3"]
        behind = await log.read_at(SINGLE.name, 0, places[6], 100)
        assert [r.value for r in behind] == [b"7", b"8", b"9"]
        assert [r.position for r in behind] == places[7:]
        await log.close()

    @law(16)
    async def test_large_records_pass_and_too_large_ones_are_refused_whole(self, harness: LogHarness) -> None:
        """A megabyte passes; one record over the limit refuses its call, and nothing of the call is kept."""
        log = await harness.open()
        producer = await log.producer("p")
        big = bytes(range(256)) * 3_600
        await producer.send([new("a:b", big, SINGLE)])
        over = [new("a:b", b"small", SINGLE), new("a:b", b"x" * (harness.record_bytes + 1), SINGLE)]
        await refused(RecordTooLarge, producer.send(over), "a record over the limit")
        await producer.send([new("a:b", b"after", SINGLE)])
        values = [record.value for record in await everything(log, SINGLE)]
        assert values == [big, b"after"], f"was {[len(v or b'') for v in values]} bytes"
        await log.close()

    @law(16)
    async def test_send_waits_while_the_queue_is_over_its_bound(self, harness: LogHarness) -> None:
        """Producers cannot run ahead of the storage by more than the bound and one call."""
        log = await harness.open()
        producer = await log.producer("p")
        size = harness.queue_bytes // 8
        calls = [asyncio.create_task(producer.send([new("a:b", b"%3d" % i + b"x" * size, SINGLE)])) for i in range(64)]
        most = 0
        while not all(call.done() for call in calls):
            most = max(most, harness.pending_bytes(log))
            await asyncio.sleep(0)
        for call in calls:
            await call
        assert most <= harness.queue_bytes + 2 * size, f"bound {harness.queue_bytes}, was {most}"
        values = [(record.value or b"")[:3] for record in await everything(log, SINGLE)]
        assert values == [b"%3d" % i for i in range(64)]
        await log.close()

    @law(17)
    async def test_two_opened_logs_share_one_storage(self, harness: LogHarness) -> None:
        """Two processes write at once: every record is there once, in order per key; each hears of the other's soon."""
        logs = [await harness.open() for _ in range(2)]
        producers = [await log.producer("p") for log in logs]
        reader = await logs[0].consumer([EVENTS.name, OTHER.name], group=None, member="r", start="oldest")
        own = (KEYS[:4], KEYS[4:])
        await asyncio.gather(*[producers[n].send(numbered(own[n], 1, first=i)) for i in range(40) for n in range(2)])
        records = await take(reader, 320)
        assert by_key(records) == expected(KEYS, 40)
        assert_rising(records)
        begin = time.monotonic()
        waiting = asyncio.create_task(reader.poll(timeout_s=10.0))
        await producers[1].send([new("a:b", b"1", OTHER)])
        assert len(await waiting) == 1
        assert time.monotonic() - begin < 2.0, "a reader must hear of another process's record soon"
        for log in logs:
            await log.close()

    @law(12)
    async def test_positions_rise_across_a_clean_restart(self, harness: LogHarness) -> None:
        """A clean stop and start goes on behind the old positions; a resumed reader gets just the new."""
        log = await harness.open()
        old = await (await log.producer("p")).send(numbered(["a:b"], 10, SINGLE))
        await log.close()
        log = await harness.open()
        young = await (await log.producer("p")).send(numbered(["a:b"], 5, SINGLE, first=10))
        assert max(old) < min(young)
        reader = await log.consumer([SINGLE.name], group=None, member="r", start="newest")
        await reader.seek(SINGLE.name, 0, old[-1])
        assert by_key(await take(reader, 5)) == expected(["a:b"], 5, first=10)
        await log.close()

    @law(12)
    async def test_a_lost_tail_is_never_given_again(self, harness: LogHarness) -> None:
        """After a power loss took the last commits, new positions lie behind every position ever told."""
        log = await harness.open()
        producer = await log.producer("p")
        told: list[Position] = []
        for i in range(10):
            told += await producer.send(numbered(["a:b"], 5, SINGLE, first=5 * i))
        await harness.crash(log)
        await harness.lose_tail()
        log = await harness.open()
        kept = await everything(log, SINGLE)
        assert [r.value for r in kept] == [b"%d" % i for i in range(len(kept))], "what is left is a beginning"
        young = await (await log.producer("p")).send([new("a:b", b"new", SINGLE)])
        assert min(young) > max(told), f"told {max(told)}, given again {min(young)}"
        reader = await log.consumer([SINGLE.name], group=None, member="r", start="oldest")
        await reader.seek(SINGLE.name, 0, max(told))
        assert [r.value for r in await take(reader, 1)] == [b"new"], "who knew the lost tail reads on with what is new"
        await log.close()
