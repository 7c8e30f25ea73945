"""One round: records in, messages through the operator, records out, all to be committed together."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from candlewick.adapters._sqlite.logfile import Append, LogFile, Row
from candlewick.adapters.stream.sqlite.state import OperatorState, Statement
from candlewick.contracts import codec, topics
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.operators import Operator, Output
from candlewick.kernel.errors import CandlewickError, Corrupt, Fatal, Rejected, Retryable
from candlewick.kernel.ids import derived_id
from candlewick.ports.log import MixedKeys, RecordTooLarge

# Of these topics a round sends only the newest message of a key: who replays fast need not see every step [13].
CONFLATED = frozenset({topics.OPEN_OHLCV.name})
OPERATOR_FAILED = "OPERATOR_FAILED"


class Round(msgspec.Struct):
    """What came of the rows of one round; ``positions`` are filled in by the caller."""

    appends: list[Append]
    statements: list[Statement]
    positions: dict[int, int]
    messages: int
    outputs: int
    dead_letters: int
    counters: Counter[str]
    latest: dict[tuple[str, str], tuple[Row, Envelope, int, Output]]


class Processor:
    """Applies one operator to rows of the log."""

    def __init__(
        self,
        file: LogFile,
        operator: Operator,
        state: OperatorState,
        *,
        producer: str,
        on_step: Callable[[str], None],
    ) -> None:
        self._file = file
        self._operator = operator
        self._state = state
        self._producer = producer
        self._step = on_step

    def process(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> Round:
        """The state moves on in memory as if everything were committed.

        A record that cannot be read or that the operator fails on goes to the dead letters with its reason, and its
        key goes on without it. Raises what is no record's fault: Retryable, and Corrupt or Fatal from the operator.
        """
        done = Round([], [], {}, 0, 0, 0, Counter(), {})
        for row in rows:
            done.messages += 1
            try:
                message = self._decode(row)
            except CandlewickError as error:
                self._bury(done, row, error.code, error.detail)
                continue
            self._step("decoded")
            self._apply(connection, row, message, done)
            self._step("applied")
        for row, envelope, ordinal, output in done.latest.values():
            done.appends.append(self._encode(row, envelope, ordinal, output))
        done.outputs += len(done.latest)
        done.latest = {}
        done.statements = self._state.drain()
        return done

    def _decode(self, row: Row) -> tuple[Envelope, Message]:
        if row.value is None:
            raise Rejected("a record of this topic must hold a message, was a deletion")
        envelope = codec.decode_envelope(row.header)
        message = codec.decode(envelope.type, row.value)
        if message.key != row.key:
            raise MixedKeys(f"a message must hold the key of its record {row.key!r}, was {message.key!r}")
        return envelope, message

    def _apply(self, connection: sqlite3.Connection, row: Row, decoded: tuple[Envelope, Message], done: Round) -> None:
        envelope, message = decoded
        place = (row.log, row.key)
        operator = self._operator
        hot = self._state.hot(connection, place)
        try:
            names = operator.cold_keys(hot, message)
            entries = self._state.cold(connection, place, names) if names else {}
            step = operator.apply(hot, message, entries)
            appends: list[Append] = []
            latest: dict[tuple[str, str], tuple[Row, Envelope, int, Output]] = {}
            for ordinal, output in enumerate(step.outputs):
                if output.topic in CONFLATED:
                    latest[output.topic, row.key] = (row, envelope, ordinal, output)
                else:
                    appends.append(self._encode(row, envelope, ordinal, output))
        except (Corrupt, Fatal, Retryable):
            raise
        except CandlewickError as error:
            self._bury(done, row, error.code, error.detail)
            return
        except Exception as error:  # a fault of the operator on one message must not hold up every other key
            self._bury(done, row, OPERATOR_FAILED, f"{type(error).__name__}: {error}")
            return
        self._state.put(place, step.hot, step.cold)
        done.appends += appends
        done.outputs += len(appends)
        done.latest.update(latest)
        for name, count in step.counters.items():
            done.counters[name] += count
        for letter in step.dead_letters:
            done.dead_letters += 1
            value = codec.encode(letter.message)
            self._send_dead(done, row, letter.code, letter.detail, value)

    def _encode(self, row: Row, envelope: Envelope, ordinal: int, output: Output) -> Append:
        file, operator, message = self._file, self._operator, output.message
        header = codec.encode_envelope(
            Envelope(
                id=derived_id(operator.name, operator.version, ((*file.place(row.log), row.offset),), ordinal),
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
        file.check_size(message.key, header, value)
        return file.number(output.topic, message.key), message.key, header, value

    def _bury(self, done: Round, row: Row, code: str, detail: str) -> None:
        done.dead_letters += 1
        self._send_dead(done, row, code, detail, row.value)

    def _send_dead(self, done: Round, row: Row, code: str, detail: str, value: bytes | None) -> None:
        topic, _ = self._file.place(row.log)
        number = self._file.number(topics.dead_letters(topic), row.key)
        header = codec.encode_envelope(codec.dead_letter_header(row.header, code=code, detail=detail))
        try:
            self._file.check_size(row.key, header, value)
        except RecordTooLarge:
            value = b""  # the reason grew the header beyond the bound; the record itself is still in the log
        done.appends.append((number, row.key, header, value))
