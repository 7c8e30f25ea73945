"""The port's face of the operator thread."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping

from candlewick.adapters._sqlite import reader
from candlewick.adapters._sqlite.faults import translated
from candlewick.adapters._sqlite.logfile import LogFile
from candlewick.adapters.stream.sqlite.worker import Worker
from candlewick.contracts.operators import Operator
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Conflict
from candlewick.ports.stream import StreamStats, StreamStopped

_LOOK_S = 0.25
_COUNTED_S = 0.002


def _ignore(step: str) -> None:
    """No one watches the steps."""


def _ignore_trouble(error: CandlewickError) -> None:
    """No one wants to know."""


class SqliteStreamRuntime:
    """Runs one operator on one open log file. Processes with the same data dir share its partitions.

    ``on_step`` is called on the operator's thread at each step: read, decoded, applied, submitting, submitted,
    committed. For fault injection and tracing.
    """

    def __init__(
        self,
        file: LogFile,
        *,
        clock: Clock,
        member: str,
        producer: str = "stream",
        max_records: int = 512,
        max_bytes: int = 4 << 20,
        on_step: Callable[[str], None] = _ignore,
    ) -> None:
        self._file, self._clock, self._member, self._producer = file, clock, member, producer
        self._max_records, self._max_bytes = max_records, max_bytes
        self._step = on_step
        self._worker: Worker | None = None
        self._stats = StreamStats()

    async def start(
        self,
        operator: Operator,
        *,
        on_failure: Callable[[BaseException], None],
        on_trouble: Callable[[CandlewickError], None] = _ignore_trouble,
    ) -> None:
        """Both are called on the event loop. Raises Conflict when an operator is running already."""
        if self._worker is not None:
            raise Conflict(f"a runtime carries one operator, was asked to start {operator.name!r}")
        loop = asyncio.get_running_loop()

        def failed(error: BaseException) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
                loop.call_soon_threadsafe(on_failure, error)

        def troubled(error: CandlewickError) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(on_trouble, error)

        worker = Worker(
            self._file,
            operator,
            member=self._member,
            producer=self._producer,
            max_records=self._max_records,
            max_bytes=self._max_bytes,
            on_step=self._step,
            on_failure=failed,
            on_trouble=troubled,
        )
        await asyncio.to_thread(worker.start)
        self._worker, self._stats = worker, worker.stats

    async def stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.to_thread(worker.stop)

    async def caught_up(self) -> None:
        """Raises StreamStopped when the operator has failed or was stopped."""
        worker = self._worker
        if worker is None:
            raise StreamStopped("no operator is running")
        await asyncio.to_thread(self._wait_for, worker)

    def stats(self) -> StreamStats:
        return self._stats

    def _wait_for(self, worker: Worker) -> None:
        with contextlib.closing(self._file.connect()) as connection:
            ends = reader.end_of(connection, worker.numbers)
            while True:
                seen = self._file.news()
                done = self._file.committed_in(connection, worker.group, list(ends))
                ends = {number: end for number, end in ends.items() if done[number] < end}
                if not ends or not _any_between(connection, done, ends):
                    break
                if not worker.is_running:
                    raise StreamStopped("the operator stopped before it had caught up")
                self._file.wait(seen, _LOOK_S)
        while worker.is_counting and worker.is_running:
            self._file.wait(self._file.news(), _COUNTED_S)


def _any_between(connection: sqlite3.Connection, after: Mapping[int, int], through: Mapping[int, int]) -> bool:
    """Whether a record is left to do: retention may have taken the newest ones."""
    sql = "SELECT 1 FROM record WHERE log = ? AND id > ? AND id <= ? LIMIT 1"
    try:
        return any(connection.execute(sql, (n, after[n], end)).fetchone() for n, end in through.items())
    except sqlite3.Error as error:
        raise translated(error, "looking for what is left") from error
