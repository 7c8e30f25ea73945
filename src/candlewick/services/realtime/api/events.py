"""Any event again: by cursor straight from the log, by id through an index of recent fact events [10]."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from candlewick.contracts import codec
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.log import EventLog, Position, Record
from candlewick.ports.runtime import Event
from candlewick.services.realtime.domain import Cursor, parse_cursor
from candlewick.services.realtime.errors import EventNotFound

_INDEXED = 200_000
_ROWS = 500


class EventView(msgspec.Struct, frozen=True):
    """One event: its envelope, where it stands, and its message (arrays as lists, 500 items at most)."""

    id: str
    cursor: str
    type: str
    key: str
    producer: str
    ts_event: int
    ts_recv: int
    ts_append: int
    correlation_id: str | None
    causation_id: str | None
    message: dict[str, Any]


class EventPage(msgspec.Struct, frozen=True):
    """Events of one partition, oldest first; ``next`` is the cursor to go on behind, None at the end."""

    events: list[EventView]
    next: str | None


class EventReader:
    """Looks events up. The id index is memory over the fact topics, filled by a follower from start on."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._index: OrderedDict[UUID, Cursor] = OrderedDict()

    def on_events(self, events: Sequence[Event]) -> None:
        """Follower of the fact topics."""
        for event in events:
            self._index[event.envelope.id] = Cursor(event.topic, event.partition, event.position)
        while len(self._index) > _INDEXED:
            self._index.popitem(last=False)

    async def read(self, place: str, limit: int) -> EventPage:
        """Raises EventNotFound, BadCursor."""
        cursor = self._place(place)
        before = Position(cursor.position.epoch, cursor.position.offset - 1)
        try:
            records = await self._log.read_at(cursor.topic, cursor.partition, before, limit + 1)
        except CandlewickError as error:
            raise EventNotFound(f"no event is there, was {place[:120]!r}") from error
        if not records or records[0].position != cursor.position:
            raise EventNotFound(f"no event is there, or it has left the log, was {place[:120]!r}")
        views = [_view(record, cursor.row if i == 0 else None) for i, record in enumerate(records[:limit])]
        more = records[limit:]
        following = Cursor(more[0].topic, more[0].partition, more[0].position).text() if more else None
        return EventPage(views, following)

    def _place(self, place: str) -> Cursor:
        try:
            identity = UUID(place)
        except ValueError:
            return parse_cursor(place)
        cursor = self._index.get(identity)
        if cursor is None:
            raise EventNotFound(f"no recent event has this id, was {place!r}")
        return cursor


def _view(record: Record, row: int | None) -> EventView:
    envelope = codec.decode_envelope(record.header)
    message = {} if record.value is None else _plain(codec.decode(envelope.type, record.value), row)
    return EventView(
        str(envelope.id),
        Cursor(record.topic, record.partition, record.position, row).text(),
        envelope.type,
        envelope.key,
        envelope.producer,
        envelope.ts_event,
        envelope.ts_recv,
        record.ts_append,
        str(envelope.correlation_id) if envelope.correlation_id else None,
        str(envelope.causation_id) if envelope.causation_id else None,
        message,
    )


def _plain(value: Any, row: int | None) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name), row) for name in value.__struct_fields__}
    if isinstance(value, np.ndarray):
        return value[row : row + 1].tolist() if row is not None else value[:_ROWS].tolist()
    return value
