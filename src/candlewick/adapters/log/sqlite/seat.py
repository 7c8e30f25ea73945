"""A shared consumer's seat in its group, as this process knows it; renewed by one thread for all seats of the log."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from candlewick.adapters._sqlite import groups
from candlewick.adapters._sqlite.logfile import LogFile, WriteRequest
from candlewick.kernel.errors import CandlewickError


@dataclass(frozen=True, slots=True)
class _Beat:
    """What one heartbeat found: where the member stands, or that its seat is gone and maybe somebody else's."""

    instance: int
    at_ns: int
    standing: groups.Standing | None
    is_replaced: bool = False


class Seat:
    """What the file last said of one member. Methods may be called from any thread."""

    def __init__(
        self, file: LogFile, group: str, name: str, logs: Sequence[range], changed: Callable[[], None]
    ) -> None:
        """``changed`` is called from a thread of the log when a heartbeat found the seat other than it was."""
        self.group, self.name = group, name
        self.instance = 0
        self.standing: groups.Standing | None = None
        self.is_lost = False
        self.is_replaced = False
        self.polled_ns = file.clock.monotonic_ns()
        self.heard_ns = 0
        self.is_polling = False
        self._logs = logs
        self._changed = changed
        self._file = file

    def join(self) -> WriteRequest:
        """To be written: takes the seat, and its share of what is free."""

        def run(connection: sqlite3.Connection) -> _Beat:
            return self._beat(connection, groups.join(connection, self.group, self.name, self._logs, self._lease()))

        return WriteRequest(run=run, done=self._apply)

    def heartbeat(self) -> WriteRequest:
        """To be written: renews the lease and settles the share."""
        return WriteRequest(run=lambda c: self._beat(c, self.instance), done=self._apply, quiet=True)

    def release(self, logs: frozenset[int]) -> WriteRequest:
        """To be written: other members may have these from here on."""

        def run(connection: sqlite3.Connection) -> _Beat:
            groups.release(connection, self.group, self.instance, logs)
            return self._beat(connection, self.instance)

        return WriteRequest(run=run, done=self._apply)

    def leave(self) -> WriteRequest:
        """To be written: gives everything up at once."""
        return WriteRequest(run=lambda connection: groups.leave(connection, self.instance))

    def _lease(self) -> int:
        return self._file.clock.monotonic_ns() + int(self._file.options.lease_s * 1e9)

    def _beat(self, connection: sqlite3.Connection, instance: int) -> _Beat:
        now = self._file.clock.monotonic_ns()
        standing = groups.heartbeat(connection, self.group, instance, self._logs, now, self._lease())
        if standing is None:
            return _Beat(instance, now, None, groups.is_replaced(connection, self.group, self.name))
        return _Beat(instance, now, standing)

    def _apply(self, beat: _Beat) -> None:
        # After the commit and in the order of commits, so that a rolled-back claim is never believed.
        is_changed = beat.standing != self.standing
        self.instance = beat.instance
        self.heard_ns = beat.at_ns
        self.standing = beat.standing
        self.is_lost = beat.standing is None
        self.is_replaced |= beat.is_replaced
        if is_changed:
            self._changed()

    def is_stale(self) -> bool:
        """Not heard of for so long that the seat may be gone."""
        return self._file.clock.monotonic_ns() - self.heard_ns > int(self._file.options.lease_s * 1e9 / 2)

    def is_idle(self) -> bool:
        """Not polled for so long that others should have its partitions."""
        return not self.is_polling and self._file.clock.monotonic_ns() - self.polled_ns > int(
            self._file.options.poll_within_s * 1e9
        )


class LeaseKeeper:
    """The thread that renews the seats of one log, three times a lease."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._seats: list[Seat] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, seat: Seat) -> None:
        """Keep a seat renewed from now on."""
        self._seats = [*self._seats, seat]
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="log-leases", daemon=True)
            self._thread.start()

    def remove(self, seat: Seat) -> None:
        """Keep it no longer."""
        self._seats = [other for other in self._seats if other is not seat]

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(self._file.options.lease_s / 3):
            due = [seat.heartbeat() for seat in self._seats if not seat.is_idle() and not seat.is_lost]
            try:
                for future in [self._file.submit(request) for request in due]:
                    future.result()
            except CandlewickError as error:
                # The next beat tries again; a lease that runs out meanwhile is what leases are for.
                self._file.last_fault = error
