"""The operator's thread: read, apply, commit, and read the next round while the last one commits.

Exactly once: positions, state and outputs of a round are one transaction, fenced by this member's instance, and no
round is handed over before the one ahead of it has succeeded. When a commit fails, everything in memory is
dropped and reading begins again behind what the file says is done.
"""

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future

from candlewick.adapters._sqlite import groups, reader
from candlewick.adapters._sqlite.logfile import (
    Cursor,
    LogFile,
    Positions,
    SimulatedCrash,
    WriteRequest,
    Written,
)
from candlewick.adapters.stream.sqlite.membership import Membership
from candlewick.adapters.stream.sqlite.round import Processor, Round
from candlewick.adapters.stream.sqlite.state import OperatorState
from candlewick.contracts.operators import Operator
from candlewick.kernel.errors import CandlewickError, Fenced, Retryable
from candlewick.kernel.system import step_back
from candlewick.ports.log import LogCorrupt
from candlewick.ports.stream import StreamStats

_NICENESS = 3
_IDLE_S = 0.5
_RETRY_S = 0.25
_LAG_EVERY_NS = 1_000_000_000


class Worker:
    """Runs on a thread of its own from ``start`` to ``stop``."""

    def __init__(
        self,
        file: LogFile,
        operator: Operator,
        *,
        member: str,
        producer: str,
        max_records: int,
        max_bytes: int,
        on_step: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
        on_trouble: Callable[[CandlewickError], None],
    ) -> None:
        self.stats = StreamStats()
        self.group = f"stream.{operator.name}"
        topics = [file.numbers(topic) for topic in operator.consumes]
        self.numbers = [number for numbers in topics for number in numbers]
        self._file = file
        self._max_records, self._max_bytes = max_records, max_bytes
        self._step, self._on_failure, self._on_trouble = on_step, on_failure, on_trouble
        self._member = Membership(file, self.group, member, topics)
        self._state = OperatorState(operator.name)
        self._processor = Processor(file, operator, self._state, producer=producer, on_step=on_step)
        self._cursor = Cursor({})
        self._done: dict[int, int] = {}
        self._owned: frozenset[int] = frozenset()
        self._flying: tuple[Future[Written], Round] | None = None
        self._counted_ns = 0
        self._changes = -1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"operator-{operator.name}", daemon=True)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive() and not self._stop.is_set()

    @property
    def is_counting(self) -> bool:
        """A round was handed over and its figures are not in ``stats`` yet."""
        return self._flying is not None

    def start(self) -> None:
        """Take the seat, then work. Raises what joining raises."""
        self._member.join()
        self._thread.start()

    def stop(self) -> None:
        """Commit what is in hand and leave; blocks until that is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        step_back(_NICENESS)
        connection = self._file.connect()
        try:
            while not self._stop.is_set():
                try:
                    self._turn(connection)
                except _Moved:
                    self._begin_again()
                    self._stop.wait(_RETRY_S)
                except Retryable as error:
                    self._file.last_fault = error
                    if not self.stats.refusal.startswith(error.code):
                        self._on_trouble(error)
                    self.stats.refusal = f"{error.code}: {error}"
                    self._begin_again()
                    self._stop.wait(_RETRY_S)
            with contextlib.suppress(Retryable):  # what could not be committed is read again by whoever comes next
                self._land()
                self._member.leave()
        except SimulatedCrash:
            pass
        except Exception as error:
            self._on_failure(error)
        finally:
            connection.close()

    def _turn(self, connection: sqlite3.Connection) -> None:
        self._member.beat()
        self._settle(connection)
        seen = self._file.news()
        try:
            rows = self._cursor.read(connection, self._max_records, self._max_bytes)
        except LogCorrupt as error:
            # Skipped once and for all: dense trade ids will show what was lost as a gap.
            self._file.damage = error
            self._on_trouble(error)
            self.stats.counters["damaged"] = self.stats.counters.get("damaged", 0) + 1
            return
        if not rows and self._cursor.places() == self._done:
            if self._flying is not None:
                self._land()
                return
            self.stats.lag = 0
            changes = groups.changes(connection)
            if changes != self._changes:
                self._changes = changes
                self._member.beat(now=True)
                return
            self._file.wait(seen, min(_IDLE_S, self._file.options.lease_s / 3))
            return
        self._step("read")
        work = self._processor.process(connection, rows)
        places = self._cursor.places()
        work.positions = {number: at for number, at in places.items() if at != self._done.get(number)}
        self._done = places
        self._land()
        self._step("submitting")
        request = WriteRequest(
            appends=work.appends,
            statements=work.statements,
            positions=[Positions(self.group, work.positions, self._member.instance)],
        )
        self._flying = (self._file.submit(request), work)
        self._step("submitted")
        self._measure(connection)

    def _land(self) -> None:
        """Wait for the round in flight. Fenced means its partitions are another's: begin again with what is ours."""
        if self._flying is None:
            return
        future, work = self._flying
        try:
            future.result()
        except Fenced:
            self._begin_again()
            self._member.beat(now=True)
            raise _Moved("partitions moved to another process") from None
        except BaseException:
            self._flying = None
            raise
        self._state.committed(1)
        self._step("committed")
        stats = self.stats
        stats.messages += work.messages
        stats.outputs += work.outputs
        stats.dead_letters += work.dead_letters
        stats.commits += 1
        stats.refusal = ""
        stats.counters = dict(Counter(stats.counters) + work.counters)
        self._flying = None

    def _begin_again(self) -> None:
        self._flying = None
        self._owned = frozenset()
        self._done = {}
        self._cursor = Cursor({})
        self._state.forget()

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Work exactly the partitions that the group gives this member."""
        standing = self._member.standing()
        if standing is None:
            self._land()
            self._begin_again()
            self._member.join()
            standing = self._member.standing()
            if standing is None:
                return
        target = standing.owned - standing.surplus
        if target == self._owned and not standing.surplus:
            return
        self._land()
        if standing.surplus:
            self._member.release(standing.surplus)
        gone = self._owned - target
        if gone:
            self._cursor.drop(gone)
            self._state.forget()
        new = sorted(target - self._owned)
        self._cursor.move(self._file.committed_in(connection, self.group, new))
        self._owned = target
        self._done = self._cursor.places()

    def _measure(self, connection: sqlite3.Connection) -> None:
        now = self._file.clock.monotonic_ns()
        if now - self._counted_ns > _LAG_EVERY_NS:
            self._counted_ns = now
            self.stats.lag = reader.count_behind(connection, self._done)


class _Moved(Retryable):
    """The round in flight was refused; what it did happens elsewhere."""

    code = "PARTITIONS_MOVED"
