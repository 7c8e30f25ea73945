"""The runtime's seat in its group: which partitions it works, renewed from its own loop."""

import sqlite3
from dataclasses import dataclass

from candlewick.adapters._sqlite import groups
from candlewick.adapters._sqlite.logfile import LogFile, WriteRequest
from candlewick.kernel.errors import Fenced


@dataclass(frozen=True, slots=True)
class _Beat:
    instance: int
    standing: groups.Standing | None
    is_replaced: bool


class Membership:
    """Methods are called from the operator's thread; heartbeats land from the log's writer."""

    def __init__(self, file: LogFile, group: str, member: str, numbers: list[range]) -> None:
        self.group = group
        self.instance = 0
        self._file = file
        self._member = member
        self._numbers = numbers
        self._last: _Beat | None = None
        self._sent_ns = 0

    def join(self) -> None:
        """Take the seat and a share of what is free; blocks until that is committed."""
        self._file.write(WriteRequest(run=self._join, done=self._heard))

    def beat(self, *, now: bool = False) -> None:
        """Renew the lease when a third of it has passed, without waiting for it (``now``: at once, waiting)."""
        clock = self._file.clock.monotonic_ns()
        if now:
            self._sent_ns = clock
            self._file.write(WriteRequest(run=self._renew, done=self._heard, quiet=True))
        elif clock - self._sent_ns > self._file.options.lease_s * 1e9 / 3:
            self._sent_ns = clock
            self._file.offer(WriteRequest(run=self._renew, done=self._heard, quiet=True))

    def standing(self) -> groups.Standing | None:
        """What the file last said, None when the seat was lost. Raises Fenced when another process has taken it."""
        beat = self._last
        if beat is None or beat.standing is None:
            if beat is not None and beat.is_replaced:
                raise Fenced(f"another process has taken the seat, was member {self._member!r} of group {self.group!r}")
            return None
        return beat.standing

    def release(self, numbers: frozenset[int]) -> None:
        """Partitions that others wait for are theirs once this returns."""

        def run(connection: sqlite3.Connection) -> _Beat:
            groups.release(connection, self.group, self.instance, numbers)
            return self._renew(connection)

        self._file.write(WriteRequest(run=run, done=self._heard))

    def leave(self) -> None:
        """Give everything up at once."""
        self._file.write(WriteRequest(run=lambda connection: groups.leave(connection, self.instance)))

    def _join(self, connection: sqlite3.Connection) -> _Beat:
        instance = groups.join(connection, self.group, self._member, self._numbers, self._lease())
        return self._stand(connection, instance)

    def _renew(self, connection: sqlite3.Connection) -> _Beat:
        return self._stand(connection, self.instance)

    def _stand(self, connection: sqlite3.Connection, instance: int) -> _Beat:
        now = self._file.clock.monotonic_ns()
        standing = groups.heartbeat(connection, self.group, instance, self._numbers, now, self._lease())
        is_replaced = standing is None and groups.is_replaced(connection, self.group, self._member)
        return _Beat(instance, standing, is_replaced)

    def _heard(self, beat: _Beat) -> None:
        # Called after the commit, so that a rolled-back claim is never believed.
        self.instance = beat.instance
        self._last = beat

    def _lease(self) -> int:
        return self._file.clock.monotonic_ns() + int(self._file.options.lease_s * 1e9)
