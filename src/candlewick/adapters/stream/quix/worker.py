"""The engine's thread: engines follow each other on it when the brokers or the group ended one."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.errors import KafkaRefused, is_fenced, translated
from candlewick.adapters._kafka.names import HEADER, Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream._messages import Input, Processor, Round
from candlewick.adapters.stream.quix.belonging import Belonging
from candlewick.adapters.stream.quix.options import StreamOptions, changelog_of
from candlewick.adapters.stream.quix.progress import Progress
from candlewick.adapters.stream.quix.state import QuixState, StoredKey
from candlewick.contracts.operators import Operator
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Corrupt, Fatal, Fenced, Retryable, StorageFull
from candlewick.ports.log import LogCorrupt, LogUnavailable, RecordTooLarge
from candlewick.ports.stream import StreamStats, StreamStopped

if TYPE_CHECKING:
    from candlewick.adapters.stream.quix.engine import Engine

T = TypeVar("T")
_RETRY_S = 0.25
_LOOK_S = 0.02
_STOP_S = 0.05
_LAG_EVERY_NS = 1_000_000_000
_ENDED_S = 0.001
# Asked for an answer within the time of a transaction, the client gives it or says no; a second later it never will.
_ANSWER_S = 2.0
_NO_ROOM = "No space left on device"


class InputExpired(Corrupt):
    """Records left by retention before the operator has read them; it goes on at the oldest kept."""

    code = "INPUT_EXPIRED"


class StateUnusable(Fatal):
    """The stored state does not belong to what the brokers have."""

    code = "STATE_UNUSABLE"


class SimulatedCrash(BaseException):
    """``on_step`` raises it to have the process die there: nothing is committed, said or told. For tests."""


class Worker:
    """The engine's thread, from ``start`` to ``stop`` or a failure; engines follow each other on it."""

    def __init__(
        self,
        operator: Operator,
        *,
        brokers: str,
        admin: Admin,
        names: Names,
        options: KafkaOptions,
        stream: StreamOptions,
        group: str,
        member: str,
        state_dir: Path,
        inputs: dict[str, int],
        clock: Clock,
        suffix: str,
        producer: str,
        on_step: Callable[[str], None],
        on_failure: Callable[[BaseException], None],
        on_trouble: Callable[[CandlewickError], None],
        stats: StreamStats,
    ) -> None:
        self.stats = stats
        self._names, self._options, self._clock = names, options, clock
        self._inputs, self._suffix = inputs, suffix
        self._on_step, self._on_failure, self._on_trouble = on_step, on_failure, on_trouble
        self._processor = Processor(operator, producer=producer, check_size=self._check_size, on_step=self._step)
        self._ask: Callable[[], Progress] = lambda: Progress(brokers, admin, options, group, inputs)
        self._settings: dict[str, Any] = {
            "brokers": brokers,
            "admin": admin,
            "kafka": options,
            "stream": stream,
            "group": group,
            "member": member,
            "state_dir": str(state_dir),
            "topics": list(inputs),
            "known": {},
        }
        self._belonging = Belonging(admin, state_dir, [changelog_of(group, topic) for topic in inputs])
        self._member = member
        self._unanswered_ns = int((options.transaction_s + _ANSWER_S) * 1e9)
        self._engine: Engine | None = None
        self._round = Round()
        self._is_ending = False
        self._is_abandoned = False
        self._counted_ns = 0
        self._asked_ns: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"operator-{operator.name}", daemon=True)

    # -- from other threads -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Reach the brokers, then work. Raises what their refusal or silence raises, and StateUnusable."""
        if self._belonging.is_strange():
            where = self._settings["state_dir"]
            raise StateUnusable(
                f"the stored state is of a changelog that was deleted, was in {where!r}",
                hint="When that was meant, delete the folder",
            )
        self._engine = self._new_engine()
        self._belonging.keep()
        self._thread.start()

    def stop(self) -> None:
        """Commit what is in hand and leave; blocks until that is done, or the brokers have been silent for so long that
        they have ended the transaction themselves."""
        self._stop.set()
        deadline = time.monotonic() + self._options.transaction_s + self._options.send_within_s
        while self._thread.is_alive() and not self._is_abandoned and time.monotonic() < deadline:
            # Told again, because an engine that is only beginning forgets it.
            engine = self._engine
            if engine is not None:
                engine.stop()
            self._thread.join(_STOP_S)

    def abandon(self) -> None:
        """Die at the next step."""
        self._is_abandoned = True
        self._stop.set()
        self._thread.join()

    def is_unanswered(self) -> bool:
        """Whether a commit has waited for the brokers' answer for longer than any transaction lives."""
        asked = self._asked_ns
        return asked is not None and self._clock.monotonic_ns() - asked > self._unanswered_ns

    @property
    def is_left(self) -> bool:
        """Whether nobody waits for its thread any more."""
        return self._is_abandoned

    def leave(self) -> None:
        """Let go of the thread where it stands: it waits for what never comes, and another is to have its seat and its
        files. Should it ever go on, it finds itself fenced and ends unheard."""
        self._is_abandoned = True
        self._stop.set()
        if self._engine is not None:
            self._engine.release()

    def wait(self) -> None:
        """Until all that is visible now is done, by whichever member."""
        progress = self._ask()
        try:
            ends = self._patiently(progress.ends)
            while ends := self._patiently(lambda: progress.left(ends)):
                time.sleep(_LOOK_S)
        finally:
            progress.close()
        while self._is_ending and self._thread.is_alive():
            time.sleep(_ENDED_S)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Brokers that do not answer now will later; the operator waits for them too."""
        while True:
            if not self._thread.is_alive() or self._stop.is_set():
                raise StreamStopped("the operator stopped before it had caught up")
            try:
                return ask()
            except LogUnavailable:
                time.sleep(_RETRY_S)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._live()
                except Retryable as error:
                    if self._is_abandoned:
                        break
                    if not self.stats.refusal.startswith(error.code):
                        self._on_trouble(error)
                    self.stats.refusal = f"{error.code}: {error}"
                    self._stop.wait(_RETRY_S)
        except SimulatedCrash:
            pass
        except BaseException as error:
            if not self._is_abandoned:
                self._on_failure(error)
        finally:
            self._is_ending = False

    def _live(self) -> None:
        """One engine to its end. Raises Retryable when the next may do better."""
        self._round = Round()
        self._is_ending = False
        engine = self._engine = self._engine or self._new_engine()
        try:
            engine.run()
        except CandlewickError:
            raise
        except Exception as error:
            raise self._judged(error, engine) from error
        finally:
            self._engine = None
            engine.release()

    def _new_engine(self) -> "Engine":
        from candlewick.adapters.stream.quix.engine import Engine

        try:
            return Engine(self, **self._settings)
        except KafkaException as error:
            raise translated(error, "beginning") from None

    def _judged(self, error: Exception, engine: "Engine") -> BaseException:
        """What an engine's end means: begin again, or stop."""
        from quixstreams.exceptions import PartitionAssignmentError, QuixException
        from quixstreams.state.exceptions import InvalidStoreChangelogOffset

        from candlewick.adapters.stream.quix.engine import bare

        found = bare(error)
        if isinstance(found, SystemError):
            # The client's poll was left by an error and does not know by which.
            found = bare(engine.broken or KafkaException(KafkaError(KafkaError._FAIL)))
        if isinstance(found, CandlewickError):
            return found
        where = self._settings["state_dir"]
        if _NO_ROOM in str(found):
            return StorageFull(f"the disk of the state is full, was {where!r}", hint="Make room; nothing is lost")
        if isinstance(found, InvalidStoreChangelogOffset):
            return StateUnusable(
                f"the stored state is ahead of its changelog, was in {where!r}",
                hint="A changelog was deleted or made anew; when that was meant, delete the folder",
            )
        if engine.seat_is_taken:
            return Fenced(f"another process has taken the seat, was member {self._member!r}")
        if is_fenced(found):
            return LogUnavailable("the transaction or the seat has timed out", hint="It is taken again")
        told = translated(found, "the operator's commit")
        if isinstance(told, KafkaRefused | RecordTooLarge):
            return told
        if isinstance(told, CandlewickError):
            # Whatever the client has lost, a new one begins behind what is committed.
            return LogUnavailable(told.detail)
        if isinstance(found, PartitionAssignmentError | QuixException):
            return LogUnavailable(f"the engine ended: {type(found).__name__}: {found}")
        return found

    # -- called by the engine, on its thread -------------------------------------------------------------------------

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
        if self._is_ending:
            # The commit that had begun was given up, with its partitions: all of it is another member's now.
            self._round, self._is_ending = Round(), False
        self._step("read")
        header = b""
        for name, content in headers or ():  # type: ignore[attr-defined]
            if name == HEADER:
                header = content or b""
        try:
            text = bytes(key or b"").decode()  # type: ignore[call-overload]
        except UnicodeDecodeError:
            text = ""
        if not text:
            self._damaged(f"a record needs a key of text in {topic!r} {partition} at {offset}, was {key!r}")
            return
        record = Input(self._names.here(topic), partition, offset, text, header, value)
        self._processor.take(record, StoredKey(state), self._round)

    def ending(self, produce: Callable[..., None]) -> None:
        self._is_ending = True
        self._processor.finish(self._round)
        for record in self._round.outgoing:
            topic, partition = self._names.place(record)
            produce(topic + self._suffix, record.value, record.key, self._options.headers(record), partition)
        self._step("submitting")

    def asked(self) -> None:
        self._asked_ns = self._clock.monotonic_ns()

    def ended(self) -> None:
        self._step("submitted")

    def answered(self) -> None:
        self._asked_ns = None

    def committed(self) -> None:
        if self._is_abandoned:
            raise SimulatedCrash
        done, self._round = self._round, Round()
        stats = self.stats
        stats.messages += done.messages
        stats.outputs += done.outputs
        stats.dead_letters += done.dead_letters
        stats.commits += 1
        stats.refusal = ""
        stats.counters = dict(Counter(stats.counters) + done.counters)
        self._is_ending = False
        self._step("committed")

    def expired(self, places: Sequence[tuple[str, int]]) -> None:
        self._on_trouble(
            InputExpired(
                f"records left before they were read, was {self._names.here(places[0][0])!r} {places[0][1]} the first "
                f"of {len(places)} partitions",
                hint="Raise the topic's retention above the longest stop",
            )
        )

    def _step(self, step: str) -> None:
        if self._is_abandoned:
            raise SimulatedCrash
        self._on_step(step)

    def looked(self, behind: Callable[[], int]) -> None:
        if self._is_abandoned:
            raise SimulatedCrash
        now = self._clock.monotonic_ns()
        if now - self._counted_ns > _LAG_EVERY_NS:
            self._counted_ns = now
            with contextlib.suppress(KafkaException):
                self.stats.lag = behind()

    def read_failed(self, error: Exception) -> bool:
        problem = getattr(error, "error", None)
        if not isinstance(problem, KafkaError) or problem.fatal() or is_fenced(problem):
            return False
        told = translated(problem, "reading")
        if isinstance(told, LogCorrupt):
            self._damaged(told.detail)
        # Of anything else the client says that it tries again.
        return True

    def _damaged(self, detail: str) -> None:
        """Skipped once and for all: dense trade ids will show what was lost as a gap."""
        self.stats.counters["damaged"] = self.stats.counters.get("damaged", 0) + 1
        self._on_trouble(LogCorrupt(detail))

    def _check_size(self, key: str, header: bytes, value: bytes | None) -> None:
        size = len(key) + len(header) + (len(value) if value is not None else 0)
        if size > self._options.record_bytes:
            raise RecordTooLarge(f"a record may have {self._options.record_bytes} bytes, was {size}")
