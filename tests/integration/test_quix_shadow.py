"""An operator's new version: in shadow from a savepoint, compared, in the old one's place, and back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
import pytest

from candlewick.adapters.stream.quix import QuixStreamRuntime
from candlewick.adapters.stream.quix.shadow import SHADOW, Handover
from candlewick.contracts.base import Message
from candlewick.contracts.collector import Progress
from candlewick.contracts.operators import Step
from candlewick.kernel.errors import Conflict
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.stream_harness import (
    OUTPUT,
    TOPICS,
    Running,
    Tally,
    answers,
    counted,
    mixed,
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

    with pytest.raises(Conflict, match="as far as"):
        await asyncio.to_thread(back.promote)
    old = await _start(harness, Tally(), OLD, SHADOW)
    await harness.write(mixed(SYMBOLS, 13, 14))
    await old.caught_up()
    await old.runtime.stop()
    assert await asyncio.to_thread(back.promote) >= 2 * len(SYMBOLS)
    old = await _start(harness, Tally(), OLD)
    await harness.write(mixed(SYMBOLS, 14, 16))
    await old.caught_up()
    await old.runtime.stop()
    assert old.failures == new.failures == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, 16)) for symbol in SYMBOLS}
