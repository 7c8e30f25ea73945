"""``GET /ohlcv`` as a bare ASGI application: the path that charts and programs ask most."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from candlewick.kernel.logging import correlation_id
from candlewick.kernel.openapi import Problem
from candlewick.ports.log import Position
from candlewick.services.market.api import tables
from candlewick.services.market.api.queries import page_json, page_of
from candlewick.services.market.domain.state import POSITIONS_HEADER, Place, SymbolState, header_of
from candlewick.services.market.errors import BadQuery
from candlewick.services.market.handlers.market import Key, Market
from candlewick.services.market.handlers.pages import Found, Page

_JSON = "application/json"
_POSITIONS = POSITIONS_HEADER.encode()
_encode = msgspec.json.Encoder().encode


_MOST_KEPT, _LARGEST_KEPT = 512, 64 << 10


class _Kept(NamedTuple):
    """An answer, and what it was true of."""

    key: Key
    state: SymbolState
    version: int
    at: Mapping[Place, Position]
    headers: list[tuple[bytes, bytes]]
    body: bytes


class HotCandles:
    """Answers from memory where it can, without a framework in between. What many ask alike is put together once for
    each change of its symbol."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._kept: dict[tuple[str, bytes], _Kept] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            detail = f"candles are read with GET, was {scope['method'][:20]!r}"
            problem = Problem("Method Not Allowed", 405, "METHOD_NOT_ALLOWED", detail, correlation_id())
            body = _encode(problem)
            await _send(send, 405, body, _headers(body, "application/problem+json", [(b"allow", b"GET")]))
            return
        if (ready := self.at_once(scope)) is not None:
            status, headers, body = ready
            await _send(send, status, body if scope["method"] == "GET" else b"", headers)
            return
        parts = scope["path"].split("/")
        if len(parts) != 5:
            raise BadQuery(f"the path must be /ohlcv/exchange/symbol/timeframe, was {scope['path']!r}")
        _, _, exchange, symbol, timeframe = parts
        try:
            query = {k: v[-1] for k, v in parse_qs(scope["query_string"].decode(), keep_blank_values=True).items()}
        except UnicodeDecodeError:
            raise BadQuery("the query must be UTF-8") from None
        page = page_of(exchange, symbol, timeframe, query)
        remembered = self._market.from_memory(page)
        found = remembered or await self._market.page(page)
        body, media = self._write(query.get("format", "json"), page, timeframe, found)
        headers = _headers(body, media, [(_POSITIONS, header_of(found.at))])
        if remembered is not None and len(body) <= _LARGEST_KEPT:
            if len(self._kept) >= _MOST_KEPT:  # questions are whatever people ask: old ones go all at once
                self._kept.clear()
            key = (exchange, symbol)
            state = self._market.states[key]
            self._kept[scope["path"], scope["query_string"]] = _Kept(
                key, state, state.windows.version, found.at, headers, body
            )
        await _send(send, 200, body if scope["method"] == "GET" else b"", headers)

    def at_once(self, scope: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        """The answer that was kept, while it is true."""
        kept = self._kept.get((scope["path"], scope["query_string"]))
        return None if kept is None or not self._is_true(kept) else (200, kept.headers, kept.body)

    def _is_true(self, kept: _Kept) -> bool:
        market = self._market
        return (
            market.states.get(kept.key) is kept.state
            and kept.state.windows.version == kept.version
            and market.places.of(*kept.key) == kept.at
        )

    def _write(self, kind: str, page: Page, timeframe: str, found: Found) -> tuple[bytes, str]:
        if kind == "json":
            return page_json(page, timeframe, found), _JSON
        if kind == "csv":
            return tables.csv(found.rows, found.open_rows), "text/csv; charset=utf-8"
        if kind == "arrow":
            return tables.arrow(found.rows, found.open_rows), "application/vnd.apache.arrow.stream"
        raise BadQuery(f"format must be json, csv or arrow, was {kind!r}")


def _headers(body: bytes, media: str, extra: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode()), *extra]


async def _send(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
