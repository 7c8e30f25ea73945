"""Who is told of a commit: waiting threads and watchers of this process, of its own commits and of other processes'."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from candlewick.adapters._sqlite import schema
from candlewick.adapters._sqlite.faults import translated
from candlewick.adapters._sqlite.wake import NUMBER, WakeCell
from candlewick.kernel.errors import CandlewickError

Watcher = Callable[[frozenset[int] | None], None]
"""Told which topics (``partition number >> 10``) have new records; None when that is not known or groups changed."""

# Beyond so many rows of another process nobody looks which topics they are of; all are woken.
_LOOK_ROWS = 4096
# For a process that was killed between its commit and its wake-up call.
_LOOK_ANYWAY_S = 0.5


class News:
    """One per opened log. A thread of its own looks once into the file for every commit of another process."""

    def __init__(
        self, cell: Path, connect: Callable[[], sqlite3.Connection], failed: Callable[[CandlewickError], None]
    ):
        """``failed`` is told when the file could not be looked into."""
        self._cell = WakeCell(cell)
        self._connect = connect
        self._failed = failed
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._heard = 0
        self._txn = 0
        self._own = 0
        self._is_foreign = False
        self._watchers: list[Watcher] = []
        self._thread: threading.Thread | None = None

    def start(self, txn: int) -> None:
        """Listen from transaction ``txn`` on."""
        self._txn = self._own = txn
        self._thread = threading.Thread(target=self._listen, name="log-wake", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all waits and the thread."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        self._cell.nudge()
        if self._thread is not None:
            self._thread.join()
        self._cell.close()

    @property
    def heard(self) -> int:
        """Rises at least once behind every commit of any process."""
        return self._heard

    def wait(self, seen: int, timeout_s: float) -> int:
        """Until ``heard`` is no longer ``seen``, the time-out, or ``stop``."""
        with self._changed:
            self._changed.wait_for(lambda: self._heard != seen or self._closed.is_set(), timeout_s)
            return self._heard

    def watch(self, told: Watcher) -> Callable[[], None]:
        """Call ``told`` at every commit, from a thread of the log; the result ends that."""
        self._watchers = [*self._watchers, told]

        def stop() -> None:
            self._watchers = [watcher for watcher in self._watchers if watcher is not told]

        return stop

    def wrote(self, txn: int, *, is_quiet: bool) -> None:
        """This process has committed ``txn``; other processes are woken unless it is quiet."""
        if txn > self._own:
            # Somebody else's commit came between; its wake-up may be overwritten by ours before it is heard.
            self._is_foreign |= txn != self._own + 1
            self._own = txn
        if not is_quiet:
            self._txn = txn
            self._cell.store(txn)

    def announce(self, txn: int, touched: frozenset[int] | None) -> None:
        """Wake this process's own."""
        with self._changed:
            self._txn = txn
            self._heard += 1
            self._changed.notify_all()
        for told in self._watchers:
            told(touched)

    def _listen(self) -> None:
        seen = self._cell.value()
        with contextlib.closing(self._connect()) as connection:
            state = self._look(connection, None)
            while not self._closed.is_set():
                value = self._cell.wait(seen, _LOOK_ANYWAY_S)
                if self._closed.is_set():
                    return
                if self._is_foreign or value == seen or value & NUMBER != self._txn & NUMBER:
                    self._is_foreign = False
                    try:
                        state = self._look(connection, state)
                    except sqlite3.Error as error:
                        self._failed(translated(error, "looking for news"))
                        self.announce(value, None)
                seen = value

    def _look(self, connection: sqlite3.Connection, before: tuple[int, int, int] | None) -> tuple[int, int, int]:
        row = connection.execute("SELECT txn, next_id, groups FROM head").fetchone()
        now = (int(row[0]), int(row[1]), int(row[2]))
        if before is None or now == before:
            return now
        touched: frozenset[int] | None = None
        if now[2] == before[2] and now[1] - before[1] <= _LOOK_ROWS:
            found = connection.execute(
                "SELECT DISTINCT log >> ? FROM record NOT INDEXED WHERE id >= ? AND id < ?",
                (schema.PARTITION_BITS, before[1], now[1]),
            )
            touched = frozenset([row[0] for row in found])
        self.announce(now[0], touched)
        return now
