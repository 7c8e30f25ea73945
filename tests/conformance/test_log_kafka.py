"""The event log's laws on Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import Producer

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters.log.kafka import KafkaEventLog, KafkaOptions, KafkaTopics
from candlewick.adapters.log.kafka.producer import STEPS, Killed
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import EventLog
from candlewick.testing import servers
from candlewick.testing.conformance.log import TOPICS, LogConformance, LogHarness
from candlewick.testing.conformance.log_harness import COMPACT, everything


class KafkaHarness(LogHarness):
    """Topics, groups and ids behind a prefix of its own; a crash lets go of every client without a word."""

    steps = STEPS
    # A member that lives and does not poll is out after poll_within_s, and its seat is free after session_s.
    member_timeout_s = 12.0
    queue_bytes = 1 << 20
    record_bytes = 2 << 20

    def __init__(self, brokers: str, *, compacts: bool = False) -> None:
        self.compacts = compacts
        self.turns = 0
        self.brokers = brokers
        self.options = KafkaOptions(
            prefix=f"test-{SystemIds().new().hex[-12:]}.",
            queue_bytes=self.queue_bytes,
            record_bytes=self.record_bytes,
            fetch_bytes=4 << 20,
            poll_within_s=6.0,
        )
        self.logs: list[KafkaEventLog] = []
        self.unfinished: set[str] = set()

    async def begin(self) -> None:
        await KafkaEventLog(self.brokers, SystemClock(), SystemIds(), topics=TOPICS, options=self.options).apply()

    async def open(self, *, crash_at: str | None = None) -> EventLog:
        def on_step(step: str) -> None:
            if step == crash_at:
                raise Killed(f"killed at {step}")

        log = KafkaEventLog(
            self.brokers,
            SystemClock(),
            SystemIds(),
            topics=TOPICS,
            options=self.options,
            unfinished=sorted(self.unfinished),
            on_step=on_step,
        )
        await log.open()
        self.unfinished.clear()
        self.logs.append(log)
        return log

    async def crash(self, log: EventLog) -> None:
        assert isinstance(log, KafkaEventLog)
        self.unfinished |= log.transactional_ids()
        await log.abandon()

    def pending_bytes(self, log: EventLog) -> int:
        assert isinstance(log, KafkaEventLog)
        return log.pending_bytes()

    async def expire(self, log: EventLog, now_ns: int) -> int:
        """Age is applied at once; compaction is the brokers' own, so it is provoked and waited for."""
        left = await log.expire(now_ns)
        if self.compacts:
            self.turns += 1
            await self._compact(log)
        return left

    async def _compact(self, log: EventLog) -> None:
        assert isinstance(log, KafkaEventLog)
        name = self.options.prefix + COMPACT.name
        # A cleaning takes the segments before the newest, and a tombstone goes at the cleaning after the one that
        # found it and its time: so each turn begins a segment, with a record that nobody will ever see.
        soon = {"segment.ms": "50", "min.cleanable.dirty.ratio": "0.0", "delete.retention.ms": "10"}
        Admin(self.brokers, self.options).alter({name: soon})
        await asyncio.sleep(0.2)
        kafka = Producer(self.options.writing(self.brokers, "roll", "roll"))
        kafka.init_transactions(10)
        kafka.begin_transaction()
        for partition in range(COMPACT.partitions):
            kafka.produce(name, key="roll", value=b"", partition=partition)
        kafka.flush(10)
        kafka.abort_transaction(10)
        wanted = (lambda found: len(found) == 3) if self.turns == 1 else (lambda found: len(found) == 2)
        deadline = time.monotonic() + 60
        while not wanted(await everything(log, COMPACT)):
            assert time.monotonic() < deadline, "the brokers did not compact within a minute"
            await asyncio.sleep(0.3)

    async def end(self) -> None:
        for log in self.logs:
            await log.abandon()
        KafkaTopics(self.brokers, TOPICS, self.options).delete()


@pytest.mark.slow
class TestKafkaLog(LogConformance):
    @pytest.fixture
    async def harness(self, request: pytest.FixtureRequest) -> AsyncIterator[KafkaHarness]:
        brokers = servers.address("kafka")
        if brokers is None:
            pytest.skip(servers.why_not("kafka"))
        harness = KafkaHarness(brokers, compacts="compaction" in request.node.name)
        await harness.begin()
        yield harness
        await harness.end()

    @pytest.mark.xfail(
        strict=True,
        raises=NotImplementedError,
        reason="What is acknowledged lies on every replica in sync; no client can make the brokers forget their tail",
    )
    async def test_a_lost_tail_is_never_given_again(self, harness: KafkaHarness) -> None:
        await super().test_a_lost_tail_is_never_given_again(harness)
