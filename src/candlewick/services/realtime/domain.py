"""Pure rules of the sockets: messages, resume tokens, and what may be replaced while a client is slow."""

import base64
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from candlewick.ports.log import Position
from candlewick.services.realtime.errors import BadCursor

Kind = Literal["snapshot", "update", "heartbeat", "error"]
_encode = msgspec.json.Encoder().encode


class Cursor(msgspec.Struct, frozen=True):
    """A place in the log: ``topic:partition:epoch.offset``, and a row behind ``#`` for one trade of a batch [10]."""

    topic: str
    partition: int
    position: Position
    row: int | None = None

    def text(self) -> str:
        row = "" if self.row is None else f"#{self.row}"
        return f"{self.topic}:{self.partition}:{self.position.epoch}.{self.position.offset}{row}"


def parse_cursor(text: str) -> Cursor:
    """The cursor that ``Cursor.text`` wrote. Raises BadCursor."""
    body, hash_sign, row = text.partition("#")
    try:
        topic, partition, place = body.rsplit(":", 2)
        epoch, offset = place.split(".")
        return Cursor(topic, int(partition), Position(int(epoch), int(offset)), int(row) if hash_sign else None)
    except ValueError:
        raise BadCursor(f"expected topic:partition:epoch.offset, was {text[:120]!r}") from None


NOTHING_YET = Position(0, -1)
"""Where a partition stands that has no record yet: before the first of any log."""


POSITIONS_HEADER = "x-log-positions"


def positions_of(headers: Mapping[str, str]) -> dict[tuple[str, int], Position]:
    """The log positions that market's reply includes, by topic and partition."""
    rows = msgspec.json.decode(headers.get(POSITIONS_HEADER, "[]"), type=list[tuple[str, int, int, int]])
    return {(topic, partition): Position(epoch, offset) for topic, partition, epoch, offset in rows}


def advanced(cursors: dict[str, Cursor], by: Mapping[str, Cursor]) -> dict[str, Cursor]:
    """The later place of each topic: a token never goes back."""
    merged = dict(cursors)
    for topic, cursor in by.items():
        known = merged.get(topic)
        if known is None or known.partition != cursor.partition or known.position < cursor.position:
            merged[topic] = cursor
    return merged


def token(cursors: dict[str, Cursor]) -> str:
    """One opaque resume token for the places of all topics a socket reads from."""
    text = ",".join(cursor.text() for _, cursor in sorted(cursors.items()))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_token(text: str) -> dict[str, Cursor]:
    """The places behind a token. Raises BadCursor."""
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        raise BadCursor(f"expected a token that a socket gave out, was {text[:120]!r}") from None
    cursors = [parse_cursor(part) for part in plain.split(",") if part]
    return {cursor.topic: cursor for cursor in cursors}


def frame(kind: Kind, identity: str, ts_ms: int, data: bytes) -> bytes:
    """A socket message around data that is JSON already [22]."""
    return b'{"type":"%s","id":%s,"ts":%d,"data":%s}' % (kind.encode(), _encode(identity), ts_ms, data)


def error_data(code: str, detail: str) -> bytes:
    """The data of an error message."""
    return _encode({"code": code, "detail": detail})


class ClientQueue:
    """What waits for one client. Final facts are kept in order; what is conflated is replaced by what is newer [13].

    ``put`` returns False when the client has fallen further behind than ``max_bytes``; from then on nothing more is
    taken, and what waited is let go: the client will be closed and come back with its token.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: list[tuple[bytes, dict[str, Cursor]]] = []
        self._latest: OrderedDict[Any, tuple[bytes, dict[str, Cursor]]] = OrderedDict()
        self._bytes = 0
        self._overflown = False

    def put(self, data: bytes, cursors: dict[str, Cursor], *, conflate: Any = None) -> bool:
        if self._overflown:
            return False
        if conflate is not None:
            self._latest[conflate] = (data, cursors)
            return True
        self._kept.append((data, cursors))
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            self._overflown = True
            self.take()
        return not self._overflown

    def forget(self, conflate: Any) -> None:
        """What waits under this name is out of date."""
        self._latest.pop(conflate, None)

    def take(self) -> list[tuple[bytes, dict[str, Cursor]]]:
        """Everything that waits, kept facts first, then the newest of each conflated thing."""
        taken = [*self._kept, *self._latest.values()]
        self._kept, self._bytes = [], 0
        self._latest = OrderedDict()
        return taken

    def __bool__(self) -> bool:
        return bool(self._kept or self._latest)
