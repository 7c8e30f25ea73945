"""The event log's laws on the SQLite adapter."""

from pathlib import Path

import pytest

from candlewick.adapters._sqlite.logfile import SimulatedCrash
from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import EventLog
from candlewick.testing.conformance.log import TOPICS, LogConformance, LogHarness


class SqliteHarness(LogHarness):
    """One folder; a crash abandons the log, a power loss cuts its WAL."""

    steps = ("taken", "begun", "appending", "committing", "committed", "told")
    member_timeout_s = 2.2
    queue_bytes = 1 << 20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = LogOptions(queue_bytes=self.queue_bytes, lease_s=1.8, poll_within_s=1.0)

    async def open(self, *, crash_at: str | None = None) -> EventLog:
        armed = False

        def on_step(step: str) -> None:
            # The first append of the log is the one to die in; taking seats and ids goes before it.
            nonlocal armed
            armed = armed or step == "appending"
            if crash_at == step and (armed or self.is_appending_next(log)):
                raise SimulatedCrash(step)

        log = SqliteEventLog(self.folder, SystemClock(), topics=TOPICS, options=self.options, on_step=on_step)
        await log.open()
        return log

    @staticmethod
    def is_appending_next(log: SqliteEventLog) -> bool:
        return any(request.appends or request.positions for request, _ in log.file._current)

    async def crash(self, log: EventLog) -> None:
        assert isinstance(log, SqliteEventLog)
        self.tail = (self.folder / "log.db-wal").read_bytes() if (self.folder / "log.db-wal").exists() else b""
        self.main = (self.folder / "log.db").read_bytes()
        await log.abandon()

    async def lose_tail(self) -> None:
        for name in ("log.db-wal", "log.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "log.db").write_bytes(self.main)
        (self.folder / "log.db-wal").write_bytes(self.tail[: len(self.tail) * 2 // 3])

    def pending_bytes(self, log: EventLog) -> int:
        assert isinstance(log, SqliteEventLog)
        return log.file.queued_bytes()


class TestSqliteLog(LogConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path)
