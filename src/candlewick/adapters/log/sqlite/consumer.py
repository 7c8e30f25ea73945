"""Reading records: broadcast from where it says, shared from where its group is."""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from candlewick.adapters._sqlite import groups, reader, schema
from candlewick.adapters._sqlite.logfile import Cursor, LogFile, Positions, Row, WriteRequest, position_of
from candlewick.adapters.log.sqlite.bridge import Bridge
from candlewick.adapters.log.sqlite.seat import LeaseKeeper, Seat
from candlewick.kernel.errors import Fenced
from candlewick.ports.log import (
    Assignment,
    LogCorrupt,
    LogUnavailable,
    NotAssigned,
    NotShared,
    Position,
    Record,
    Start,
)

_EPOCH_END = (1 << schema.EPOCH_BITS) - 1


def offset_of(position: Position) -> int:
    """The offset of this file that a position stands for; clamped into the position's epoch."""
    low = position.epoch << schema.EPOCH_BITS
    return min(max(position.offset, low), low + _EPOCH_END)


def record_of(file: LogFile, row: Row) -> Record:
    """A row as the port's record."""
    topic, partition = file.place(row.log)
    return Record(topic, partition, position_of(row.offset), row.key, row.value, row.header, row.ts_append)


class SqliteConsumer:
    """Rows come in commit order over all its partitions, which makes them fair and events nearly ordered in time."""

    def __init__(
        self,
        file: LogFile,
        bridge: Bridge,
        topics: Sequence[str],
        *,
        seat: Seat | None,
        keeper: LeaseKeeper,
        start: Start,
        on_assignment: Assignment | None,
    ) -> None:
        self._file = file
        self._bridge = bridge
        self._numbers = [number for topic in topics for number in file.numbers(topic)]
        self._topics = frozenset([number >> schema.PARTITION_BITS for number in self._numbers])
        self._seat = seat
        self._keeper = keeper
        self._start: Start = start
        self._told = on_assignment
        self._cursor = Cursor({})
        self._owned: frozenset[int] = frozenset()
        self._groups_seen = 0
        self._is_closed = False
        self._reading: asyncio.Future[tuple[list[Record], int]] | None = None
        self._undo: dict[int, int] | None = None

    @property
    def group_name(self) -> str:
        """The group. Raises NotShared."""
        return self._shared().group

    @property
    def instance(self) -> int:
        """The number that fences this member's commits. Raises NotShared."""
        return self._shared().instance

    async def start_broadcast(self) -> None:
        """Take every partition, from ``start``."""
        await self._take(self._numbers)

    async def poll(self, *, max_records: int = 500, max_bytes: int = 4 << 20, timeout_s: float = 1.0) -> list[Record]:
        self._ensure_open()
        if self._seat is None:
            return await self._poll(max_records, max_bytes, timeout_s)
        self._seat.is_polling = True
        try:
            return await self._poll(max_records, max_bytes, timeout_s)
        finally:
            self._seat.polled_ns = self._file.clock.monotonic_ns()
            self._seat.is_polling = False

    async def _poll(self, max_records: int, max_bytes: int, timeout_s: float) -> list[Record]:
        clock = self._file.clock
        deadline = clock.monotonic_ns() + int(timeout_s * 1e9)
        while not self._is_closed:
            seen = self._bridge.news()
            if self._seat is not None:
                if self._seat.is_stale():
                    await self._bridge.write(self._seat.heartbeat())
                await self._settle(self._seat)
            records, changes = await self._read(max_records, max_bytes)
            if records:
                return records
            if self._seat is not None and changes != self._groups_seen:
                self._groups_seen = changes
                await self._bridge.write(self._seat.heartbeat())
                continue
            left = (deadline - clock.monotonic_ns()) / 1e9
            if left <= 0:
                break
            await self._bridge.sleep(seen, self._topics, left)
        return []

    async def _read(self, max_records: int, max_bytes: int) -> tuple[list[Record], int]:
        def job(connection: sqlite3.Connection) -> tuple[list[Record], int]:
            rows = self._cursor.read(connection, max_records, max_bytes)
            records = [record_of(self._file, row) for row in rows]
            return records, groups.changes(connection) if self._seat is not None and not rows else 0

        await self._recover()
        before = self._cursor.places()
        self._reading = reading = self._bridge.read(job)
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            # Its thread reads on, for nobody: what it finds is to be found again.
            self._undo = before
            raise
        except LogCorrupt as error:
            self._file.damage = error
            raise

    async def _recover(self) -> None:
        """After a cancelled read: wait for its thread and put the cursor back."""
        if self._undo is not None and self._reading is not None:
            await asyncio.wait([self._reading])
            if not self._reading.cancelled():
                self._reading.exception()
            self._cursor.move(self._undo)
            self._undo = None

    async def commit(self, positions: Mapping[tuple[str, int], Position]) -> None:
        seat = self._shared()
        self._ensure_open()
        offsets = self.offsets_of(positions)
        if offsets:
            await self._bridge.write(WriteRequest(positions=[Positions(seat.group, offsets, seat.instance)]))

    def offsets_of(self, positions: Mapping[tuple[str, int], Position]) -> dict[int, int]:
        """Positions by partition number. Raises NotShared, Fenced for partitions that are not this member's."""
        seat = self._shared()
        offsets = {
            self._file.partition_number(topic, partition): offset_of(position)
            for (topic, partition), position in positions.items()
        }
        if seat.is_lost or not self._owned.issuperset(offsets):
            raise Fenced(f"the partitions are another member's now, committing for group {seat.group!r}")
        return offsets

    async def seek(self, topic: str, partition: int, after: Position | None) -> Position | None:
        self._ensure_open()
        await self._recover()
        number = self._file.partition_number(topic, partition)
        if number not in self._owned:
            raise NotAssigned(f"only assigned partitions can be sought in, was {(topic, partition)!r}")
        if after is None:
            self._cursor.move({number: 0})
            return None
        wanted = offset_of(after)

        def job(connection: sqlite3.Connection) -> int:
            # Beyond the head: the file was replaced by an older one. Everything it has is news then.
            return 0 if wanted > reader.head_of(connection) else max(wanted, reader.gone_through(connection, number))

        at = await self._bridge.read(job)
        self._cursor.move({number: at})
        if at == wanted:
            return after
        return position_of(at) if at else None

    async def seek_to_time(self, ts_ns: int) -> None:
        self._ensure_open()
        await self._recover()
        at = await self._bridge.read(reader.before_time, ts_ns)
        self._cursor.move(dict.fromkeys(self._owned, at))

    def assignment(self) -> frozenset[tuple[str, int]]:
        return frozenset(map(self._file.place, self._owned))

    async def end_positions(self) -> Mapping[tuple[str, int], Position]:
        self._ensure_open()
        ends = await self._bridge.read(reader.end_of, sorted(self._owned))
        return {self._file.place(number): position_of(offset) for number, offset in ends.items()}

    async def lag(self) -> int:
        self._ensure_open()
        return await self._bridge.read(reader.count_behind, self._cursor.places())

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._bridge.wake_all()
        if self._seat is not None:
            self._keeper.remove(self._seat)
            await self._bridge.write(self._seat.leave())

    # -- partitions that come and go --------------------------------------------------------------------------------

    async def _settle(self, seat: Seat) -> None:
        """Bring what this consumer reads in line with what the file says it has."""
        await self._recover()
        if seat.is_lost or seat.is_replaced:
            gone, self._owned = self._owned, frozenset()
            self._cursor.drop(gone)
            if gone and self._told is not None:
                await self._told.lost(self._places(gone))
            if seat.is_replaced:
                raise Fenced(f"another consumer has taken the seat, was member {seat.name!r} of group {seat.group!r}")
            await self._bridge.write(seat.join())
        standing = seat.standing
        if standing is None:
            return
        gone = self._owned - standing.owned
        if gone:
            self._owned -= gone
            self._cursor.drop(gone)
            if self._told is not None:
                await self._told.lost(self._places(gone))
        new = standing.owned - self._owned - standing.surplus
        unneeded = standing.surplus
        if unneeded:
            given = self._owned & unneeded
            if given and self._told is not None:
                # Still owned while it is told, so that it can commit.
                await self._told.revoked(self._places(given))
            self._owned -= given
            self._cursor.drop(given)
            await self._bridge.write(seat.release(unneeded))
        if new:
            await self._take(new)
            if self._told is not None:
                await self._told.assigned(self._places(new))

    async def _take(self, numbers: Iterable[int]) -> None:
        wanted = sorted(numbers)
        group = self._seat.group if self._seat is not None else None

        def job(connection: sqlite3.Connection) -> dict[int, int]:
            places = dict.fromkeys(wanted, 0)
            if self._start == "newest":
                places.update(dict.fromkeys(wanted, reader.head_of(connection)))
            if group is not None:
                kept = self._file.committed_in(connection, group, wanted)
                places.update({number: at for number, at in kept.items() if at})
            return places

        self._cursor.move(await self._bridge.read(job))
        self._owned = self._owned.union(wanted)

    def _places(self, numbers: Iterable[int]) -> list[tuple[str, int]]:
        return [self._file.place(number) for number in sorted(numbers)]

    def _shared(self) -> Seat:
        if self._seat is None:
            raise NotShared("a broadcast consumer commits nothing", hint="Give it a group")
        return self._seat

    def _ensure_open(self) -> None:
        if self._is_closed:
            raise LogUnavailable("the consumer is closed")
