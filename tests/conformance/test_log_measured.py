"""The event log's laws hold while its readers are asked all the time how far they are behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.app.runtime.measured_log import MeasuredLog
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import EventLog
from candlewick.testing.conformance.log import LogConformance, LogHarness
from tests.conformance.test_log_sqlite import SqliteHarness

pytestmark = pytest.mark.slow


class MeasuredHarness(LogHarness):
    """The SQLite adapter's, with a question to every reader each few milliseconds."""

    steps = SqliteHarness.steps
    member_timeout_s = SqliteHarness.member_timeout_s
    queue_bytes = SqliteHarness.queue_bytes

    def __init__(self, folder: Path) -> None:
        self._harness = SqliteHarness(folder)
        self._opened: dict[MeasuredLog, EventLog] = {}
        self._asking: dict[MeasuredLog, asyncio.Task[None]] = {}

    async def open(self, *, crash_at: str | None = None) -> EventLog:
        inner = await self._harness.open(crash_at=crash_at)
        log = MeasuredLog(inner, "suite", Metrics(), SystemClock())
        self._opened[log] = inner
        self._asking[log] = asyncio.ensure_future(self._ask(log))
        return log

    async def _ask(self, log: MeasuredLog) -> None:
        while True:
            await log.ask()
            await asyncio.sleep(0.003)

    async def crash(self, log: EventLog) -> None:
        assert isinstance(log, MeasuredLog)
        await self._end(self._asking.pop(log))
        await self._harness.crash(self._of(log))

    async def lose_tail(self) -> None:
        await self._harness.lose_tail()

    def pending_bytes(self, log: EventLog) -> int:
        return self._harness.pending_bytes(self._of(log))

    def _of(self, log: EventLog) -> EventLog:
        assert isinstance(log, MeasuredLog)
        return self._opened[log]

    async def release(self) -> None:
        for task in self._asking.values():
            await self._end(task)

    async def _end(self, task: "asyncio.Task[None]") -> None:
        """Every question so far has had an answer."""
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class TestMeasuredLog(LogConformance):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[MeasuredHarness]:
        made = MeasuredHarness(tmp_path)
        yield made
        await made.release()
