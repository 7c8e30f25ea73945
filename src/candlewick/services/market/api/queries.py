"""What a query asks for, and the JSON body of a page of candles."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from candlewick.contracts.timeframes import seconds_of
from candlewick.quant.windows.encoding import encode_row
from candlewick.services.market.errors import BadQuery
from candlewick.services.market.handlers.pages import LATEST_MS, Found, Page, with_cursor

DEFAULT_LIMIT, MAX_LIMIT = 500, 10_000
_LONGEST_TIME = 40
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_encode = msgspec.json.Encoder().encode


def time_ms(text: str, name: str) -> int:
    """An instant in ms, from ms or ISO 8601 (UTC where no offset is given). Raises BadQuery."""
    if len(text) > _LONGEST_TIME:
        raise BadQuery(f"{name} must be at most {_LONGEST_TIME} characters, was {text[:60]!r}")
    try:
        value = int(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadQuery(f"{name} must be ms since 1970 or ISO 8601, was {text[:60]!r}") from None
        value = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if not 0 <= value <= LATEST_MS:
        raise BadQuery(f"{name} must lie between 1970 and 2109, was {text[:60]!r}")
    return value


def page_of(exchange: str, symbol: str, timeframe: str, query: Mapping[str, str]) -> Page:
    """The page that path and query ask for. Raises BadQuery, UnknownTimeframe."""
    for what, name in (("exchange", exchange), ("symbol", symbol)):
        if not _NAME.fullmatch(name):
            raise BadQuery(f"{what} must be 1 to 40 letters, digits, dots and dashes, was {name[:60]!r}")
    limit_text = query.get("limit", str(DEFAULT_LIMIT))
    if not (re.fullmatch("[0-9]{1,9}", limit_text) and 1 <= int(limit_text) <= MAX_LIMIT):
        raise BadQuery(f"limit must be a number from 1 to {MAX_LIMIT}, was {limit_text[:60]!r}")
    times = {name: time_ms(query[name], name) if name in query else None for name in ("start", "end", "as_of")}
    page = Page(exchange, symbol, seconds_of(timeframe), times["start"], times["end"], int(limit_text), times["as_of"])
    if "cursor" in query:
        page = with_cursor(page, query["cursor"])
    if page.start is not None and page.end is not None and page.start >= page.end:
        raise BadQuery(f"start must lie before end, was {page.start} and {page.end}")
    return page


def page_json(page: Page, timeframe: str, found: Found) -> bytes:
    """The body of /ohlcv."""
    rows = found.encoded or [encode_row(found.rows, i) for i in range(len(found.rows["open"]))]
    if found.open_rows is not None:
        rows = [*rows, *(encode_row(found.open_rows, i) for i in range(len(found.open_rows["open"])))]
    head = b'{"exchange":%s,"symbol":%s,"timeframe":%s,"candles":[' % (
        _encode(page.exchange), _encode(page.symbol), _encode(timeframe),
    )  # fmt: skip
    return b'%s%s],"next":%s}' % (head, b",".join(rows), _encode(found.next))
