"""What a runtime does with one message: decode it, have the operator apply it, address what comes out. The same for
every engine, so that a replay on another one gives the same bytes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from candlewick.contracts import codec, topics
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.operators import Operator, Output
from candlewick.kernel.errors import CandlewickError, Corrupt, Fatal, Rejected, Retryable
from candlewick.kernel.ids import derived_id
from candlewick.ports.log import MixedKeys, NewRecord, RecordTooLarge

# Of these topics a round sends only the newest message of a key: who replays fast need not see every step [13].
CONFLATED = frozenset({topics.OPEN_OHLCV.name})
OPERATOR_FAILED = "OPERATOR_FAILED"


class Input(msgspec.Struct, frozen=True, gc=False):
    """One record that was read. ``topic`` is the catalogue's name."""

    topic: str
    partition: int
    offset: int
    key: str
    header: bytes
    value: bytes | None


class KeyState(Protocol):
    """The operator's state of one key of one partition."""

    def hot(self) -> bytes | None:
        """None when the key has none."""
        ...

    def cold(self, names: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        """The entries of these names."""
        ...

    def put(self, hot: bytes, cold: Mapping[bytes, bytes | None]) -> None:
        """What one message did; ``cold`` None deletes the entry."""
        ...


class Round:
    """What came of the messages of one commit."""

    __slots__ = ("_latest", "counters", "dead_letters", "messages", "outgoing", "outputs")

    def __init__(self) -> None:
        self.outgoing: list[NewRecord] = []
        self.messages = 0
        self.outputs = 0
        self.dead_letters = 0
        self.counters: Counter[str] = Counter()
        self._latest: dict[tuple[str, str], tuple[Input, Envelope, int, Output]] = {}

    def hold(self, latest: Mapping[tuple[str, str], tuple[Input, Envelope, int, Output]]) -> None:
        """Outputs of which only the newest of a key is sent."""
        self._latest.update(latest)

    def release(self) -> list[tuple[Input, Envelope, int, Output]]:
        """What was held, once."""
        held = list(self._latest.values())
        self._latest.clear()
        return held


class Processor:
    """Applies one operator to records. ``check_size(key, header, value)`` raises RecordTooLarge."""

    def __init__(
        self,
        operator: Operator,
        *,
        producer: str,
        check_size: Callable[[str, bytes, bytes | None], None],
        on_step: Callable[[str], None],
    ) -> None:
        self._operator = operator
        self._producer = producer
        self._check_size = check_size
        self._step = on_step

    def take(self, record: Input, state: KeyState, done: Round) -> None:
        """One record. The state moves on as if everything were committed.

        A record that cannot be read or that the operator fails on goes to the dead letters with its reason, and its
        key goes on without it. Raises what is no record's fault: Retryable, and Corrupt or Fatal from the operator.
        """
        done.messages += 1
        try:
            decoded = self._decode(record)
        except CandlewickError as error:
            self._bury(done, record, error.code, error.detail)
            return
        self._step("decoded")
        self._apply(record, decoded, state, done)
        self._step("applied")

    def finish(self, done: Round) -> None:
        """The round ends: what was held back for a newer one is sent."""
        for record, envelope, ordinal, output in done.release():
            try:
                done.outgoing.append(self._encode(record, envelope, ordinal, output))
                done.outputs += 1
            except CandlewickError as error:
                self._bury(done, record, error.code, error.detail)

    def _decode(self, record: Input) -> tuple[Envelope, Message]:
        if record.value is None:
            raise Rejected("a record of this topic must hold a message, was a deletion")
        envelope = codec.decode_envelope(record.header)
        message = codec.decode(envelope.type, record.value)
        if message.key != record.key:
            raise MixedKeys(f"a message must hold the key of its record {record.key!r}, was {message.key!r}")
        return envelope, message

    def _apply(self, record: Input, decoded: tuple[Envelope, Message], state: KeyState, done: Round) -> None:
        envelope, message = decoded
        operator = self._operator
        hot = state.hot()
        try:
            names = operator.cold_keys(hot, message)
            entries = state.cold(names) if names else {}
            step = operator.apply(hot, message, entries)
            outgoing: list[NewRecord] = []
            latest: dict[tuple[str, str], tuple[Input, Envelope, int, Output]] = {}
            for ordinal, output in enumerate(step.outputs):
                if output.topic in CONFLATED:
                    latest[output.topic, record.key] = (record, envelope, ordinal, output)
                else:
                    outgoing.append(self._encode(record, envelope, ordinal, output))
        except (Corrupt, Fatal, Retryable):
            raise
        except CandlewickError as error:
            self._bury(done, record, error.code, error.detail)
            return
        except Exception as error:  # a fault of the operator on one message must not hold up every other key
            self._bury(done, record, OPERATOR_FAILED, f"{type(error).__name__}: {error}")
            return
        state.put(step.hot, step.cold)
        done.outgoing += outgoing
        done.outputs += len(outgoing)
        if latest:
            done.hold(latest)
        for name, count in step.counters.items():
            done.counters[name] += count
        for letter in step.dead_letters:
            done.dead_letters += 1
            self._send_dead(done, record, letter.code, letter.detail, codec.encode(letter.message))

    def _encode(self, record: Input, envelope: Envelope, ordinal: int, output: Output) -> NewRecord:
        operator, message = self._operator, output.message
        place = (record.topic, record.partition, record.offset)
        header = codec.encode_envelope(
            Envelope(
                id=derived_id(operator.name, operator.version, (place,), ordinal),
                type=type(message).__name__,
                ts_event=output.ts_event,
                ts_recv=envelope.ts_recv,
                key=message.key,
                producer=self._producer,
                schema_version=type(message).VERSION,
                correlation_id=envelope.correlation_id or envelope.id,
                causation_id=envelope.id,
            )
        )
        value = codec.encode(message)
        self._check_size(message.key, header, value)
        return NewRecord(output.topic, message.key, value, header, output.ts_event)

    def _bury(self, done: Round, record: Input, code: str, detail: str) -> None:
        done.dead_letters += 1
        self._send_dead(done, record, code, detail, record.value)

    def _send_dead(self, done: Round, record: Input, code: str, detail: str, value: bytes | None) -> None:
        dead = codec.dead_letter_header(record.header, code=code, detail=detail)
        header = codec.encode_envelope(dead)
        try:
            self._check_size(record.key, header, value)
        except RecordTooLarge:
            value = b""  # the reason grew the header beyond the bound; the record itself is still in the log
        done.outgoing.append(NewRecord(topics.dead_letters(record.topic), record.key, value, header, dead.ts_event))
