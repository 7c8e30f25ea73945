"""Routes of the realtime service."""

import asyncio
import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response, WebSocket

from candlewick.contracts.timeframes import seconds_of
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.openapi import reply
from candlewick.ports.runtime import Context
from candlewick.services.realtime.api.events import EventPage, EventReader
from candlewick.services.realtime.api.socket import CLOSE_BAD_REQUEST, Client
from candlewick.services.realtime.domain import error_data, frame
from candlewick.services.realtime.errors import BadName
from candlewick.services.realtime.handlers import Fanout, Listener
from candlewick.services.realtime.settings import RealtimeSettings

_encode = msgspec.json.Encoder().encode
_NS_PER_MS = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")


def new_router(fanout: Fanout, reader: EventReader, context: Context) -> APIRouter:
    """Sockets and /events."""
    router = APIRouter()
    settings: RealtimeSettings = context.settings

    def listening(channel: str, exchange: str, symbol: str, timeframe: str = "") -> Listener:
        """Raises BadName, UnknownTimeframe."""
        for name in (exchange, symbol):
            if not _NAME.fullmatch(name):
                raise BadName(f"a name is 1 to 40 letters, digits, dots and dashes, was {name[:60]!r}")
        seconds = seconds_of(timeframe) if channel == "ohlcv" else 0
        return Listener(channel, exchange, symbol, seconds, settings.queue_bytes)

    def client(socket: WebSocket, listener: Listener) -> Client:
        return Client(socket, listener, fanout, settings, context.clock, context.metrics)

    async def refuse(socket: WebSocket, error: CandlewickError) -> None:
        await socket.accept()
        now_ms = context.clock.now_ns() // _NS_PER_MS
        await socket.send_text(frame("error", "", now_ms, error_data(error.code, error.detail)).decode())
        await socket.close(CLOSE_BAD_REQUEST, error.code)

    @router.websocket("/ws/ohlcv/{exchange}/{symbol}/{timeframe}")
    async def ohlcv(socket: WebSocket, exchange: str, symbol: str, timeframe: str, after: str | None = None) -> None:
        try:
            listener = listening("ohlcv", exchange, symbol, timeframe)
        except CandlewickError as error:
            await refuse(socket, error)
            return
        await client(socket, listener).serve(after, lambda: fanout.snapshot(listener, settings.snapshot))

    @router.websocket("/ws/trades/{exchange}/{symbol}")
    async def trades(socket: WebSocket, exchange: str, symbol: str, after: str | None = None) -> None:
        try:
            listener = listening("trades", exchange, symbol)
        except CandlewickError as error:
            await refuse(socket, error)
            return
        await client(socket, listener).serve(after, lambda: fanout.latest(listener))

    @router.websocket("/ws/book/{exchange}/{symbol}")
    async def book(socket: WebSocket, exchange: str, symbol: str) -> None:
        try:
            listener = listening("book", exchange, symbol)
        except CandlewickError as error:
            await refuse(socket, error)
            return
        await client(socket, listener).serve(None, lambda: fanout.latest(listener))

    @router.websocket("/ws/tickers")
    async def tickers(socket: WebSocket, symbols: str = "") -> None:
        listener = Listener("tickers", "", symbols, 0, settings.queue_bytes)
        feeder = asyncio.ensure_future(_feed_tickers(fanout, listener, symbols, settings.ticker_interval_ms / 1000))
        try:
            await client(socket, listener).serve(None, lambda: fanout.latest_tickers(symbols))
        finally:
            feeder.cancel()

    @router.get(
        "/events/{place:path}", tags=["events"], **reply(EventPage, "Events, oldest first.", errors=(404, 422, 503))
    )
    async def get_events(
        place: Annotated[str, Path(min_length=1, max_length=200)], limit: Annotated[int, Query(ge=1, le=500)] = 1
    ) -> Response:
        """The event with this id or at this cursor (topic:partition:epoch.offset), and what follows there."""
        return Response(_encode(await reader.read(place, limit)), media_type="application/json")

    return router


async def _feed_tickers(fanout: Fanout, listener: Listener, symbols: str, interval_s: float) -> None:
    """Offer what changed since the last look, without sparklines."""
    sent: dict[tuple[str, str], Any] = {}
    while True:
        await asyncio.sleep(interval_s)
        try:
            tickers = msgspec.json.decode(await fanout.latest_tickers(symbols))
        except CandlewickError:
            continue
        for ticker in tickers:
            del ticker["sparkline"]
            key = (ticker["exchange"], ticker["symbol"])
            if sent.get(key) != ticker:
                sent[key] = ticker
                listener.offer(_encode([ticker]), {}, conflate=key)
