"""Writing records, alone or together with positions."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from candlewick.adapters._kafka.admin import Place
from candlewick.adapters._kafka.errors import UNSETTLED, is_fenced, translated
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.log.kafka.consumer import KafkaConsumer
from candlewick.adapters.log.kafka.writing import Delivery, Room, Writer, failed
from candlewick.kernel.errors import Fenced, Rejected
from candlewick.ports.log import (
    Consumer,
    LogUnavailable,
    NewRecord,
    NotShared,
    OutcomeUnknown,
    Position,
    RecordTooLarge,
    Transaction,
)

Addressed = tuple[str, int, NewRecord]
#: The places inside a commit at which ``on_step`` is called.
STEPS = ("taken", "begun", "produced", "advanced", "committed", "told")


class Killed(LogUnavailable):
    """For tests: ``on_step`` raises it to have the process die there; nothing is aborted or said to anybody."""


class KafkaTransaction:
    """Gathers in memory. The brokers hear of it at the commit only, so that it is open for milliseconds: an open one
    hides whatever is behind it."""

    def __init__(self, addressed: Callable[[Sequence[NewRecord]], list[Addressed]]) -> None:
        self._addressed = addressed
        self.records: list[Addressed] = []
        self.positions: dict[KafkaConsumer, dict[Place, Position]] = {}
        self.is_open = True

    def send(self, records: Sequence[NewRecord]) -> None:
        """Raises RecordTooLarge, UnknownTopic at once; none of ``records`` is in the transaction then."""
        self._ensure_open()
        self.records += self._addressed(records)

    def advance(self, consumer: Consumer, positions: Mapping[Place, Position]) -> None:
        """Raises NotShared for a broadcast consumer, Fenced for partitions it no longer has."""
        self._ensure_open()
        if not isinstance(consumer, KafkaConsumer):
            raise NotShared(f"the consumer must be one of this log, was {type(consumer).__name__!r}")
        consumer.offsets_of(positions)
        self.positions.setdefault(consumer, {}).update(positions)

    def _ensure_open(self) -> None:
        if not self.is_open:
            raise Rejected("the transaction has ended", hint="Begin a new one")


class KafkaProducer:
    """Records in order of the calls to ``send``. The brokers drop what the client sends twice."""

    def __init__(
        self,
        writer: Writer,
        names: Names,
        options: KafkaOptions,
        epochs: Mapping[str, int],
        room: Room,
        *,
        transactional_id: str | None,
        on_step: Callable[[str], None] | None,
    ) -> None:
        self._writer = writer
        self._names = names
        self._options = options
        self._epochs = epochs
        self._room = room
        self.transactional_id = transactional_id
        self._on_step = on_step
        self._fault: BaseException | None = None
        self._is_closed = False
        self._is_in_transaction = False

    async def begin(self) -> None:
        """Fence whoever had the transactional id before, and end what it left open."""
        if self.transactional_id is not None:
            within_s = self._options.send_within_s
            await self._on_thread(lambda: self._begin(within_s))

    def _begin(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while True:
            try:
                self._writer.kafka.init_transactions(max(deadline - time.monotonic(), 0.1))
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise translated(error, "taking the transactional id") from None
            else:
                return

    async def send(self, records: Sequence[NewRecord]) -> list[Position]:
        self._ensure_open()
        addressed = self._addressed(records)
        if not addressed:
            return []
        if self.transactional_id is not None:
            return await self._send_alone(addressed)
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Delivery] = loop.create_future()
        size = _size(addressed)

        def arrived(delivery: Delivery) -> None:
            self._room.leave(size)
            if not result.done():
                result.set_result(delivery)

        def ended(delivery: Delivery) -> None:
            # A loop that has been closed under us has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(arrived, delivery)

        def begin() -> None:
            delivery = Delivery(len(addressed), ended)
            self._writer.run(lambda: self._writer.produce(addressed, delivery))

        await self._room.enter(size, begin)
        return self._kept(addressed, await result)

    def _kept(self, addressed: list[Addressed], delivery: Delivery) -> list[Position]:
        if delivery.error is not None:
            raise failed(delivery.error)
        epochs = self._epochs
        return [
            Position(epochs[topic], offset) for (topic, _, _), offset in zip(addressed, delivery.offsets, strict=True)
        ]

    async def _send_alone(self, addressed: list[Addressed]) -> list[Position]:
        with self._turn():
            return self._kept(addressed, await self._commit(addressed, {}))

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        self._ensure_open()
        if self.transactional_id is None:
            raise Rejected("the producer has no transactional id", hint="Make it with transactional_id")
        transaction = KafkaTransaction(self._addressed)
        with self._turn():
            try:
                yield transaction
            finally:
                transaction.is_open = False
            if transaction.records or transaction.positions:
                delivery = await self._commit(transaction.records, transaction.positions)
                if delivery.error is not None:
                    raise failed(delivery.error)

    @contextlib.contextmanager
    def _turn(self) -> Any:
        if self._is_in_transaction:
            raise Rejected(
                "the producer is in a transaction", hint="End it before the next; one producer has one at a time"
            )
        self._is_in_transaction = True
        try:
            yield
        finally:
            self._is_in_transaction = False

    async def close(self) -> None:
        """Waits for what was accepted; of a producer that can begin no transaction any more, for nothing."""
        if not self._is_closed:
            self._is_closed = True
            if self._fault is not None:
                await asyncio.to_thread(self._writer.abandon)
            else:
                await asyncio.to_thread(self._writer.close, self._options.send_within_s)

    async def abandon(self) -> None:
        """Let go as a killed process would. For tests."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.to_thread(self._writer.abandon)

    # -- one transaction, on the feeding thread -----------------------------------------------------------------------

    async def _commit(
        self, records: list[Addressed], positions: Mapping[KafkaConsumer, Mapping[Place, Position]]
    ) -> Delivery:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Delivery] = loop.create_future()
        size = _size(records)

        def arrived(future: Future[Delivery]) -> None:
            self._room.leave(size)
            if result.done():
                return
            error = future.exception()
            if error is None:
                result.set_result(future.result())
            else:
                result.set_exception(error)

        def ended(future: Future[Delivery]) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(arrived, future)

        def begin() -> None:
            self._writer.run(lambda: self._transact(records, positions)).add_done_callback(ended)

        await self._room.enter(size, begin)
        # A commit under way is not undone because nobody waits for it any more.
        return await result

    def _transact(
        self, records: list[Addressed], positions: Mapping[KafkaConsumer, Mapping[Place, Position]]
    ) -> Delivery:
        if self._fault is not None:
            raise self._fault
        kafka = self._writer.kafka
        delivery = Delivery(len(records), lambda _: None)
        try:
            self._step("taken")
            for consumer, places in positions.items():
                consumer.offsets_of(places)
            kafka.begin_transaction()
            self._step("begun")
            self._writer.produce(records, delivery)
            self._step("produced")
            for consumer, places in positions.items():
                self._advance(consumer, consumer.offsets_of(places))
            self._step("advanced")
            self._end(kafka.commit_transaction)
            self._step("committed")
        except Killed as error:
            self._fault = error
            raise
        except BaseException as error:
            raise self._aborted(error, delivery) from error
        self._step("told")
        return delivery

    def _advance(self, consumer: KafkaConsumer, offsets: list[TopicPartition]) -> None:
        within_s = self._options.answer_within_s
        deadline = time.monotonic() + within_s
        while True:
            try:
                self._writer.kafka.send_offsets_to_transaction(offsets, consumer.group_metadata(), within_s)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return

    def _end(self, commit: Callable[[float], None]) -> None:
        deadline = time.monotonic() + self._options.transaction_s
        while True:
            try:
                commit(max(deadline - time.monotonic(), 0.5))
            except KafkaException as error:
                found = error.args[0]
                if found.retriable() and time.monotonic() < deadline:
                    continue
                if found.retriable():
                    # The end was asked for and nobody said whether it came.
                    self._fault = OutcomeUnknown(
                        f"a transaction's end was not confirmed: {found.str()}, was {found.name()!r}",
                        hint="Make the producer anew and go on from the committed positions",
                    )
                    raise self._fault from None
                raise
            else:
                return

    def _aborted(self, error: BaseException, delivery: Delivery) -> BaseException:
        """End a transaction that failed; what its caller is to be told."""
        if error is self._fault:
            return error
        told = translated(error, "the transaction")
        found = error.args[0] if isinstance(error, KafkaException) else None
        if found is not None and found.code() in UNSETTLED:
            told = LogUnavailable(
                f"the group is dividing its partitions, was {found.name()!r}", hint="Poll, then retry"
            )
        if found is not None and found.fatal():
            self._fault = told
            return told
        try:
            self._writer.kafka.abort_transaction(self._options.answer_within_s)
        except KafkaException as failure:
            if is_fenced(failure) or failure.args[0].fatal():
                self._fault = Fenced(f"a newer producer has the id, was {self.transactional_id!r}")
                return self._fault
            if failure.args[0].code() != KafkaError._STATE:
                # The brokers end it at its time-out; until then this client can begin no other.
                self._fault = translated(failure, "ending the transaction")
        if delivery.error is not None and found is not None and not isinstance(told, Fenced):
            return failed(delivery.error)
        return told

    def _step(self, step: str) -> None:
        if self._on_step is not None:
            self._on_step(step)

    # -- small things -------------------------------------------------------------------------------------------------

    def _addressed(self, records: Sequence[NewRecord]) -> list[Addressed]:
        place, bound = self._names.place, self._options.record_bytes
        found = []
        for record in records:
            topic, partition = place(record)
            if (record.value is not None and len(record.value) > bound) or _weight(record) > bound:
                raise RecordTooLarge(f"a record may have {bound} bytes, was {_weight(record)}")
            found.append((topic, partition, record))
        return found

    async def _on_thread(self, job: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(self._writer.run(job))

    def _ensure_open(self) -> None:
        if self._is_closed:
            raise LogUnavailable("the producer is closed")


def _weight(record: NewRecord) -> int:
    return len(record.key) + len(record.header) + (len(record.value) if record.value is not None else 0)


def _size(addressed: Sequence[Addressed]) -> int:
    return sum(_weight(record) for _, _, record in addressed)
