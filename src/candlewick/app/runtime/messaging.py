"""Messages into handlers and out of services: inbox, outbox, followers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from candlewick.app.runtime.outbox import Outbox
from candlewick.app.tracing import Tracer
from candlewick.contracts import codec, topics
from candlewick.contracts.base import Envelope, Message
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Fatal, Retryable
from candlewick.kernel.ids import IdSource
from candlewick.kernel.logging import correlated
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.patience import Patience
from candlewick.ports.database import Database, Transaction, Value
from candlewick.ports.log import Consumer, EventLog, LogCorrupt, NewRecord, Position, Producer, Record
from candlewick.ports.runtime import Event, Follower, TransactionalHandler

# Messages encoded or decoded before the loop hears its sockets again: about 2 ms.
_AT_ONCE = 32
#: What a service has taken from the log: how far it is, and each producer's newest number.
INBOX = ("inbox_position", "inbox_sequence")
INBOX_TABLES = (
    """CREATE TABLE IF NOT EXISTS inbox_position (
        topic TEXT NOT NULL, part INTEGER NOT NULL, epoch BIGINT NOT NULL, log_offset BIGINT NOT NULL,
        PRIMARY KEY (topic, part))""",
    """CREATE TABLE IF NOT EXISTS inbox_sequence (
        producer TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL, sequence BIGINT NOT NULL,
        PRIMARY KEY (producer, topic, part))""",
)


class LogMessaging:
    """ports.runtime.Messaging over an event log and, for handlers, the service's database."""

    def __init__(
        self,
        *,
        service: str,
        member: str,
        log: EventLog,
        database: Database | None,
        clock: Clock,
        ids: IdSource,
        metrics: Metrics,
        logger: Any,
        tracer: Tracer,
        background: Callable[[str, Awaitable[None]], None],
    ) -> None:
        self._service, self._member = service, member
        self._log, self._database = log, database
        self._clock, self._ids, self._metrics, self._logger = clock, ids, metrics, logger
        self._background, self._tracer = background, tracer
        self._producer: Producer | None = None
        self._consumers: list[Consumer] = []
        self._asked: dict[Consumer, list[asyncio.Future[None]]] = {}
        self._outbox = (
            Outbox(service=service, log=log, database=database, clock=clock, ids=ids, metrics=metrics, logger=logger)
            if database is not None
            else None
        )

    async def open(self) -> None:
        """Make the inbox and outbox tables and start the relay."""
        if self._database is None or self._outbox is None:
            return
        async with self._database.transaction() as tx:
            for statement in INBOX_TABLES:
                await tx.execute(statement)
        await self._outbox.open()
        self._background("relay", self._outbox.run())

    async def close(self) -> None:
        for consumer in self._consumers:
            with suppress(CandlewickError):
                await consumer.close()
        if self._producer is not None:
            await self._producer.close()

    # -- producing ---------------------------------------------------------------------------------------------

    async def publish(self, topic: str, messages: Sequence[tuple[Message, int, int]]) -> list[Position]:
        if self._producer is None:
            self._producer = await self._log.producer(self._service)
        records: list[NewRecord] = []
        for start in range(0, len(messages), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            records += [self._record(topic, *message) for message in messages[start : start + _AT_ONCE]]
        positions = await self._producer.send(records)
        self._metrics.count("events_produced_total", len(records), self._service, topic)
        return positions

    def _record(self, topic: str, message: Message, ts_event: int, ts_recv: int) -> NewRecord:
        envelope = Envelope(
            id=self._ids.new(),
            type=type(message).__name__,
            ts_event=ts_event,
            ts_recv=ts_recv,
            key=message.key,
            producer=self._service,
            schema_version=message.VERSION,
        )
        return NewRecord(topic, envelope.key, codec.encode(message), codec.encode_envelope(envelope), ts_event)

    async def unit_of_work(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        database, outbox = self._owned()
        async with database.transaction() as tx:
            unit = outbox.unit(tx)
            result = await work(unit)
            await unit.write()
        outbox.wake()
        return result

    def _owned(self) -> tuple[Database, Outbox]:
        if self._database is None or self._outbox is None:
            raise Fatal(f"service {self._service} has no database, so it cannot handle in transactions")
        return self._database, self._outbox

    async def caught_up(self) -> None:
        """Returns when everything that is followed or handled here has been found no further behind the log than one
        poll brings."""
        asked: list[asyncio.Future[None]] = []
        for consumer in self._consumers:
            asked.append(asyncio.get_running_loop().create_future())
            self._asked.setdefault(consumer, []).append(asked[-1])
        await asyncio.gather(*asked)

    async def _tell_level(self, consumer: Consumer, taken: int) -> None:
        """Between two polls: only then may a consumer be asked."""
        if consumer in self._asked and await consumer.lag() <= max(taken, _AT_ONCE):
            for asked in self._asked.pop(consumer):
                if not asked.done():
                    asked.set_result(None)

    # -- following ---------------------------------------------------------------------------------------------

    async def follow(
        self, topics: Sequence[str], follower: Follower, *, after: Mapping[tuple[str, int], Position] | None = None
    ) -> None:
        consumer = await self._log.consumer(topics, group=None, member=self._member, start="newest")
        self._consumers.append(consumer)
        for (topic, partition), position in (after or {}).items():
            if topic in topics:
                await consumer.seek(topic, partition, position)
        self._background(f"follow {','.join(topics)}", self._follow(consumer, follower))

    async def replay(self, topics: Sequence[str], follower: Follower) -> None:
        consumer = await self._log.consumer(topics, group=None, member=self._member, start="oldest")
        self._consumers.append(consumer)
        waiting = dict(await consumer.end_positions())
        while waiting:
            records = await self._poll(consumer, 0.1)
            self._hand_over(records, follower)
            for record in records:
                end = waiting.get((record.topic, record.partition))
                if end is not None and record.position >= end:
                    del waiting[record.topic, record.partition]
            if not records and not await consumer.lag():  # what is left was compacted away since
                break
        self._background(f"replay {','.join(topics)}", self._follow(consumer, follower))

    async def _follow(self, consumer: Consumer, follower: Follower) -> None:
        patience = self._patience("following")
        while True:
            try:
                records = await self._poll(consumer)
                for start in range(0, len(records), _AT_ONCE):
                    if start:
                        await asyncio.sleep(0)
                    self._hand_over(records[start : start + _AT_ONCE], follower)
                await self._tell_level(consumer, len(records))
            except Retryable as error:
                await patience.wait(error)
            else:
                patience.over()
                await asyncio.sleep(0)

    def _patience(self, what: str) -> Patience:
        return Patience(self._clock, self._logger, what)

    async def _poll(self, consumer: Consumer, timeout_s: float = 1.0) -> list[Record]:
        """What comes next. A damaged place in the log is told and counted once; reading goes on behind it."""
        try:
            return await consumer.poll(timeout_s=timeout_s)
        except LogCorrupt as error:
            self._logger.error("part of the log is damaged", code=error.code, detail=error.detail)
            self._metrics.count("events_dead_total", 1, self._service, "log", error.code)
            return []

    def _hand_over(self, records: Sequence[Record], follower: Follower) -> None:
        events = [event for event in map(self._event, records) if event is not None]
        if not events:
            return
        try:
            follower(events)
        except Exception:
            self._logger.exception("follower failed", topic=events[0].topic, events=len(events))
            self._metrics.count("events_dead_total", len(events), self._service, events[0].topic, "FOLLOWER_FAILED")
        else:
            self._metrics.count("events_consumed_total", len(events), self._service, events[0].topic)

    def _event(self, record: Record) -> Event | None:
        """None for a deletion marker and for what cannot be read (logged and counted)."""
        if record.value is None:
            return None
        try:
            envelope = codec.decode_envelope(record.header)
            message = codec.decode(envelope.type, record.value)
        except CandlewickError as error:
            self._logger.warning("unreadable event", topic=record.topic, code=error.code, detail=error.detail)
            self._metrics.count("events_dead_total", 1, self._service, record.topic, error.code)
            return None
        return Event(record.topic, record.partition, record.position, envelope, message, record.ts_append)

    # -- handling ----------------------------------------------------------------------------------------------

    async def handle(self, topics: Sequence[str], handler: TransactionalHandler) -> None:
        database, _ = self._owned()
        inbox = _Inbox(self, database)
        consumer = await self._log.consumer(
            topics, group=f"{self._service}:{'+'.join(topics)}", member=self._member, on_assignment=inbox
        )
        inbox.consumer = consumer
        self._consumers.append(consumer)
        self._background(f"handle {','.join(topics)}", self._handle(consumer, handler))

    async def _handle(self, consumer: Consumer, handler: TransactionalHandler) -> None:
        patience = self._patience("handling events")
        while True:
            try:
                records = await self._poll(consumer)
                if records:
                    await self._process(records, handler, patience)
                    newest = {(r.topic, r.partition): r.position for r in records}
                    await consumer.commit(newest)
                await self._tell_level(consumer, len(records))
            except Retryable as error:
                # What was handled stands in the inbox, so a position that could not be committed costs nothing.
                await patience.wait(error)
            else:
                patience.over()

    async def _process(self, records: Sequence[Record], handler: TransactionalHandler, patience: Patience) -> None:
        """One transaction for all; on failure halves, until the poison record stands alone."""
        while True:
            try:
                await self._transact(records, handler)
            except Retryable as error:
                await patience.wait(error)
            except Exception as error:
                if len(records) == 1:
                    await self._bury(records[0], error, patience)
                    return
                middle = len(records) // 2
                await self._process(records[:middle], handler, patience)
                await self._process(records[middle:], handler, patience)
                return
            else:
                return

    async def _transact(self, records: Sequence[Record], handler: TransactionalHandler) -> None:
        database, outbox = self._owned()
        async with database.transaction() as tx:
            unit = outbox.unit(tx)
            for record in records:
                if record.value is None:
                    continue
                envelope = codec.decode_envelope(record.header)
                if await self._is_seen(tx, record, envelope):
                    self._metrics.count("events_duplicate_total", 1, self._service, record.topic)
                    continue
                message = codec.decode(envelope.type, record.value)
                event = Event(record.topic, record.partition, record.position, envelope, message, record.ts_append)
                identity = (envelope.correlation_id or envelope.id).hex
                with correlated(identity), self._tracer.span(f"handle {record.topic}", service=self._service):
                    await handler(event, unit)
            await unit.write()
            await self._advance(tx, records)
        outbox.wake()
        for topic in {r.topic for r in records}:
            self._metrics.count("events_consumed_total", sum(r.topic == topic for r in records), self._service, topic)

    async def _is_seen(self, tx: Transaction, record: Record, envelope: Envelope) -> bool:
        """Below the partition's position, or at or below the producer's high-water mark [14]; moves the mark."""
        row = await tx.fetch_one(
            "SELECT epoch, log_offset FROM inbox_position WHERE topic = :topic AND part = :part",
            {"topic": record.topic, "part": record.partition},
        )
        if row is not None and record.position <= Position(row[0], row[1]):
            return True
        if envelope.sequence == 0:
            return False
        place: dict[str, Value] = {"producer": envelope.producer, "topic": record.topic, "part": record.partition}
        mark = await tx.fetch_one(
            "SELECT sequence FROM inbox_sequence WHERE producer = :producer AND topic = :topic AND part = :part", place
        )
        if mark is not None and envelope.sequence <= mark[0]:
            return True
        await tx.execute(
            "INSERT INTO inbox_sequence (producer, topic, part, sequence) VALUES (:producer, :topic, :part, :sequence) "
            "ON CONFLICT (producer, topic, part) DO UPDATE SET sequence = excluded.sequence",
            {**place, "sequence": envelope.sequence},
        )
        return False

    async def _advance(self, tx: Transaction, records: Sequence[Record]) -> None:
        newest = {(r.topic, r.partition): r.position for r in records}
        for (topic, partition), position in newest.items():
            await tx.execute(
                "INSERT INTO inbox_position (topic, part, epoch, log_offset) VALUES (:topic, :part, :epoch, :offset) "
                "ON CONFLICT (topic, part) DO UPDATE SET epoch = excluded.epoch, log_offset = excluded.log_offset",
                {"topic": topic, "part": partition, "epoch": position.epoch, "offset": position.offset},
            )

    async def _bury(self, record: Record, fault: Exception, patience: Patience) -> None:
        """Put a record that cannot be handled among the dead letters, with its reason, and go on behind it."""
        code = fault.code if isinstance(fault, CandlewickError) else "HANDLER_FAILED"
        self._logger.error(
            "event goes to the dead letters",
            topic=record.topic,
            code=code,
            detail=str(fault),
            exc_info=None if isinstance(fault, CandlewickError) else fault,
        )
        database, outbox = self._owned()
        while True:
            try:
                async with database.transaction() as tx:
                    unit = outbox.unit(tx)
                    unit.emit_raw(topics.dead_letters(record.topic), record, code=code, detail=str(fault))
                    await unit.write()
                    await self._advance(tx, [record])
            except Retryable as error:
                await patience.wait(error)
            else:
                break
        outbox.wake()
        self._metrics.count("events_dead_total", 1, self._service, record.topic, code)


class _Inbox:
    """Goes on behind what the service's own database says it has, whatever the group's position is [14]."""

    def __init__(self, owner: LogMessaging, database: Database) -> None:
        self._owner, self._database = owner, database
        self.consumer: Consumer | None = None

    async def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        async with self._database.reading() as tx:
            rows = await tx.fetch("SELECT topic, part, epoch, log_offset FROM inbox_position")
        known = {(topic, part): Position(epoch, offset) for topic, part, epoch, offset in rows}
        if self.consumer is None:
            return
        for topic, partition in partitions:
            if (topic, partition) in known:
                await self.consumer.seek(topic, partition, known[topic, partition])

    async def revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Nothing to do: every batch is committed before the next poll."""

    async def lost(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Nothing in hand: every batch is committed before the next poll."""
