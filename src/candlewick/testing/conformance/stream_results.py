"""Laws of what comes out: each output once, by a name that a replay gives again, in order; poison aside; state kept."""

import asyncio

from candlewick.contracts import codec
from candlewick.contracts.collector import Progress
from candlewick.kernel.errors import Fatal
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.ids import derived_id
from candlewick.ports.stream import StreamStopped
from candlewick.testing.conformance.log_harness import law, refused
from candlewick.testing.conformance.stream_harness import (
    BUSY,
    DEAD,
    FATAL,
    INPUT,
    LATEST,
    OUTPUT,
    POISON,
    REFUSED,
    StreamHarness,
    Tally,
    answers,
    counted,
    mixed,
    reasons,
    said,
    until,
)

SYMBOLS = [f"S{i}-USDT" for i in range(8)]


class ResultLaws:
    """Every test takes a fresh harness."""

    @law(10)
    async def test_outputs_come_once_each_with_derived_ids_and_their_cause(self, harness: StreamHarness) -> None:
        """Ids follow from operator, version, input position and ordinal; an output names its cause."""
        await harness.write(mixed(SYMBOLS, 1, 6))
        one = await harness.start()
        await one.caught_up()
        await one.runtime.stop()
        sources = {}
        for record in await harness.written(INPUT):
            header = codec.decode_envelope(record.header)
            for ordinal in range(3):
                made = derived_id("tally", 3, (harness.partition(record),), ordinal)
                sources[made] = (ordinal, header, record.key)
        found = await harness.written(OUTPUT)
        assert len(found) == 2 * 5 * len(SYMBOLS)
        for record in found:
            header = codec.decode_envelope(record.header)
            assert header.id in sources, f"an output's id must follow from its input, was {header.id}"
            ordinal, cause, key = sources.pop(header.id)
            assert ordinal < 2
            assert record.key == header.key == key
            assert (header.causation_id, header.correlation_id) == (cause.id, cause.correlation_id)
            message = codec.decode(header.type, record.value or b"")
            assert isinstance(message, Progress)
            assert (header.ts_event, header.ts_recv, header.producer) == (message.complete_through, 2, "stream")
        assert one.failures == []

    @law(9)
    async def test_outputs_lie_in_the_partition_of_their_key_in_the_order_of_its_inputs(
        self, harness: StreamHarness
    ) -> None:
        """Partition = murmur2 of the key; within it a key's outputs follow its inputs."""
        await harness.write(mixed(SYMBOLS, 1, 12))
        one = await harness.start()
        await one.caught_up()
        await one.runtime.stop()
        found = await harness.written(OUTPUT)
        assert answers(found) == {symbol: counted(range(1, 12)) for symbol in SYMBOLS}
        for record in found:
            assert record.partition == partition_of(record.key, OUTPUT.partitions)

    @law(13)
    async def test_of_a_conflated_topic_the_newest_is_always_sent(self, harness: StreamHarness) -> None:
        """Fewer than the inputs may come, never the last one's absence, never an older behind a newer."""
        await harness.write(mixed(SYMBOLS, 1, 40))
        one = await harness.start()
        await one.caught_up()
        await one.runtime.stop()
        found = answers(await harness.written(LATEST))
        assert set(found) == set(SYMBOLS)
        for symbol, rows in found.items():
            assert rows == sorted(set(rows)), f"{symbol} goes back"
            assert rows[-1] == (39, 39), f"{symbol} ends with {rows[-1]}"
        assert sum(map(len, found.values())) < 39 * len(SYMBOLS), "a replay need not show every step"

    @law(14)
    async def test_state_goes_on_after_a_restart(self, harness: StreamHarness) -> None:
        """Hot and cold, with what was deleted; from the member's disk, and without it."""
        for life in range(4):
            await harness.write(mixed(SYMBOLS[:3], 5 * life + 1, 5 * life + 6))
            one = await harness.start()
            await one.caught_up()
            await one.runtime.stop()
            assert one.failures == []
            if life >= 1:
                await harness.lose_disk("a")
        assert await harness.written(DEAD) == []
        assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 21)) for symbol in SYMBOLS[:3]}

    @law(14)
    async def test_a_poison_goes_to_the_dead_letters_and_its_key_goes_on(self, harness: StreamHarness) -> None:
        """With its reason and its bytes; state and order of the key are as if it had never come."""
        await harness.write(
            said("A-USDT", 1)
            + said("A-USDT", 2, value=b"\xff\xff")
            + said("A-USDT", POISON, 3, REFUSED)
            + said("B-USDT", 4)
        )
        one = await harness.start()
        await one.caught_up()
        stats = one.runtime.stats()
        assert (stats.messages, stats.outputs >= 9, stats.dead_letters) == (6, True, 3)
        assert stats.counters == {"n": 4}
        await one.runtime.stop()
        assert one.failures == []
        dead = await harness.written(DEAD)
        assert reasons(dead) == ["BAD_PAYLOAD", "OPERATOR_FAILED", "SUITE_REFUSED"]
        assert dead[0].value == b"\xff\xff"
        assert {record.key for record in dead} == {"suite:A-USDT"}
        found = answers(await harness.written(OUTPUT))
        assert found == {"A-USDT": counted([1, 3, REFUSED]), "B-USDT": counted([4])}

    @law(14)
    async def test_a_fatal_fault_is_reported_and_nothing_of_it_committed(self, harness: StreamHarness) -> None:
        """The operator stands still before the message; a mended one goes on with it."""
        await harness.write(said("A-USDT", 1, 2))
        one = await harness.start()
        await one.caught_up()
        await harness.write(said("A-USDT", FATAL))
        await until(lambda: one.failures, "the failure is told")
        assert [type(error) for error in one.failures] == [Fatal]
        await refused(StreamStopped, asyncio.wait_for(one.runtime.caught_up(), 30), "nothing catches up any more")
        await one.runtime.stop()
        assert answers(await harness.written(OUTPUT)) == {"A-USDT": counted([1, 2])}

        class Mended(Tally):
            def apply(self, hot, message, cold):  # type: ignore[no-untyped-def]
                assert isinstance(message, Progress)
                told = POISON if message.complete_through == FATAL else message.complete_through
                return super().apply(hot, Progress(message.exchange, message.symbol, told, 0, True), cold)

        await harness.write(said("A-USDT", 3))
        one = await harness.start(operator=Mended())
        await one.caught_up()
        await one.runtime.stop()
        assert reasons(await harness.written(DEAD)) == ["OPERATOR_FAILED"]
        assert answers(await harness.written(OUTPUT)) == {"A-USDT": counted([1, 2, 3])}

    @law(14)
    async def test_what_may_pass_is_told_and_tried_again(self, harness: StreamHarness) -> None:
        """Retryable from the operator: nothing of the round is committed, and it is done again."""
        await harness.write(said("A-USDT", 1, BUSY, 2))
        one = await harness.start()
        await one.caught_up()
        await asyncio.sleep(0)
        assert one.failures == []
        assert [error.code for error in one.troubles] == ["UNAVAILABLE"]
        assert one.runtime.stats().refusal == ""
        await one.runtime.stop()
        assert answers(await harness.written(OUTPUT)) == {"A-USDT": counted([1, BUSY, 2])}

    @law(11)
    async def test_fields_of_a_newer_version_are_read_over(self, harness: StreamHarness) -> None:
        """A newer producer's unknown fields, in payload and envelope, change nothing."""
        # Field 1000 with a text, as a version that this one does not know would write it.
        unknown = b"\xc2\x3e\x03new"
        newer = [
            type(one)(one.topic, one.key, (one.value or b"") + unknown, one.header + unknown, one.ts_event)
            for one in said("A-USDT", 1, 2)
        ]
        await harness.write(newer + said("A-USDT", 3))
        one = await harness.start()
        await one.caught_up()
        await one.runtime.stop()
        assert await harness.written(DEAD) == []
        assert answers(await harness.written(OUTPUT)) == {"A-USDT": counted([1, 2, 3])}

    @law()
    async def test_stats_say_what_was_done(self, harness: StreamHarness) -> None:
        """Committed work alone is counted; nothing is behind once all is done."""
        await harness.write(mixed(SYMBOLS, 1, 4))
        one = await harness.start()
        await one.caught_up()
        stats = one.runtime.stats()
        assert stats.messages == 3 * len(SYMBOLS)
        assert stats.outputs >= 2 * 3 * len(SYMBOLS) + len(SYMBOLS)
        assert 0 < stats.commits <= stats.messages
        assert stats.counters == {"n": 3 * len(SYMBOLS)}
        await until(lambda: one.runtime.stats().lag == 0, "nothing is behind")
        await one.runtime.stop()
        assert one.failures == []
