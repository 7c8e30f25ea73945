"""The stream runtime's laws on the SQLite log."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from candlewick.adapters._sqlite.logfile import LogFile, LogOptions, SimulatedCrash
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.adapters.stream.sqlite import SqliteStreamRuntime
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import EventLog
from candlewick.ports.stream import StreamRuntime
from candlewick.testing.conformance.stream import TOPICS, StreamConformance, StreamHarness


class SqliteHarness(StreamHarness):
    """One folder; every runtime opens it as a process of its own would."""

    killed = SimulatedCrash
    member_timeout_s = 1.2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = LogOptions(lease_s=self.member_timeout_s)
        self._log: SqliteEventLog | None = None
        self._files: dict[StreamRuntime, LogFile] = {}

    async def log(self) -> EventLog:
        if self._log is None:
            self._log = SqliteEventLog(self.folder, SystemClock(), topics=TOPICS, options=self.options)
            await self._log.open()
        return self._log

    async def runtime(self, member: str, on_step: Callable[[str], None]) -> StreamRuntime:
        file = LogFile(self.folder, SystemClock(), topics=TOPICS, options=self.options)
        file.open()
        runtime = SqliteStreamRuntime(file, clock=SystemClock(), member=member, max_records=16, on_step=on_step)
        self._files[runtime] = file
        return runtime

    async def crash(self, runtime: StreamRuntime) -> None:
        self._files[runtime].abandon()
        await runtime.stop()

    async def end(self) -> None:
        for runtime, file in self._files.items():
            file.abandon()
            await runtime.stop()
        if self._log is not None:
            await self._log.close()


class TestSqliteRuntime(StreamConformance):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[SqliteHarness]:
        harness = SqliteHarness(tmp_path)
        yield harness
        await harness.end()
