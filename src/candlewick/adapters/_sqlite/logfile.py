"""The log's file: one writer thread with group commit, readers beside it, wake-ups across processes. Synchronous.

How to use it (the asyncio port in ``adapters.log.sqlite`` and the stream runtime do):

    log = LogFile(data_dir, clock); log.open()
    request = WriteRequest(
        appends=[(log.number("normalized.ohlcv", key), key, header, value), ...],
        positions=[Positions("stream", {partition_number: offset_done, ...})],
        statements=[("INSERT INTO stream_state ... ON CONFLICT ...", rows)],
    )
    written = log.write(request)            # all or nothing; blocks until committed
    future = log.submit(request)            # the same, a concurrent.futures.Future; blocks only over the byte bound

    cursor = Cursor(log.committed("stream", partition_numbers))
    connection = log.connect()              # a read connection, for one thread at a time
    seen = log.news()                       # before reading, so that no commit is slept through
    rows = cursor.read(connection, 500, 4 << 20)
    if not rows:
        log.wait(seen, 0.5)                 # until something was committed behind ``seen``, by any process

Partition numbers stand for (topic, partition) inside one file: ``numbers``, ``number``, ``place``. Offsets are row ids:
one rising sequence for all partitions, so rows come in commit order; ``position_of`` gives the port's (epoch, offset).
"""

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from candlewick.adapters._sqlite import schema
from candlewick.adapters._sqlite.faults import is_own_fault, translated
from candlewick.adapters._sqlite.news import News, Watcher
from candlewick.adapters._sqlite.numbers import PartitionNumbers
from candlewick.adapters._sqlite.options import LogOptions
from candlewick.adapters._sqlite.presence import Presence
from candlewick.adapters._sqlite.reader import Cursor, Row, size_of
from candlewick.adapters._sqlite.writer import Append, Positions, Step, WriteRequest, Written, write
from candlewick.contracts.topics import CATALOGUE, Topic
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.system import step_back
from candlewick.ports.log import LogCorrupt, LogUnavailable, Position, RecordTooLarge

__all__ = ["Append", "Cursor", "LogFile", "LogOptions", "Positions", "Row", "WriteRequest", "Written", "position_of"]

# Behind the operators: who holds the interpreter must not wait for a commit to end.
_NICENESS = 5
_GROUP_REQUESTS = 1024


def position_of(offset: int) -> Position:
    """The port's position of an offset of this file."""
    return Position(schema.epoch_of(offset), offset)


class SimulatedCrash(BaseException):
    """Raised by an ``on_step`` of a test: the writer stops on the spot, as if the process had been killed."""


class LogFile(PartitionNumbers):
    """One log in one folder, opened by one process. Every method may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        topics: Sequence[Topic] = CATALOGUE,
        options: LogOptions | None = None,
        on_step: Step | None = None,
    ) -> None:
        """``on_step`` is called inside the writer at each named step of a commit: taken, begun, appending, committing,
        committed, told. For fault injection and tracing."""
        self.directory = directory
        self.path = directory / "log.db"
        self.clock = clock
        super().__init__(topics)
        self.options = options or LogOptions()
        self._step: Step = on_step or (lambda _: None)
        self._cond = threading.Condition(threading.RLock())
        self._queue: deque[tuple[WriteRequest, Future[Written]]] = deque()
        self._queued_bytes = 0
        self._state = "new"
        self._current: list[tuple[WriteRequest, Future[Written]]] = []
        self._room_watchers: list[Callable[[], None]] = []
        self.last_fault: CandlewickError | None = None
        self.damage: LogCorrupt | None = None

    # -- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open or make the file; a stop that was not clean begins a new epoch.

        Raises LogCorrupt, Conflict (another format or partition count), LogUnavailable, StorageFull.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._presence = Presence(self.directory, self.options.busy_s)
            self._news = News(self.directory / "log.wake", self.connect, self._note)
        except OSError as error:
            raise LogUnavailable(
                f"the folder for the log cannot be used: {error.strerror}, was {str(self.directory)!r}",
                hint="Give another --data-dir or mend its permissions",
            ) from error
        try:
            self._writer = schema.open_writer(
                self.path,
                self._presence,
                self.topics,
                durable=self.options.durable,
                max_pages=self.options.max_pages,
            )
        except BaseException:
            self._presence.leave()
            raise
        self._writer.execute("PRAGMA busy_timeout=0")
        self._read_numbers(self._writer)
        self._state = "open"
        self._news.start(int(self._writer.execute("SELECT txn FROM head").fetchone()[0]))
        self._thread = threading.Thread(target=self._write_on, name="log-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what was accepted, then let go. Idempotent."""
        self._stop("closing")

    def abandon(self) -> None:
        """Stop as a killed process would: what waits is lost, nothing is marked clean. For tests."""
        self._stop("abandoned")

    def _stop(self, state: str) -> None:
        with self._cond:
            if self._state in {"closed", "new"}:
                return
            if self._state == "open":
                self._state = state
            state = self._state
            self._cond.notify_all()
        self._thread.join()
        self._news.stop()
        self._state = "closed"
        self._fail_queue()
        if state == "closing":
            schema.close_writer(self._writer, self._presence)
        else:
            self._writer.close()
            self._presence.leave()

    # -- writing ----------------------------------------------------------------------------------------------------

    def check_size(self, key: str, header: bytes, value: bytes | None) -> None:
        """Raises RecordTooLarge; ``offer`` and ``submit`` ask the same of every record."""
        self._check(size_of(key, header, value))

    def _check(self, size: int) -> None:
        if size > self.options.record_bytes:
            raise RecordTooLarge(f"a record must be at most {self.options.record_bytes} bytes, was {size!r}")

    def submit(self, request: WriteRequest) -> "Future[Written]":
        """Queue a request, waiting while the queue is over its bound of bytes; the future ends when it is committed or
        refused.

        Requests of one thread are committed in the order submitted. Raises RecordTooLarge, LogUnavailable (closed).
        The future's errors: Fenced, StorageFull, LogCorrupt, LogUnavailable (nothing of the request was kept), and what
        the request's own statements raised.
        """
        with self._cond:
            while (future := self.offer(request)) is None:
                self._cond.wait()
        return future

    def offer(self, request: WriteRequest) -> "Future[Written] | None":
        """``submit`` without waiting: None when the queue has no room (``watch_room`` tells when to try again)."""
        self._check(request.largest)
        with self._cond:
            if self._state != "open":
                raise LogUnavailable("the log is closed")
            if self._queued_bytes and self._queued_bytes + request.bytes > self.options.queue_bytes:
                return None
            future: Future[Written] = Future()
            self._queue.append((request, future))
            self._queued_bytes += request.bytes
            self._cond.notify_all()
        return future

    def watch_room(self, told: Callable[[], None]) -> None:
        """Call ``told`` from the writer thread whenever the queue has shrunk, and at the log's end."""
        self._room_watchers.append(told)

    def write(self, request: WriteRequest) -> Written:
        """``submit`` and wait."""
        return self.submit(request).result()

    def outside(self, run: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run something on the write connection between transactions, and wait for its result."""
        return self.submit(WriteRequest(run=run, quiet=True, outside=True)).result().value

    def queued_bytes(self) -> int:
        """Bytes accepted and not yet committed."""
        return self._queued_bytes

    def _write_on(self) -> None:
        step_back(_NICENESS)
        try:
            while True:
                group = self._next_group()
                if group is None:
                    return
                self._current = group
                self._step("taken")
                self._commit(group)
                self._current = []
        except SimulatedCrash:
            with self._cond:
                self._state = "abandoned"
                self._cond.notify_all()
            self._fail_queue()
            for told in self._room_watchers:
                told()

    def _next_group(self) -> list[tuple[WriteRequest, "Future[Written]"]] | None:
        with self._cond:
            while not self._queue and self._state == "open":
                self._cond.wait()
            if self._state == "abandoned" or not self._queue:
                return None
            group = [self._queue.popleft()]
            size = group[0][0].bytes
            if group[0][0].outside:
                return group
            while (
                self._queue
                and not self._queue[0][0].outside
                and len(group) < _GROUP_REQUESTS
                and size < self.options.group_bytes
            ):
                group.append(self._queue.popleft())
                size += group[-1][0].bytes
            return group

    def _commit(self, group: list[tuple[WriteRequest, "Future[Written]"]]) -> None:
        results: Sequence[Written | Exception]
        try:
            results = self._write([request for request, _ in group])
            self.last_fault = None
        except sqlite3.Error as error:
            if is_own_fault(error):
                if len(group) > 1:
                    self._one_by_one(group)
                    return
                results = [error]
            else:
                fault = translated(error, "writing to it")
                self.last_fault = fault
                results = [_again(fault, error) for _ in group]
        except Exception as error:
            if len(group) > 1:
                self._one_by_one(group)
                return
            results = [error]
        self._tell(group, results)

    def _one_by_one(self, group: list[tuple[WriteRequest, "Future[Written]"]]) -> None:
        """A request's own statements failed: nobody else's are to pay for it."""
        for entry in group:
            self._commit([entry])

    def _write(self, requests: Sequence[WriteRequest]) -> Sequence[Written | Exception]:
        deadline = self.clock.monotonic_ns() + int(self.options.busy_s * 1e9)
        pause = 0.0002
        while True:
            try:
                if requests[0].outside and requests[0].run is not None:
                    return [Written(0, 0, 0, 0, requests[0].run(self._writer))]
                return write(self._writer, requests, self.clock.now_ns(), self._step)
            except sqlite3.OperationalError as error:
                # SQLite's own busy handler sleeps 1 to 100 ms; another process holds the lock for about one.
                if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF != 5 or self.clock.monotonic_ns() > deadline:
                    raise
            threading.Event().wait(pause)
            pause = min(pause * 1.5, 0.002)

    def _tell(
        self, group: list[tuple[WriteRequest, "Future[Written]"]], results: Sequence[Written | Exception]
    ) -> None:
        written = [result.txn for result in results if isinstance(result, Written)]
        txn, touched = 0, set[int]()
        for (request, _), result in zip(group, results, strict=True):
            if isinstance(result, Written) and not request.quiet:
                txn = result.txn
                touched.update([log >> schema.PARTITION_BITS for log, *_ in request.appends])
                if request.run is not None:
                    touched.add(-1)
        with self._cond:
            self._queued_bytes -= sum([request.bytes for request, _ in group])
            self._cond.notify_all()
        if written:
            self._news.wrote(max(written), is_quiet=not txn)
        for (request, future), result in zip(group, results, strict=True):
            if request.done is not None and isinstance(result, Written):
                request.done(result.value)
            if not future.set_running_or_notify_cancel():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        if txn:
            self._news.announce(txn, None if -1 in touched else frozenset(touched))
        for told in self._room_watchers:
            told()
        self._step("told")

    def _fail_queue(self) -> None:
        with self._cond:
            left = [future for _, future in (*self._current, *self._queue) if not future.done()]
            self._queue.clear()
            self._queued_bytes = 0
        for future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(LogUnavailable("the log stopped before it could say that this was written"))

    # -- reading ----------------------------------------------------------------------------------------------------

    def connect(self) -> sqlite3.Connection:
        """A new read connection; the caller closes it before the log."""
        return schema.connect(self.path, writer=False)

    def committed(self, group: str, numbers: Sequence[int]) -> dict[int, int]:
        """Partition number -> offset the group has done, 0 where it never committed."""
        with contextlib.closing(self.connect()) as connection:
            return self.committed_in(connection, group, numbers)

    @staticmethod
    def committed_in(connection: sqlite3.Connection, group: str, numbers: Sequence[int]) -> dict[int, int]:
        """``committed`` on a connection the caller has."""
        try:
            found: Mapping[int, int] = dict(
                connection.execute("SELECT log, id FROM group_position WHERE grp = ?", (group,)).fetchall()
            )
        except sqlite3.Error as error:
            raise translated(error, "reading positions") from error
        return {number: found.get(number, 0) for number in numbers}

    # -- news -------------------------------------------------------------------------------------------------------

    def news(self) -> int:
        """A number that rises at least once behind every commit of any process; for ``wait``."""
        return self._news.heard

    def wait(self, seen: int, timeout_s: float) -> int:
        """Sleep until ``news`` is no longer ``seen``, at most ``timeout_s``. Ends early when the log closes."""
        return self._news.wait(seen, timeout_s)

    def watch(self, told: Watcher) -> Callable[[], None]:
        """Call ``told`` from a thread of the log after commits of any process; the result ends that."""
        return self._news.watch(told)

    def _note(self, fault: CandlewickError) -> None:
        self.last_fault = fault


def _again(fault: CandlewickError, cause: Exception) -> CandlewickError:
    copy = type(fault)(fault.detail, hint=fault.hint)
    copy.__cause__ = cause
    return copy
