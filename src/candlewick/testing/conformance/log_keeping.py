"""Laws of keeping: what leaves, what stays, and what an operator is told."""

from candlewick.contracts.topics import Topic, dead_letters
from candlewick.ports.log import NewRecord
from candlewick.testing.conformance.log_harness import (
    COMPACT,
    EVENTS,
    SINGLE,
    TOPICS,
    LogHarness,
    by_key,
    everything,
    expected,
    law,
    new,
    numbered,
    take,
)

HOUR_NS = 3_600 * 10**9


class KeepingLaws:
    """Every test takes a fresh harness."""

    @law(19)
    async def test_records_leave_by_age_oldest_first(self, harness: LogHarness) -> None:
        """Past its topic's retention a record leaves; a younger one stays; how many left is told."""
        log = await harness.open()
        producer = await log.producer("p")
        await producer.send(numbered(["a:b"], 10, SINGLE))
        last = (await everything(log, SINGLE))[-1].ts_append
        assert await harness.expire(log, last + HOUR_NS // 2) == 0, "nothing is old enough"
        await producer.send(numbered(["a:b"], 5, SINGLE, first=10))
        oldest_kept = (await everything(log, SINGLE))[10].ts_append
        left = await harness.expire(log, oldest_kept + HOUR_NS)
        assert left == 10, f"ten are past their hour, was {left}"
        assert by_key(await everything(log, SINGLE)) == expected(["a:b"], 5, first=10)
        await log.close()

    @law(12, 19)
    async def test_a_position_that_left_moves_to_the_oldest_kept_and_says_so(self, harness: LogHarness) -> None:
        """Seeking behind a record that retention took: reading goes on with the oldest kept, and ``seek`` tells."""
        log = await harness.open()
        producer = await log.producer("p")
        old = await producer.send(numbered(["a:b"], 10, SINGLE))
        await producer.send(numbered(["a:b"], 5, SINGLE, first=10))
        oldest_kept = (await everything(log, SINGLE))[10].ts_append
        await harness.expire(log, oldest_kept + HOUR_NS)
        reader = await log.consumer([SINGLE.name], group=None, member="r", start="newest")
        really = await reader.seek(SINGLE.name, 0, old[3])
        assert really is not None
        assert really > old[3], f"a hole must be told, asked {old[3]}, was {really}"
        assert by_key(await take(reader, 5)) == expected(["a:b"], 5, first=10)
        still = await reader.seek(SINGLE.name, 0, old[9])
        assert still == old[9], f"behind the last that left there is no hole, was {still}"
        await log.close()

    @law(15)
    async def test_compaction_keeps_the_newest_of_each_key(self, harness: LogHarness) -> None:
        """Of each key at least the newest stays, at its position, however old; None deletes the key in the end."""
        log = await harness.open()
        producer = await log.producer("p")
        keys = ["a:b", "c:d", "e:f"]
        await producer.send(numbered(keys, 10, COMPACT))
        await producer.send([new("c:d", None, COMPACT)])
        before = await everything(log, COMPACT)
        newest = {record.key: (record.position, record.value) for record in before}
        await harness.expire(log, before[-1].ts_append + HOUR_NS)
        kept = await everything(log, COMPACT)
        assert {record.key: (record.position, record.value) for record in kept} == newest
        assert len(kept) < len(before), "older ones must leave"
        await harness.expire(log, before[-1].ts_append + 1_000 * HOUR_NS)
        final = await everything(log, COMPACT)
        assert by_key(final) == {"a:b": [b"9"], "e:f": [b"9"]}, f"was {by_key(final)}"
        await log.close()

    @law()
    async def test_dead_letters_are_written_and_read_like_any_topic(self, harness: LogHarness) -> None:
        """Every topic has its dead letters, with the key's partition, apart from the topic itself."""
        log = await harness.open()
        producer = await log.producer("p")
        for topic in TOPICS:
            letters = dead_letters(topic.name)
            await producer.send([NewRecord(letters, "a:b", b"refused", b"why", 1)])
            found = await everything(log, Topic(letters, "", (), topic.partitions, 0, ""))
            assert [(r.topic, r.key, r.value, r.header) for r in found] == [(letters, "a:b", b"refused", b"why")]
            assert await everything(log, topic, settle_s=0.05) == []
        await log.close()

    @law()
    async def test_an_operator_is_told_what_is_kept(self, harness: LogHarness) -> None:
        """``describe`` counts records and bytes of every topic; ``check`` has no complaint about a sound log."""
        log = await harness.open()
        await (await log.producer("p")).send(numbered(["a:b", "c:d"], 10))
        states = {state.name: state for state in await log.describe()}
        assert {topic.name for topic in TOPICS} <= set(states)
        state = states[EVENTS.name]
        assert (state.partitions, state.records) == (EVENTS.partitions, 20), f"was {state}"
        assert state.bytes >= 20 * 4
        assert state.oldest_ns is not None
        assert states[SINGLE.name].records == 0
        assert await log.check() is None
        await log.close()
        assert await log.check() is not None, "a closed log cannot be written"
