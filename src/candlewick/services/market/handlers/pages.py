"""A page of candles: what is asked, what is found, and where the next one goes on."""

import base64
from collections.abc import Mapping

import msgspec

from candlewick.ports.log import Position
from candlewick.quant.windows.symbol import Rows
from candlewick.services.market.domain.state import Place
from candlewick.services.market.errors import BadQuery

LATEST_MS = (1 << 42) - 1  # in 2109; what comes later does not fit an int64 of nanoseconds with room to add


class Page(msgspec.Struct, frozen=True):
    """What a reader asked for; times in ms, ``end`` exclusive."""

    exchange: str
    symbol: str
    seconds: int
    start: int | None
    end: int | None
    limit: int
    as_of: int | None = None


class Found(msgspec.Struct, frozen=True):
    """A page of candles: final rows oldest first, JSON of each, the open ones if they belong, the next cursor; and the
    log positions that it includes [13]."""

    rows: Rows
    encoded: list[bytes]
    open_rows: Rows | None
    next: str | None
    at: Mapping[Place, Position]


def fitted(page: Page, found: Found) -> Found:
    """At most ``limit`` candles, open ones counted: a page of the newest gives up its oldest, one from a start on
    leaves the open ones to the next page."""
    if found.open_rows is None:
        return found
    final, waiting = len(found.rows["open"]), len(found.open_rows["open"])
    excess = final + waiting - page.limit
    if excess <= 0:
        return found
    if page.start is not None:
        kept = waiting - excess
        following = cursor_of("from", int(found.open_rows["open_time_ms"][kept]))
        open_rows = _cut(found.open_rows, 0, kept) if kept else None
        return Found(found.rows, found.encoded, open_rows, following, found.at)
    dropped = min(excess, final)
    rows = _cut(found.rows, dropped, final)
    open_rows = _cut(found.open_rows, excess - dropped, waiting)
    oldest = rows if dropped < final else open_rows
    cursor = cursor_of("before", int(oldest["open_time_ms"][0]))
    return Found(rows, found.encoded[dropped:], open_rows, cursor, found.at)


def _cut(rows: Rows, first: int, last: int) -> Rows:
    return {name: array[first:last] for name, array in rows.items()}


def inside(rows: Rows | None, page: Page) -> Rows | None:
    """The open candles that the page asks for."""
    if rows is None:
        return None
    if page.start is None and page.end is None:
        return rows
    times = rows["open_time_ms"]
    wanted = (times >= (page.start or 0)) & (times < (page.end if page.end is not None else 1 << 62))
    return {name: array[wanted] for name, array in rows.items()} if wanted.any() else None


def cursor_of(kind: str, time_ms: int) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{time_ms}".encode()).decode().rstrip("=")


def with_cursor(page: Page, cursor: str) -> Page:
    """The page that a cursor goes on with. Raises BadQuery."""
    try:
        kind, _, text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        time_ms = int(text)
        field = {"before": "end", "from": "start"}[kind]
        if not 0 <= time_ms <= LATEST_MS:
            raise ValueError
    except (ValueError, KeyError):
        raise BadQuery(f"cursor must be the 'next' of an earlier page, was {cursor[:60]!r}") from None
    return msgspec.structs.replace(page, **{field: time_ms})
