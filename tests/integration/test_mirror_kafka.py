"""The mirror on Kafka: two share the partitions, one dies as by kill -9, receivers end up with the log's state."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from candlewick.adapters.log.kafka import KafkaEventLog
from candlewick.app.runtime.mirror import GROUP
from candlewick.contracts.control import TOPICS
from candlewick.contracts.topics import MARKET_SYMBOLS
from candlewick.testing import servers
from tests.kafka import BROKERS, needs_kafka, own_topics
from tests.mirror import CLOCK, IDS, House, life_of_symbols, mirror, running, send, state_after, until

URL = servers.address("rabbitmq")
pytestmark = [
    needs_kafka,
    pytest.mark.slow,
    pytest.mark.skipif(URL is None, reason=servers.why_not("rabbitmq") or "there"),
]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(str(URL), tmp_path)
    yield house
    await house.close()


async def test_two_mirrors_share_the_partitions_and_one_goes_on_alone(house: House) -> None:
    said = life_of_symbols(12, 12)
    with own_topics(TOPICS) as (topics, options):
        topics.apply()
        options = replace(options, session_s=6.0)  # noqa: PLW2901

        async def log() -> KafkaEventLog:
            made = KafkaEventLog(str(BROKERS), CLOCK, IDS, topics=TOPICS, options=options)
            await made.open()
            return made

        logs = [await log() for _ in range(3)]
        ear = await house.ear("a")
        async with running(ear.listener()):
            await asyncio.sleep(0.5)
            async with running(mirror(logs[0], await house.plane(), "m-0")):
                async with running(mirror(logs[1], await house.plane(), "m-1")):
                    await send(logs[2], said[:60])
                    await until(lambda: len(ear.heard) == 60, 60)
                    await send(logs[2], said[60:90])
                    # Heartbeats end with it; nothing is committed or said to anybody any more.
                    await logs[1].abandon()
                await send(logs[2], said[90:])
                await until(lambda: len({event.envelope.id for event in ear.heard}) == len(said), 90)
        assert ear.state == state_after(said)
        assert len(ear.heard) == len(said)
        for key in {message.key for message in said}:
            heard = [event.message for event in ear.heard if event.envelope.key == key]
            assert heard == [message for message in said if message.key == key]
        looker = await logs[2].consumer([MARKET_SYMBOLS.name], group=GROUP, member="m-0")
        assert await looker.poll(timeout_s=15.0) == []
        for one in (logs[0], logs[2]):
            await one.close()
