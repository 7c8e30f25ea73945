"""One round on the SQLite log: rows in, messages through the operator, records out, all to be committed together."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from candlewick.adapters._sqlite.logfile import Append, LogFile, Row
from candlewick.adapters.stream import _messages
from candlewick.adapters.stream.sqlite.state import OperatorState, Place, Statement
from candlewick.contracts.operators import Operator


class Round(msgspec.Struct):
    """What came of the rows of one round; ``positions`` are filled in by the caller."""

    appends: list[Append]
    statements: list[Statement]
    positions: dict[int, int]
    messages: int
    outputs: int
    dead_letters: int
    counters: Counter[str]


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
        self._state = state
        self._messages = _messages.Processor(operator, producer=producer, check_size=file.check_size, on_step=on_step)

    def process(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> Round:
        """The state moves on in memory as if everything were committed. Raises what ``_messages.Processor`` does."""
        done = _messages.Round()
        state, place_of = self._state, self._file.place
        for row in rows:
            topic, partition = place_of(row.log)
            record = _messages.Input(topic, partition, row.offset, row.key, row.header, row.value)
            self._messages.take(record, _Key(state, connection, (row.log, row.key)), done)
        self._messages.finish(done)
        number = self._file.number
        return Round(
            appends=[(number(one.topic, one.key), one.key, one.header, one.value) for one in done.outgoing],
            statements=state.drain(),
            positions={},
            messages=done.messages,
            outputs=done.outputs,
            dead_letters=done.dead_letters,
            counters=done.counters,
        )


class _Key:
    """One key's state, read through an open connection."""

    __slots__ = ("_connection", "_place", "_state")

    def __init__(self, state: OperatorState, connection: sqlite3.Connection, place: Place) -> None:
        self._state, self._connection, self._place = state, connection, place

    def hot(self) -> bytes | None:
        return self._state.hot(self._connection, self._place)

    def cold(self, names: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        return self._state.cold(self._connection, self._place, names)

    def put(self, hot: bytes, cold: Mapping[bytes, bytes | None]) -> None:
        self._state.put(self._place, hot, cold)
