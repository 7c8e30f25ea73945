"""The stream runtime's laws on Quix Streams and Kafka."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters.log.kafka import KafkaEventLog, KafkaOptions
from candlewick.adapters.stream.quix import QuixStreamRuntime
from candlewick.adapters.stream.quix.worker import SimulatedCrash
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import EventLog
from candlewick.ports.stream import StreamRuntime
from candlewick.testing import servers
from candlewick.testing.conformance.stream import TOPICS, StreamConformance, StreamHarness


class QuixHarness(StreamHarness):
    """Topics, groups and ids behind a prefix of its own; a folder for each member's disk."""

    killed = SimulatedCrash
    member_timeout_s = 12.0

    def __init__(self, brokers: str, folder: Path) -> None:
        self.brokers, self.folder = brokers, folder
        self.options = KafkaOptions(
            prefix=f"test-{SystemIds().new().hex[-12:]}.",
            session_s=self.member_timeout_s,
            poll_within_s=self.member_timeout_s,
        )
        self._log: KafkaEventLog | None = None
        self.runtimes: list[QuixStreamRuntime] = []

    async def log(self) -> EventLog:
        if self._log is None:
            self._log = KafkaEventLog(self.brokers, SystemClock(), SystemIds(), topics=TOPICS, options=self.options)
            await self._log.apply()
            await self._log.open()
        return self._log

    async def runtime(self, member: str, on_step: Callable[[str], None]) -> StreamRuntime:
        await self.log()
        runtime = QuixStreamRuntime(
            self.brokers,
            clock=SystemClock(),
            member=member,
            state_dir=self.folder,
            topics=TOPICS,
            options=self.options,
            on_step=on_step,
        )
        self.runtimes.append(runtime)
        return runtime

    async def crash(self, runtime: StreamRuntime) -> None:
        assert isinstance(runtime, QuixStreamRuntime)
        await runtime.abandon()

    async def lose_disk(self, member: str) -> None:
        shutil.rmtree(self.folder / member, ignore_errors=True)

    async def end(self) -> None:
        for runtime in self.runtimes:
            await runtime.abandon()
        if self._log is not None:
            await self._log.abandon()
        admin = Admin(self.brokers, self.options)
        admin.delete([name for name in admin.metadata().topics if name.startswith(self.options.prefix)])


@pytest.mark.slow
class TestQuixRuntime(StreamConformance):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[QuixHarness]:
        brokers = servers.address("kafka")
        if brokers is None:
            pytest.skip(servers.why_not("kafka"))
        harness = QuixHarness(brokers, tmp_path)
        yield harness
        await harness.end()
