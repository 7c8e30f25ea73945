"""A door before the product that adds symbols: ``python -m benchmarks.web._front PORT PRODUCT``.

The demo market has eight symbols, the design promises a page that is calm under 500 that all move ten times a second.
So the page is visited through this door: what it asks for goes to the product untouched, but the lists of symbols and
tickers have 500 more rows, and the tickers' socket brings a price of each every 100 ms beside the product's own. It
serves the bare page of the chart library too.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SYMBOLS = 500
HZ = 10
_HERE = Path(__file__).resolve().parent
_LIBRARY = _HERE.parents[1] / "web/node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.js"
_NOT_FORWARDED = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive", "host"}
_json = msgspec.json.Encoder()


class Made:
    """Symbols that exist for the page alone; each price takes a step whenever they are all told."""

    def __init__(self, like: dict[str, Any], info: dict[str, Any]) -> None:
        self._draw = random.Random(11)
        self.infos = [{**info, **_name(n), "price_tick": "0.001", "size_step": "0.01"} for n in range(SYMBOLS)]
        self.tickers = [{**like, **_name(n), "last": 1 + n % 90} for n in range(SYMBOLS)]

    def step(self, now_ms: int) -> bytes:
        """A message of the tickers' socket with every symbol in it, as the product words it: without the day's line."""
        for row in self.tickers:
            row["last"] = round(row["last"] * (1 + self._draw.gauss(0, 0.0002)), 3)
            row["change_pct_24h"] = round(self._draw.gauss(0, 2), 3)
            row["ts"] = now_ms
        rows = [{key: value for key, value in row.items() if key != "sparkline"} for row in self.tickers]
        return _json.encode({"type": "update", "id": "", "ts": now_ms, "data": rows})


def _name(number: int) -> dict[str, str]:
    return {"symbol": f"M{number:03}-USDT", "base": f"M{number:03}", "quote": "USDT"}


class Door:
    def __init__(self, product: str) -> None:
        self.product = product
        self.made: Made | None = None

    @asynccontextmanager
    async def life(self, _: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=self.product, timeout=30) as self.client:
            tickers = (await self.client.get("/tickers")).json()["tickers"]
            symbols = (await self.client.get("/symbols")).json()["symbols"]
            self.own = [row["symbol"] for row in symbols]
            self.made = Made(tickers[0], symbols[0])
            yield

    async def http(self, request: Request) -> Response:
        headers = {key: value for key, value in request.headers.items() if key not in _NOT_FORWARDED}
        path = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        reply = await self.client.request(request.method, path, headers=headers)
        body = reply.content
        assert self.made is not None
        if path == "/symbols":
            body = _json.encode({"symbols": reply.json()["symbols"] + self.made.infos})
        elif path == "/tickers":
            page = reply.json()
            body = _json.encode({**page, "tickers": page["tickers"] + self.made.tickers})
        kept = {key: value for key, value in reply.headers.items() if key not in _NOT_FORWARDED}
        return Response(body, reply.status_code, kept)

    async def socket(self, ours: WebSocket) -> None:
        """One socket of the page and its twin at the product; both end together."""
        await ours.accept()
        path = f"{ours.url.path}?{ours.url.query}"
        tickers = ours.url.path == "/ws/tickers"
        if tickers:
            path = f"/ws/tickers?symbols={','.join(self.own)}"
        async with connect(self.product.replace("http", "ws", 1) + path, max_size=None, compression=None) as theirs:

            async def up() -> None:
                while True:
                    await theirs.send(await ours.receive_text())

            async def down() -> None:
                async for message in theirs:
                    await ours.send_text(message if isinstance(message, str) else message.decode())

            tasks = [asyncio.ensure_future(work) for work in ([up(), down()] + ([self._tell(ours)] if tickers else []))]
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            for task in (*done, *rest):
                with suppress(asyncio.CancelledError, WebSocketDisconnect, ConnectionClosed, RuntimeError):
                    await task

    async def _tell(self, ours: WebSocket) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        assert self.made is not None
        while True:
            due += 1 / HZ
            await asyncio.sleep(max(0.0, due - loop.time()))
            await ours.send_text(self.made.step(int(time.time() * 1000)).decode())


def main() -> None:
    door = Door(sys.argv[2])
    routes = [
        Route("/bare", lambda _: FileResponse(_HERE / "bare.html")),
        Route("/bare/library.js", lambda _: FileResponse(_LIBRARY)),
        WebSocketRoute("/{path:path}", door.socket),
        Route("/{path:path}", door.http),
    ]
    app = Starlette(routes=routes, lifespan=door.life)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", ws="websockets-sansio", ws_per_message_deflate=False)


if __name__ == "__main__":
    main()
