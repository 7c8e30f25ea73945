"""The outbox: facts written in the same transaction as the change they tell of, relayed to the log in order [14]."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from candlewick.contracts import codec, topics
from candlewick.contracts.base import Envelope, Message
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Fenced, Retryable
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.ids import IdSource
from candlewick.kernel.metrics import Metrics
from candlewick.ports.database import Database, Row, Transaction, Value
from candlewick.ports.log import EventLog, NewRecord, OutcomeUnknown, Producer, Record

#: Which numbers were given to messages and to the outbox's rows.
NUMBERS = "outbox_sequence"
TABLES = (
    """CREATE TABLE IF NOT EXISTS outbox (
        id BIGINT PRIMARY KEY, topic TEXT NOT NULL, record_key TEXT NOT NULL, header BYTEA NOT NULL, value BYTEA,
        ts_event BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS outbox_sequence (
        topic TEXT NOT NULL, part INTEGER NOT NULL, sequence BIGINT NOT NULL, PRIMARY KEY (topic, part))""",
    # Rows of the outbox are numbered on from the newest there is, where an older version let the database number them.
    """INSERT INTO outbox_sequence (topic, part, sequence) SELECT '', 0, COALESCE(MAX(id), 0) FROM outbox WHERE true
        ON CONFLICT (topic, part) DO NOTHING""",
)
# Numbers of the outbox's own rows stand under no topic. None is ever given twice: a relay that was held up after it
# sent, and forgets what it sent when another one has long taken over, must not forget newer rows.
_ROWS = ""
_BATCH = 500
_IDLE_S = 0.5
_RETRY_S = 0.2


class Unit:
    """A transaction of the service's database that can also speak."""

    def __init__(self, outbox: "Outbox", tx: Transaction) -> None:
        self._outbox, self._tx = outbox, tx
        self._said: list[tuple[str, str, bytes | None, Envelope]] = []

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        return await self._tx.execute(sql, params)

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        await self._tx.execute_many(sql, params)

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]:
        return await self._tx.fetch(sql, params)

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None:
        return await self._tx.fetch_one(sql, params)

    def emit(self, topic: str, message: Message, *, ts_event: int, cause: Envelope | None = None) -> None:
        envelope = Envelope(
            id=self._outbox.ids.new(),
            type=type(message).__name__,
            ts_event=ts_event,
            ts_recv=self._outbox.clock.now_ns(),
            key=message.key,
            producer=self._outbox.service,
            schema_version=message.VERSION,
            correlation_id=(cause.correlation_id or cause.id) if cause else None,
            causation_id=cause.id if cause else None,
        )
        self._said.append((topic, message.key, codec.encode(message), envelope))

    def emit_raw(self, topic: str, record: Record, *, code: str, detail: str) -> None:
        """The same bytes under another topic; the reason stands in the producer field of the header."""
        header = codec.dead_letter_header(record.header, code=code, detail=detail)
        self._said.append((topic, record.key, record.value, header))

    async def write(self) -> None:
        """Put what was said into the outbox, each partition's sequence without a hole."""
        for topic, key, value, envelope in self._said:
            base = topics.BY_NAME.get(topic)
            part = partition_of(key, base.partitions) if base else 0
            header = codec.encode_envelope(codec.with_sequence(envelope, await self._next(topic, part)))
            await self._tx.execute(
                "INSERT INTO outbox (id, topic, record_key, header, value, ts_event) "
                "VALUES (:id, :topic, :key, :header, :value, :ts_event)",
                {
                    "id": await self._next(_ROWS, 0),
                    "topic": topic,
                    "key": key,
                    "header": header,
                    "value": value,
                    "ts_event": envelope.ts_event,
                },
            )
        self._said.clear()

    async def _next(self, topic: str, part: int) -> int:
        """The next number of a sequence without holes."""
        row = await self._tx.fetch_one(
            "INSERT INTO outbox_sequence (topic, part, sequence) VALUES (:topic, :part, 1) "
            "ON CONFLICT (topic, part) DO UPDATE SET sequence = outbox_sequence.sequence + 1 RETURNING sequence",
            {"topic": topic, "part": part},
        )
        assert row is not None
        return int(row[0])


class Outbox:
    """A service's outbox tables and the relay that empties them: single by a lock in the database, in order, and fenced
    by its transactional id, should it lose the lock without knowing."""

    def __init__(
        self,
        *,
        service: str,
        log: EventLog,
        database: Database,
        clock: Clock,
        ids: IdSource,
        metrics: Metrics,
        logger: Any,
    ) -> None:
        self.service, self.clock, self.ids = service, clock, ids
        self._log, self._database, self._metrics, self._logger = log, database, metrics, logger
        self._woken = asyncio.Event()

    async def open(self) -> None:
        async with self._database.transaction() as tx:
            for statement in TABLES:
                await tx.execute(statement)

    def unit(self, tx: Transaction) -> Unit:
        return Unit(self, tx)

    def wake(self) -> None:
        """Something may have been written."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled: of all processes of the service one at a time, whoever has the turn."""
        while True:
            try:
                async with self._database.alone("relay"):
                    await self._lead()
            except Fenced:
                # The turn was lost with a connection and somebody else has it: nothing of ours got through.
                self._logger.warning("another relay has taken over")
            except (Retryable, OutcomeUnknown) as error:
                # With a new producer the next time: one whose transaction could not be ended can begin no other. What
                # it may have sent is sent again; consumers drop that.
                self._logger.warning("relay waits", code=error.code, detail=error.detail)
            await self.clock.sleep(_RETRY_S)

    async def _lead(self) -> None:
        """Relay for as long as the turn lasts."""
        producer = await self._log.producer(self.service, transactional_id=f"{self.service}.relay")
        try:
            await self._relay_on(producer)
        finally:
            with suppress(CandlewickError):
                await producer.close()

    async def _relay_on(self, producer: Producer) -> None:
        while True:
            self._woken.clear()
            moved = await self.relay(producer)
            if moved < _BATCH:
                # Not wait_for: it swallows a cancellation that comes together with the waking (Python 3.11).
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_S):
                        await self._woken.wait()

    async def relay(self, producer: Producer) -> int:
        """Send the oldest rows, then forget them. A crash between the two sends them again; consumers drop those."""
        async with self._database.reading() as tx:
            rows = await tx.fetch(
                f"SELECT id, topic, record_key, value, header, ts_event FROM outbox ORDER BY id LIMIT {_BATCH}"
            )
        if not rows:
            return 0
        async with producer.transaction() as out:
            out.send([NewRecord(topic, key, value, header, ts) for _, topic, key, value, header, ts in rows])
        async with self._database.transaction() as tx:
            await tx.execute("DELETE FROM outbox WHERE id <= :last", {"last": rows[-1][0]})
        for topic in {row[1] for row in rows}:
            self._metrics.count("events_produced_total", sum(r[1] == topic for r in rows), self.service, topic)
        return len(rows)
