"""Quix's application driven from a thread of ours. What it and its neighbours touch of Quix's own is in ``PRIVATE``,
and a test fails when a new version has moved it.

What is changed, and why:
- signal handlers are the process's own, so none are installed;
- before state is restored, no transaction may be open on a changelog (``taking``);
- partitions that were lost take the unfinished commit with them: Quix would commit it once the member is back in the
  group, though another member has done the same messages by then;
- a member that leaves gives its seat up at once, static or not;
- a commit is given up when the brokers have given its transaction up, where Quix would wait for ever;
- positions are on their way while the records are (``committing``);
- a commit comes when there is nothing more to read, not only when its time is up; who lags behind commits the less
  often the longer a commit takes, so that most of the time is work;
- restoring begins and ends at once, and is left out where there is nothing to restore (``restoring``);
- the state's files are let go of, closed or not (``state.Files``).
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from quixstreams import Application, message_context
from quixstreams.kafka import ConnectionConfig
from quixstreams.models import TopicConfig
from quixstreams.sinks import BaseSink
from quixstreams.state.exceptions import ChangelogTopicPartitionNotAssigned
from quixstreams.state.rocksdb import RocksDBOptions

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.errors import cause, is_fenced
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream.quix import restoring
from candlewick.adapters.stream.quix.changelog import Changelogs
from candlewick.adapters.stream.quix.committing import Overlap
from candlewick.adapters.stream.quix.options import StreamOptions
from candlewick.adapters.stream.quix.state import Files, QuixState
from candlewick.adapters.stream.quix.taking import Taking
from candlewick.kernel.errors import Retryable

PRIVATE: Final[Mapping[str, tuple[str, ...]]] = {
    "quixstreams.Application": (
        "_setup_signal_handlers", "_get_internal_producer", "_on_assign", "_on_lost", "_exception_handler",
        "_consumer", "_failed",
    ),
    "quixstreams.internal_consumer.InternalConsumer": ("_consumer",),
    "quixstreams.internal_producer.InternalProducer": ("_producer",),
    "quixstreams.state.StateStoreManager": ("_recovery_manager",),
    "quixstreams.state.recovery.RecoveryManager": (
        "do_recovery", "_recovery_loop", "_generate_recovery_partitions", "_get_position_with_cache",
        "MAX_INVALID_OFFSET_ATTEMPTS",
    ),
    "quixstreams.state.recovery.RecoveryPartition": ("offset", "_changelog_highwater"),
    "quixstreams.state.rocksdb.RocksDBStorePartition": ("_db", "_cf_cache", "_cf_handle_cache"),
    "quixstreams.models.TopicManager": ("_internal_name", "_consumer_group"),
}  # fmt: skip

# All that is fatal to a consumer: another one has come with its name.
_SEAT_TAKEN = frozenset({KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID})
_STEP_S = 0.01
_LINGER_S = 0.001
_LEAVE_S = 2.0
# So soon after a commit its marks are still being written: a client that begins another is refused and waits 20 ms
# (librdkafka 2.12.1). What comes meanwhile is taken into it instead.
_MARKS_S = 0.005
# Who lags behind works so many times as long as its last commit took before the next, within a second.
_COMMIT_SHARE = 4
_COMMIT_S_MAX = 1.0

_CHATTER = logging.getLogger("quixstreams")
# What goes wrong is told by the error that ends the engine; a trace on standard error is nobody's.
_CHATTER.addHandler(logging.NullHandler())
_CHATTER.propagate = False


class PartitionsLost(Retryable):
    """The member was silent for so long that others have its partitions."""

    code = "PARTITIONS_LOST"


class Work(Protocol):
    """What the engine calls, all on its thread."""

    def take(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: object,
        value: bytes | None,
        headers: object,
        state: QuixState,
    ) -> None:
        """One message, its topic by the brokers' name."""
        ...

    def ending(self, produce: Callable[..., None]) -> None:
        """A commit begins: what is to be in it is produced now."""
        ...

    def asked(self) -> None:
        """The brokers are to take it all or nothing, until ``answered``."""
        ...

    def ended(self) -> None:
        """All of it is with the brokers; only the end of the transaction is missing, yes or no."""
        ...

    def answered(self) -> None: ...

    def committed(self) -> None: ...

    def expired(self, places: Sequence[tuple[str, int]]) -> None:
        """In these partitions the group's position has left by retention; it goes on at the oldest kept."""
        ...

    def looked(self, behind: Callable[[], int]) -> None:
        """Once a turn; ``behind()`` says how many records the own partitions hold that were not read."""
        ...

    def read_failed(self, error: Exception) -> bool:
        """Whether reading goes on past it."""
        ...


class Engine(Application):
    """One life, from ``run`` to ``stop`` or its first error. Names are the brokers' own."""

    def __init__(
        self,
        work: Work,
        *,
        brokers: str,
        admin: Admin,
        kafka: KafkaOptions,
        stream: StreamOptions,
        group: str,
        member: str,
        state_dir: str,
        topics: Sequence[str],
        known: dict[str, TopicConfig],
    ) -> None:
        """``known``: what engines before it were told of topics. Raises what the brokers' refusal or silence raises."""
        self._work = work
        self._commit_within_s = kafka.transaction_s
        self._verdict_s = 2 * kafka.heartbeat_s + 0.5
        self.seat_is_taken = self._is_left = False
        #: What was raised inside the client's poll; where another callback follows, the client forgets it.
        self.broken: Exception | None = None
        reading = kafka.reading(brokers, "stream", group.removeprefix(kafka.prefix), member)
        writing = kafka.writing(brokers, "stream", f"{group.removeprefix(kafka.prefix)}.{member}")
        for settings in (reading, writing):
            settings.pop("bootstrap.servers")
            settings.pop("logger", None)
        # Partitions that go on wait for the fetch that is under way.
        reading["fetch.wait.max.ms"] = 50
        super().__init__(
            broker_address=ConnectionConfig(bootstrap_servers=brokers),
            consumer_group=group,
            auto_offset_reset="earliest",
            commit_interval=stream.commit_s,
            commit_every=stream.commit_messages,
            consumer_extra_config=reading,
            producer_extra_config=writing,
            state_dir=state_dir,
            rocksdb_options=RocksDBOptions(
                write_buffer_size=stream.write_buffer_bytes,
                max_write_buffer_number=2,
                block_cache_size=stream.block_cache_bytes,
                max_total_wal_size=4 * stream.write_buffer_bytes,
                open_max_retries=5,
                open_retry_backoff=0.5,
            ),
            on_consumer_error=lambda error, message, logger: self._read_failed(error),
            on_processing_error=lambda error, row, logger: False,
            on_producer_error=lambda error, row, logger: False,
            consumer_poll_timeout=stream.poll_s,
            loglevel=None,
            auto_create_topics=False,
            auto_recover_from_source_offset_out_of_range=False,
            topic_manager=Changelogs(admin, brokers, group, kafka, stream, known),
            request_timeout=kafka.answer_within_s,
            processing_guarantee="exactly-once",
            # The client finds its brokers again by itself; silence is told by the calls that fail.
            broker_availability_timeout=0,
        )
        self._inputs = frozenset(topics)
        for name in topics:
            frame = self.dataframe(self.topic(name, value_deserializer="bytes", key_deserializer="bytes"))
            frame.update(self._message, stateful=True, metadata=True)
            context = frame.processing_context
        self._files = Files(context.state_manager)
        context.sink_manager.register(_Ending(self._ending))
        self._commit_s, self._commit_began, self._commit_ended = stream.commit_s, 0.0, 0.0
        self._context = context
        context.dataframe_registry.register_periodic_task(self._turn)
        self._is_in_hand = self._is_taken_now = False
        self._poll = self._consumer.poll
        self._consumer.poll = self._paced_poll  # type: ignore[method-assign]
        restoring.hasten(context.state_manager._recovery_manager, self._consumer, self._inputs)
        patience_s = kafka.transaction_s + kafka.answer_within_s
        self._taking = Taking(admin, self._consumer, self._inputs, patience_s, work.expired)

    def release(self) -> None:
        """Let go of the files: after ``run``, however it ended, or in the middle of it, when another takes the seat."""
        self._is_left = True
        self._files.release()

    # -- one turn: a poll, its message, a commit when it is time ------------------------------------------------------

    def _paced_poll(self, timeout: float | None = None) -> Any:
        """Nobody waits for more while something is in hand, nor for a whole second while state is restored."""
        if self._context.state_manager.recovery_required:
            timeout = restoring.POLL_S
        elif self._is_in_hand:
            timeout = _LINGER_S
        return self._poll(timeout)

    def _turn(self) -> None:
        """Quix commits by time and count alone: a replay wants large commits, a live feed early ones. So all that is
        there goes into one, and it is committed as soon as there is nothing more."""
        self._work.looked(self._behind)
        is_free = time.monotonic() - self._commit_ended > _MARKS_S
        if self._is_in_hand and not self._is_taken_now and is_free:
            self._is_in_hand = False
            self._context.commit_checkpoint(force=True)
        self._is_taken_now = False

    def _message(self, value: bytes | None, key: object, timestamp: int, headers: object, state: QuixState) -> None:
        self._is_in_hand = self._is_taken_now = True
        where = message_context()
        self._work.take(where.topic, where.partition, where.offset, key, value, headers, state)

    def _read_failed(self, error: Exception) -> bool:
        """Whether reading goes on past it."""
        found = cause(bare(error))
        if found is not None and found.code() in _SEAT_TAKEN:
            self.seat_is_taken = True
            return False
        return self._work.read_failed(error)

    def _ending(self) -> None:
        self._commit_began = time.monotonic()
        self._overlap.begin()
        self._work.ending(self._context.producer.produce)

    def _behind(self) -> int:
        client = self._consumer
        own = [place for place in client.assignment() if place.topic in self._inputs]
        count = 0
        for place in client.position(own) if own else ():
            low, high = client.get_watermark_offsets(place, cached=True)
            count += max(high - max(place.offset, low), 0)
        return count

    # -- Quix's own, changed ------------------------------------------------------------------------------------------

    def _setup_signal_handlers(self) -> None:
        pass

    def _get_internal_producer(self, on_error: Any = None, transactional: bool | None = None) -> Any:
        producer: Any = super()._get_internal_producer(on_error=on_error, transactional=transactional)
        if transactional is None:
            self._overlap = Overlap(producer, self._work.ended)
            end = producer.commit_transaction

            def commit(positions: Any, group: Any, timeout: float | None = None) -> None:
                self._work.asked()
                self._is_in_hand = False
                try:
                    end(positions, group, self._commit_within_s if timeout is None else timeout)
                finally:
                    self._work.answered()
                self._work.committed()
                self._commit_ended = time.monotonic()
                took = self._commit_ended - self._commit_began
                self._context.commit_interval = min(max(self._commit_s, _COMMIT_SHARE * took), _COMMIT_S_MAX)

            producer.commit_transaction = commit
        return producer

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        try:
            with self._taking.begun(partitions):
                super()._on_assign(consumer, partitions)
        except Exception as error:
            self.broken = error
            raise

    def _on_lost(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        super()._on_lost(consumer, partitions)
        if not self._failed:
            self.broken = PartitionsLost(f"{len(partitions)} partitions are another member's now")
            raise self.broken

    def _exception_handler(self, kind: Any, error: Any, trace: Any) -> Any:
        done = super()._exception_handler(kind, error, trace)  # type: ignore[no-untyped-call]
        if self._is_left:
            # Whoever polls again under a name that another has taken takes it back.
            return done
        client = self._consumer._consumer
        # A static member that comes again has what it had before; one whose share was made up by somebody who had not
        # heard yet of all partitions must leave to be given another.
        if error is None or isinstance(bare(error), ChangelogTopicPartitionNotAssigned):
            self._leave(client)
        elif is_fenced(bare(error)):
            self.seat_is_taken = self.seat_is_taken or self._is_taken(client)
        return done

    def _leave(self, client: Any) -> None:
        # A static member that closes keeps its seat until its time-out; one that unsubscribes gives it up.
        with contextlib.suppress(KafkaException):
            client.unsubscribe()
            deadline = time.monotonic() + _LEAVE_S
            while client.memberid() and time.monotonic() < deadline:
                client.poll(_STEP_S)

    def _is_taken(self, client: Any) -> bool:
        """Fenced by another process of the same name, or only by a time-out that passed? The group knows."""
        deadline = time.monotonic() + self._verdict_s
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                message = client.poll(_STEP_S)
                if message is not None and message.error() is not None and message.error().code() in _SEAT_TAKEN:
                    return True
        return False


class _Ending(BaseSink):
    """Quix flushes its sinks first thing in every commit: the place where a round ends."""

    def __init__(self, ending: Callable[[], None]) -> None:
        super().__init__()
        self._end = ending

    def add(self, *_: Any, **__: Any) -> None:
        raise AssertionError("nothing is sent to this sink")

    def flush(self) -> None:
        self._end()


def bare(error: BaseException) -> BaseException:
    """What lies under Quix's own exceptions."""
    while cause(error) is None:
        inner: object = getattr(error, "error", None)
        if isinstance(inner, KafkaError):
            error = KafkaException(inner)
            break
        if error.__cause__ is None:
            return error
        error = error.__cause__
    return error
