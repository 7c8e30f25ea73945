"""What the runtime on Quix Streams meets on real brokers beside the suite's laws."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import quixstreams.kafka
from confluent_kafka import Producer

from candlewick.adapters._kafka.admin import LATEST, Admin
from candlewick.adapters._kafka.errors import TopicsMissing
from candlewick.adapters.log.kafka import KafkaOptions
from candlewick.adapters.stream.quix import QuixStreamRuntime
from candlewick.adapters.stream.quix.worker import InputExpired
from candlewick.kernel.errors import Conflict, Fenced
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import LogUnavailable, RecordTooLarge
from candlewick.testing.conformance.stream_harness import (
    INPUT,
    OUTPUT,
    TOPICS,
    Tally,
    answers,
    counted,
    mixed,
    said,
    until,
)
from tests.conformance.test_stream_quix import QuixHarness
from tests.kafka import BROKERS, needs_kafka

pytestmark = [needs_kafka, pytest.mark.slow]
SYMBOLS = [f"S{i}-USDT" for i in range(6)]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[QuixHarness]:
    assert BROKERS is not None
    harness = QuixHarness(BROKERS, tmp_path)
    yield harness
    await harness.end()


async def test_input_that_left_by_retention_is_told_and_the_state_goes_on(harness: QuixHarness) -> None:
    await harness.write(said("A-USDT", 1, 2))
    one = await harness.start()
    await one.caught_up()
    await one.runtime.stop()
    await harness.write(said("A-USDT", 3, 4, 5))
    (partition,) = {record.partition for record in await harness.written(INPUT)}
    admin = Admin(harness.brokers, harness.options)
    place = (harness.options.prefix + INPUT.name, partition)
    admin.delete_before({place: admin.offsets([place], LATEST)[place] - 1})
    one = await harness.start()
    await one.caught_up()
    await until(lambda: one.troubles, "what left is told")
    assert isinstance(one.troubles[0], InputExpired)
    assert one.failures == []
    await one.runtime.stop()
    assert answers(await harness.written(OUTPUT)) == {"A-USDT": [*counted([1, 2]), (3, 5), (3, 5)]}


async def test_a_commit_that_is_never_answered_is_left_to_another_worker(
    harness: QuixHarness, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """As it was seen where a broker hung with the positions and died: the client waited without end."""
    answer, asked = threading.Event(), threading.Event()
    send = quixstreams.kafka.Producer.send_offsets_to_transaction

    def swallowed(self: Any, *arguments: Any) -> None:
        if not asked.is_set():
            asked.set()
            answer.wait()
        send(self, *arguments)

    monkeypatch.setattr(quixstreams.kafka.Producer, "send_offsets_to_transaction", swallowed)
    request.addfinalizer(answer.set)
    await harness.write(mixed(SYMBOLS, 1, 5))
    one = await harness.start()
    await one.caught_up()
    assert asked.is_set()
    assert isinstance(one.troubles[0], LogUnavailable)
    await harness.write(mixed(SYMBOLS, 5, 7))
    await one.caught_up()
    answer.set()
    await harness.write(mixed(SYMBOLS, 7, 9))
    await one.caught_up()
    assert one.failures == []
    await one.runtime.stop()
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 9)) for symbol in SYMBOLS}


async def test_records_that_the_brokers_refuse_take_their_positions_with_them(harness: QuixHarness) -> None:
    """Positions are on their way before it is known whether the records arrive."""
    await harness.log()
    admin, output = Admin(harness.brokers, harness.options), harness.options.prefix + OUTPUT.name
    await asyncio.to_thread(admin.alter, {output: {"max.message.bytes": "128"}})
    await harness.write(mixed(SYMBOLS, 1, 4))
    one = await harness.start()
    await until(lambda: one.failures, "the refusal ends the operator")
    assert isinstance(one.failures[0], RecordTooLarge)
    assert one.runtime.stats().commits == 0
    await one.runtime.stop()
    assert await harness.written(OUTPUT) == []
    await asyncio.to_thread(admin.alter, {output: {"max.message.bytes": str(1 << 20)}})
    one = await harness.start()
    await one.caught_up()
    await one.runtime.stop()
    assert one.failures == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 4)) for symbol in SYMBOLS}


async def test_state_is_not_restored_while_a_transaction_is_open_on_its_changelog(harness: QuixHarness) -> None:
    """A killed owner's positions may be committed already and its state not yet: restored now, it would be old."""
    await harness.write(mixed(SYMBOLS, 1, 4))
    one = await harness.start()
    await one.caught_up()
    await one.runtime.stop()
    await harness.lose_disk("a")
    admin = Admin(harness.brokers, harness.options)
    (changelog,) = (name for name in admin.metadata().topics if name.startswith(f"{harness.options.prefix}stream."))
    owner = Producer(harness.options.writing(harness.brokers, "owner", "owner"))
    owner.init_transactions(20)
    owner.begin_transaction()
    for partition in range(INPUT.partitions):
        owner.produce(changelog, key=b"k", value=b"v", partition=partition, headers=[("x", b"y")])
    owner.flush(20)
    await harness.write(mixed(SYMBOLS, 4, 5))
    one = await harness.start()
    await asyncio.sleep(2.5)
    assert one.runtime.stats().messages == 0
    owner.abort_transaction(20)
    await one.caught_up()
    await one.runtime.stop()
    assert one.failures == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 5)) for symbol in SYMBOLS}


async def test_a_second_process_of_the_same_name_takes_the_seat(harness: QuixHarness) -> None:
    """The first one stops with Fenced and does not fight for it."""
    await harness.write(mixed(SYMBOLS, 1, 3))
    first = await harness.start("a")
    await first.caught_up()
    harness.folder /= "second"
    second = await harness.start("a")
    number = 3
    while not first.failures:
        assert number < 200, "the first one must be told"
        await harness.write(mixed(SYMBOLS, number, number + 1))
        number += 1
        await asyncio.sleep(0.2)
    assert isinstance(first.failures[0], Fenced)
    await second.caught_up()
    await second.runtime.stop()
    assert second.failures == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, number)) for symbol in SYMBOLS}


async def test_topics_that_are_missing_are_said_at_the_start(tmp_path: Path) -> None:
    assert BROKERS is not None
    runtime = QuixStreamRuntime(
        BROKERS,
        clock=SystemClock(),
        member="a",
        state_dir=tmp_path,
        topics=TOPICS,
        options=KafkaOptions(prefix="nobody-made-these."),
    )
    with pytest.raises(TopicsMissing, match="candlewick topics apply"):
        await runtime.start(Tally(), on_failure=lambda _: None)


async def test_one_operator_a_runtime(harness: QuixHarness) -> None:
    one = await harness.start()
    with pytest.raises(Conflict, match="tally"):
        await one.runtime.start(Tally(), on_failure=lambda _: None)
    await one.runtime.stop()
