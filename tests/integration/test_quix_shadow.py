"""An operator's new version: in shadow from a savepoint, compared, in the old one's place, and back."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
import pytest

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters.stream.quix import QuixStreamRuntime
from candlewick.adapters.stream.quix.leaving import HandedOver
from candlewick.adapters.stream.quix.shadow import SHADOW, Handover, Standing
from candlewick.adapters.stream.quix.worker import StateUnusable
from candlewick.contracts.base import Message
from candlewick.contracts.collector import Progress
from candlewick.contracts.operators import Step
from candlewick.kernel.errors import Conflict
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.stream_harness import (
    DEAD,
    LATEST,
    OUTPUT,
    TOPICS,
    Running,
    Tally,
    answers,
    counted,
    mixed,
    said,
)
from tests.conformance.test_stream_quix import QuixHarness
from tests.kafka import BROKERS, needs_kafka

pytestmark = [needs_kafka, pytest.mark.slow, pytest.mark.timeout(300)]
SYMBOLS = [f"S{i}-USDT" for i in range(5)]
OLD, NEW = "stream.tally", "stream.tally.4"


class Newer(Tally):
    """Says of one symbol something else."""

    version = 4

    def apply(self, hot: bytes | None, message: Message, cold: Mapping[bytes, bytes | None]) -> Step:
        step = super().apply(hot, message, cold)
        if not message.key.endswith("S1-USDT"):
            return step
        outputs = []
        for output in step.outputs:
            assert isinstance(output.message, Progress)
            changed = msgspec.structs.replace(output.message, feed_alive=False)
            outputs.append(msgspec.structs.replace(output, message=changed))
        return msgspec.structs.replace(step, outputs=outputs)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[QuixHarness]:
    assert BROKERS is not None
    harness = QuixHarness(BROKERS, tmp_path)
    yield harness
    await harness.end()


async def _start(harness: QuixHarness, operator: Tally, group: str, suffix: str = "") -> Running:
    runtime = QuixStreamRuntime(
        harness.brokers,
        clock=SystemClock(),
        member="a",
        state_dir=harness.folder / group,
        topics=TOPICS,
        options=harness.options,
        group=group,
        suffix=suffix,
    )
    harness.runtimes.append(runtime)
    running = Running(runtime, [], [])
    await runtime.start(operator, on_failure=running.failures.append, on_trouble=running.troubles.append)
    return running


async def test_a_new_version_in_shadow_then_in_place_and_back(harness: QuixHarness) -> None:
    handover = Handover(harness.brokers, Newer(), old=OLD, new=NEW, topics=TOPICS, options=harness.options)
    back = Handover(harness.brokers, Tally(), old=NEW, new=OLD, topics=TOPICS, options=harness.options)
    await harness.write(mixed(SYMBOLS, 1, 6))
    old = await _start(harness, Tally(), OLD)
    await old.caught_up()
    entries = await asyncio.to_thread(handover.begin)
    assert entries == 3 * len(SYMBOLS), "hot and two cold entries of each key"
    with pytest.raises(Conflict, match="must be new"):
        await asyncio.to_thread(handover.begin)
    await harness.write(mixed(SYMBOLS, 6, 9))
    new = await _start(harness, Newer(), NEW, SHADOW)
    await old.caught_up()
    await new.caught_up()
    found = await asyncio.to_thread(handover.compare)
    assert (found.messages, found.equal, found.different) == (3 * len(SYMBOLS), 6 * (len(SYMBOLS) - 1), 6)
    assert (found.only_old, found.only_new) == (0, 0)
    assert found.examples[0] == f"{OUTPUT.name} suite:S1-USDT"
    with pytest.raises(Conflict, match="stopped"):
        await asyncio.to_thread(handover.promote)

    await old.runtime.stop()
    await harness.write(mixed(SYMBOLS, 9, 11))
    await new.caught_up()
    await new.runtime.stop()
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 9)) for symbol in SYMBOLS}
    assert await asyncio.to_thread(handover.promote) >= 2 * 2 * len(SYMBOLS)
    assert await asyncio.to_thread(handover.promote) == 0, "done again, it does nothing"
    new = await _start(harness, Newer(), NEW)
    await harness.write(mixed(SYMBOLS, 11, 13))
    await new.caught_up()
    await new.runtime.stop()
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 13)) for symbol in SYMBOLS}

    with pytest.raises(HandedOver, match="taken over"):
        await _start(harness, Tally(), OLD)
    with pytest.raises(Conflict, match="as far as"):
        await asyncio.to_thread(back.promote)
    old = await _start(harness, Tally(), OLD, SHADOW)
    await harness.write(mixed(SYMBOLS, 13, 14))
    await old.caught_up()
    await old.runtime.stop()
    assert await asyncio.to_thread(back.promote) >= 2 * len(SYMBOLS)
    with pytest.raises(HandedOver, match="taken over"):
        await _start(harness, Newer(), NEW)
    old = await _start(harness, Tally(), OLD)
    await harness.write(mixed(SYMBOLS, 14, 16))
    await old.caught_up()
    await old.runtime.stop()
    assert old.failures == new.failures == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 16)) for symbol in SYMBOLS}


def _handover(harness: QuixHarness) -> Handover:
    return Handover(harness.brokers, Newer(), old=OLD, new=NEW, topics=TOPICS, options=harness.options)


async def _beside(harness: QuixHarness, first: int, last: int) -> tuple[Running, Running]:
    """Both have processed what was written, the new one in shadow."""
    await harness.write(mixed(SYMBOLS, 1, first))
    old = await _start(harness, Tally(), OLD)
    await old.caught_up()
    await asyncio.to_thread(_handover(harness).begin)
    new = await _start(harness, Newer(), NEW, SHADOW)
    await harness.write(mixed(SYMBOLS, first, last))
    for one in (old, new):
        await one.caught_up()
    return old, new


async def test_no_more_than_the_newest_is_compared(harness: QuixHarness) -> None:
    await _beside(harness, 2, 5)
    handover = _handover(harness)
    whole = await asyncio.to_thread(handover.compare)
    assert (whole.messages, whole.different) == (3 * len(SYMBOLS), 6)
    some = await asyncio.to_thread(lambda: handover.compare(most=4))
    assert 0 < some.messages <= 4
    assert some.equal + some.different == 2 * some.messages
    assert (some.only_old, some.only_new) == (0, 0)
    # From here on the two say the same; brokers count in milliseconds.
    await asyncio.sleep(0.01)
    others = [symbol for symbol in SYMBOLS if symbol != "S1-USDT"]
    await harness.write(mixed(others, 5, 9))
    for runtime in harness.runtimes:
        await runtime.caught_up()
    newer = await asyncio.to_thread(lambda: handover.compare(most=4 * len(others)))
    assert 0 < newer.messages <= 4 * len(others)
    assert (newer.equal, newer.differs) == (2 * newer.messages, False)
    assert (await asyncio.to_thread(handover.compare)).different == 6


async def test_a_beginning_that_was_forgotten_makes_no_difference(harness: QuixHarness) -> None:
    """Kafka forgets after a week where the shadow began, and nothing was shown of what came before."""
    await _beside(harness, 4, 6)
    handover = _handover(harness)
    before = await asyncio.to_thread(handover.compare)
    await asyncio.to_thread(Admin(harness.brokers, harness.options).forget, [f"{harness.options.prefix}{NEW}.begun"])
    assert await asyncio.to_thread(handover.compare) == before


async def test_where_both_stand(harness: QuixHarness) -> None:
    handover = _handover(harness)
    await harness.write(mixed(SYMBOLS, 1, 3))
    found = await asyncio.to_thread(handover.status)
    assert found.old == Standing(OLD, 0, 2 * len(SYMBOLS))
    assert (found.begun, found.promoted) == (False, False)
    for step in (handover.begin, handover.compare, handover.promote):
        with pytest.raises(Conflict):
            await asyncio.to_thread(step)

    old = await _start(harness, Tally(), OLD)
    await old.caught_up()
    await asyncio.to_thread(handover.begin)
    await harness.write(mixed(SYMBOLS, 3, 4))
    await old.caught_up()
    found = await asyncio.to_thread(handover.status)
    assert (found.old, found.new) == (Standing(OLD, 1, 0), Standing(NEW, 0, len(SYMBOLS)))
    assert (found.begun, found.promoted) == (True, False)

    new = await _start(harness, Newer(), NEW, SHADOW)
    await new.caught_up()
    found = await asyncio.to_thread(handover.status)
    assert found.new == Standing(NEW, 1, 0)
    for one in (old, new):
        await one.runtime.stop()
    await asyncio.to_thread(handover.promote)
    found = await asyncio.to_thread(handover.status)
    assert (found.old.members, found.new.members, found.promoted) == (0, 0, True)


async def test_what_was_dropped_is_gone_and_may_begin_again(harness: QuixHarness) -> None:
    old, new = await _beside(harness, 3, 5)
    handover, admin = _handover(harness), Admin(harness.brokers, harness.options)
    with pytest.raises(Conflict, match="must be stopped"):
        await asyncio.to_thread(handover.drop)
    await new.runtime.stop()
    other = Handover(harness.brokers, Newer(), old=OLD, new="stream.tally.5", topics=TOPICS, options=harness.options)
    with pytest.raises(Conflict, match="must be empty"):
        await asyncio.to_thread(other.begin)
    prefix = harness.options.prefix
    own = [f"{prefix}{NEW}--{prefix}{TOPICS[0].name}--state"]
    own += [f"{prefix}{topic}{SHADOW}" for topic in (OUTPUT.name, LATEST.name, DEAD)]
    assert await asyncio.to_thread(handover.drop) == sorted(own)
    assert await asyncio.to_thread(handover.drop) == [], "done again, it does nothing"
    with pytest.raises(Conflict, match="must have begun"):
        await asyncio.to_thread(handover.compare)
    assert not [name for name in admin.metadata().topics if name in own]

    await harness.write(mixed(SYMBOLS, 5, 7))
    await old.caught_up()
    assert await asyncio.to_thread(handover.begin) == 3 * len(SYMBOLS)
    with pytest.raises(StateUnusable, match="delete the folder"):
        await _start(harness, Newer(), NEW, SHADOW)
    shutil.rmtree(harness.folder / NEW)
    new = await _start(harness, Newer(), NEW, SHADOW)
    await harness.write(mixed(SYMBOLS, 7, 9))
    for one in (old, new):
        await one.caught_up()
    found = await asyncio.to_thread(handover.compare)
    assert (found.messages, found.equal, found.different) == (2 * len(SYMBOLS), 4 * (len(SYMBOLS) - 1), 4)
    for one in (old, new):
        await one.runtime.stop()
    assert await asyncio.to_thread(handover.promote) == 0
    assert old.failures == new.failures == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 9)) for symbol in SYMBOLS}


async def test_dead_letters_are_compared_too(harness: QuixHarness) -> None:
    old, new = await _beside(harness, 2, 3)
    await harness.write([*said("S0-USDT", 3), *said("S2-USDT", 3, value=b"nonsense")])
    for one in (old, new):
        await one.caught_up()
    found = await asyncio.to_thread(_handover(harness).compare)
    assert found.messages == len(SYMBOLS) + 2
    assert found.equal == 2 * (len(SYMBOLS) - 1) + 2 + 1


async def test_what_is_shown_is_kept_like_what_is_written(harness: QuixHarness) -> None:
    """As long, as large, and by the brokers' clocks."""
    await _beside(harness, 2, 3)
    names = [f"{harness.options.prefix}{OUTPUT.name}{suffix}" for suffix in ("", SHADOW)]
    found = await asyncio.to_thread(Admin(harness.brokers, harness.options).settings, names)
    for key in ("retention.ms", "max.message.bytes", "message.timestamp.type", "min.insync.replicas"):
        assert found[names[0]][key] == found[names[1]][key], key
    assert found[names[1]]["message.timestamp.type"] == "LogAppendTime"
