"""``GET /ohlcv`` as a bare ASGI application: the path that charts and programs ask most."""

from typing import Any
from urllib.parse import parse_qs

import msgspec

from candlewick.kernel.logging import correlation_id
from candlewick.kernel.openapi import Problem
from candlewick.services.market.api import tables
from candlewick.services.market.api.queries import page_json, page_of
from candlewick.services.market.domain import POSITIONS_HEADER, header_of
from candlewick.services.market.errors import BadQuery
from candlewick.services.market.handlers.market import Market
from candlewick.services.market.handlers.pages import Found, Page

_JSON = "application/json"
_POSITIONS = POSITIONS_HEADER.encode()
_encode = msgspec.json.Encoder().encode


class HotCandles:
    """Answers from memory where it can, without a framework in between."""

    def __init__(self, market: Market) -> None:
        self._market = market

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            detail = f"candles are read with GET, was {scope['method'][:20]!r}"
            problem = Problem("Method Not Allowed", 405, "METHOD_NOT_ALLOWED", detail, correlation_id())
            await _answer(send, 405, _encode(problem), "application/problem+json", [(b"allow", b"GET")])
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
        found = self._market.from_memory(page) or await self._market.page(page)
        body, media = self._write(query.get("format", "json"), page, timeframe, found)
        extra = [(_POSITIONS, header_of(found.at))]
        await _answer(send, 200, body if scope["method"] == "GET" else b"", media, extra)

    def _write(self, kind: str, page: Page, timeframe: str, found: Found) -> tuple[bytes, str]:
        if kind == "json":
            return page_json(page, timeframe, found), _JSON
        if kind == "csv":
            return tables.csv(found.rows, found.open_rows), "text/csv; charset=utf-8"
        if kind == "arrow":
            return tables.arrow(found.rows, found.open_rows), "application/vnd.apache.arrow.stream"
        raise BadQuery(f"format must be json, csv or arrow, was {kind!r}")


async def _answer(send: Any, status: int, body: bytes, media: str, extra: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
