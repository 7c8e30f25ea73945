"""Which service answers which path, and which answers may be a little old. The longest prefix wins; what no prefix
takes is the page's."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

import msgspec

ROUTES: tuple[tuple[str, str], ...] = (
    ("/ohlcv", "market"),
    ("/symbols", "market"),
    ("/tickers", "market"),
    ("/book", "market"),
    ("/trades", "market"),
    ("/indicators", "market"),
    ("/api/v1/price", "market"),
    ("/api/v1/ticker", "market"),
    ("/api/v1/ohlcv", "market"),
    ("/api/market", "market"),
    ("/gaps", "history"),
    ("/quality", "history"),
    ("/history", "history"),
    ("/jobs", "history"),
    ("/ws", "realtime"),
    ("/events", "realtime"),
)
SERVICES: tuple[str, ...] = tuple(dict.fromkeys(service for _, service in ROUTES))


@lru_cache(maxsize=4096)
def service_of(path: str) -> str | None:
    """The service that answers a path, None when it is the gateway's own."""
    best = ""
    owner = None
    for prefix, service in ROUTES:
        if len(prefix) > len(best) and (path == prefix or path.startswith(prefix + "/")):
            best, owner = prefix, service
    return owner


class Keeping(msgspec.Struct, frozen=True):
    """How long an answer is fresh, and for how much longer it is given out while a new one is made; seconds."""

    fresh_s: int
    stale_s: int


#: Answers that change slowly and do not depend on who asks. Prices, candles, trades and gaps are never kept: they are
#: as fresh as the log [13].
KEPT: Final[tuple[tuple[str, Keeping], ...]] = (
    ("/quality/{exchange}/{symbol}", Keeping(10, 50)),
    ("/indicators/catalogue", Keeping(60, 600)),
    ("/symbols/{exchange}/listed", Keeping(60, 600)),
)
_PATTERNS: Final = tuple((re.compile(re.sub(r"{\w+}", "[A-Za-z0-9._-]{1,40}", path)), kept) for path, kept in KEPT)
_LONGEST_QUERY: Final = 200


@lru_cache(maxsize=4096)
def keeping_of(path: str) -> Keeping | None:
    """How answers of a path are kept; None for those that are not."""
    return next((kept for pattern, kept in _PATTERNS if pattern.fullmatch(path)), None)


def query_of(text: bytes) -> dict[str, str] | None:
    """The query of a kept answer. None for one that could not be put again as it is, or that nobody has cause to ask:
    too long, a name twice, no UTF-8."""
    if len(text) > _LONGEST_QUERY:
        return None
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        return None
    found = dict(pairs)
    return found if len(found) == len(pairs) else None
