"""Which service answers which path. The longest prefix wins; what no prefix takes is the page's."""

from functools import lru_cache

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
