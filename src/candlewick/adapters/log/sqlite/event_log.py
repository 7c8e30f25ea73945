"""The event log's port on one SQLite file."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from candlewick.adapters._sqlite import reader, retention
from candlewick.adapters._sqlite.logfile import Cursor, LogFile, LogOptions, WriteRequest
from candlewick.adapters.log.sqlite.bridge import Bridge
from candlewick.adapters.log.sqlite.consumer import SqliteConsumer, offset_of, record_of
from candlewick.adapters.log.sqlite.producer import SqliteProducer
from candlewick.adapters.log.sqlite.seat import LeaseKeeper, Seat
from candlewick.contracts.topics import CATALOGUE, Topic, dead_letters
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Rejected
from candlewick.ports.log import Assignment, LogCorrupt, LogUnavailable, Position, Record, Start, TopicState


class SqliteEventLog:
    """Keeps ``candlewick.ports.log.EventLog``. ``file`` is the synchronous core, for the stream runtime beside it."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        topics: Sequence[Topic] = CATALOGUE,
        options: LogOptions | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """``directory`` is the data dir; the log is ``log.db`` in it. ``on_step``: see LogFile."""
        self.file = LogFile(directory, clock, topics=topics, options=options, on_step=on_step)
        self._keeper = LeaseKeeper(self.file)
        self._bridge: Bridge | None = None
        self._consumers: list[SqliteConsumer] = []

    async def open(self) -> None:
        """Raises LogCorrupt, Conflict (another format or partition count), LogUnavailable, StorageFull."""
        if self._bridge is not None:
            raise Rejected("the log is open already")
        await asyncio.to_thread(self.file.open)
        self._bridge = Bridge(self.file, asyncio.get_running_loop())

    async def close(self) -> None:
        bridge, self._bridge = self._bridge, None
        if bridge is None:
            return
        for consumer in self._consumers:
            try:
                await consumer.close()
            except CandlewickError as error:
                # Its lease will run out instead; closing goes on.
                self.file.last_fault = error
        await asyncio.to_thread(self._keeper.stop)
        await bridge.stop_reading()
        await asyncio.to_thread(self.file.close)
        bridge.stop_writing()

    async def abandon(self) -> None:
        """Let go as a killed process would: nothing is flushed or marked clean. For tests."""
        bridge, self._bridge = self._bridge, None
        if bridge is None:
            return
        await asyncio.to_thread(self._keeper.stop)
        await bridge.stop_reading()
        await asyncio.to_thread(self.file.abandon)
        bridge.stop_writing()

    async def producer(self, name: str, *, transactional_id: str | None = None) -> SqliteProducer:
        """``name`` says who writes; a transactional id fences the producer that had it before."""
        bridge = self._opened()
        if transactional_id is None:
            return SqliteProducer(self.file, bridge, None)

        def run(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                """INSERT INTO producer (transactional_id, epoch) VALUES (?, 1)
                    ON CONFLICT (transactional_id) DO UPDATE SET epoch = epoch + 1 RETURNING epoch""",
                (transactional_id,),
            ).fetchone()
            return int(row[0])

        written = await bridge.write(WriteRequest(run=run, quiet=True))
        return SqliteProducer(self.file, bridge, (transactional_id, written.value))

    async def consumer(
        self,
        topics: Sequence[str],
        *,
        group: str | None,
        member: str,
        start: Start = "committed",
        on_assignment: Assignment | None = None,
    ) -> SqliteConsumer:
        """A second consumer of the same group and member takes the first one's seat and fences it."""
        bridge = self._opened()
        numbers = [self.file.numbers(topic) for topic in topics]
        seat = Seat(self.file, group, member, numbers, bridge.stir) if group else None
        consumer = SqliteConsumer(
            self.file, bridge, topics, seat=seat, keeper=self._keeper, start=start, on_assignment=on_assignment
        )
        if seat is None:
            await consumer.start_broadcast()
        else:
            await bridge.write(seat.join())
            self._keeper.add(seat)
        self._consumers.append(consumer)
        return consumer

    async def read_at(self, topic: str, partition: int, after: Position | None, limit: int) -> list[Record]:
        bridge = self._opened()
        number = self.file.partition_number(topic, partition)
        cursor = Cursor({number: offset_of(after) if after is not None else 0})

        def job(connection: sqlite3.Connection) -> list[Record]:
            found: list[Record] = []
            while len(found) < limit:
                rows = cursor.read(connection, limit - len(found), self.file.options.record_bytes)
                if not rows:
                    break
                found += [record_of(self.file, row) for row in rows]
            return found

        return await bridge.read(job)

    async def describe(self) -> Sequence[TopicState]:
        bridge = self._opened()
        names = [name for topic in self.file.topics for name in (topic.name, dead_letters(topic.name))]
        ranges = [self.file.numbers(name) for name in names]
        found = await bridge.read(retention.states, ranges)
        return [
            TopicState(name, len(numbers), records, size, oldest)
            for name, numbers, (records, size, oldest) in zip(names, ranges, found, strict=True)
        ]

    async def expire(self, now_ns: int) -> int:
        self._opened()
        return await asyncio.to_thread(retention.expire, self.file, now_ns)

    async def check(self) -> str | None:
        """Writes to the file; says what failed, or what was found damaged since it was opened."""
        if self._bridge is None:
            return "LOG_UNAVAILABLE: the log is closed"
        try:
            await self._bridge.write(WriteRequest(run=reader.head_of, quiet=True))
        except CandlewickError as error:
            return f"{error.code}: {error}"
        damage = self.file.damage
        return f"{damage.code}: {damage}" if damage is not None else None

    async def verify(self) -> list[LogCorrupt]:
        """Read everything that is kept and say what is damaged; slow, for ``doctor``."""
        return await self._opened().read(reader.verify)

    def _opened(self) -> Bridge:
        if self._bridge is None:
            raise LogUnavailable("the log is closed")
        return self._bridge
