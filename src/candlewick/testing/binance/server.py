"""The fake exchange: Binance's spot REST and combined streams on one loopback port, with faults on demand."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from candlewick.kernel.clock import NS_PER_MS, Clock
from candlewick.testing.binance import socket as ws
from candlewick.testing.binance.market import FakeMarket, FakeSymbol, weight_of


@dataclass
class Faults:
    """What goes wrong from now on. Each switch is read at the moment it matters."""

    rest: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    """Statuses (and headers) of the next REST replies, whatever is asked."""
    handshakes: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    """Statuses of the next WebSocket handshakes."""
    refuse_subscriptions: int = 0
    """So many of the next SUBSCRIBE requests are answered with an error."""
    ignore_subscriptions: int = 0
    """So many are not answered at all."""
    is_silent: bool = False
    """Connections stay open, nothing is sent."""
    silent_symbols: set[str] = field(default_factory=set)
    """No streams of these symbols are sent."""
    is_half_open: bool = False
    """Nothing is read or sent; the peer never learns."""
    is_down: bool = False
    """New connections are dropped at once."""
    delay_s: float = 0.0
    """Every REST reply waits so long."""


class Connection:
    """One client's WebSocket."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.streams: set[str] = set()
        self.requests: list[dict[str, Any]] = []
        self.request_times: list[int] = []
        self.pongs: list[bytes] = []
        self.is_open = True

    def send(self, payload: bytes, kind: int = ws.TEXT) -> None:
        if self.is_open:
            self._writer.write(ws.frame(payload, kind))

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are: half a frame, or none at all."""
        if self.is_open:
            self._writer.write(data)

    def drop(self, payload: bytes | None = None) -> None:
        """Cut the connection, in the middle of a frame when there is a payload."""
        if payload is not None:
            data = ws.frame(payload)
            self.send_raw(data[: max(3, len(data) // 2)])
        self.is_open = False
        self._writer.close()

    def abort(self) -> None:
        self.is_open = False
        self._writer.transport.abort()


class FakeBinance:
    """``market`` holds what is known, ``faults`` what goes wrong; ``trade``, ``depth`` and ``quote`` make news.

    Clients that break Binance's own rules are noted in ``violations`` (more than 5 messages a second, more than 1,024
    streams, requests during a ban). Klines of ``kline_s`` prove life on the streams that ask for them.
    """

    def __init__(self, clock: Clock, *, kline_s: float = 1.0) -> None:
        self.clock = clock
        self.market = FakeMarket()
        self.faults = Faults()
        self.connections: list[Connection] = []
        self.handshakes = 0
        self.asked: Counter[str] = Counter()
        self.used_weight = 0
        self.violations: list[str] = []
        self.banned_until_ns = 0
        self._kline_s = kline_s
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    @property
    def stream_url(self) -> str:
        return self.url.replace("http://", "ws://")

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.start_server(self._client, host, port)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{host}:{port}"
        self._tasks.add(asyncio.create_task(self._klines()))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def now_ms(self) -> int:
        return self.clock.now_ns() // NS_PER_MS

    # News

    def open_connections(self) -> list[Connection]:
        return [c for c in self.connections if c.is_open]

    def publish(self, stream: str, data: dict[str, Any], *, times: int = 1) -> bytes:
        """Send an event to whoever takes the stream; returns the frame."""
        payload = json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()
        for _ in range(times):
            self.send(stream, payload)
        return payload

    def send(self, stream: str, payload: bytes) -> None:
        """A ready frame to whoever takes the stream, unless a fault says otherwise."""
        faults = self.faults
        name = stream.partition("@")[0].upper()
        if faults.is_silent or faults.is_half_open or name in faults.silent_symbols:
            return
        for connection in self.open_connections():
            if stream in connection.streams:
                connection.send(payload)

    def trade(
        self,
        symbol: str,
        price: str,
        size: str = "1",
        *,
        ms: int | None = None,
        buyer_is_maker: bool = False,
        withheld: bool = False,
        times: int = 1,
    ) -> int:
        """A trade happens and is published (``times`` times, or not at all when withheld); returns its id."""
        at = self.now_ms() if ms is None else ms
        event = self.market.symbols[symbol].trade(price, size, at, buyer_is_maker=buyer_is_maker)
        if not withheld:
            self.publish(f"{symbol.lower()}@trade", event, times=times)
        return int(event["t"])

    def depth(
        self, symbol: str, bids: Iterable[tuple[str, str]] = (), asks: Iterable[tuple[str, str]] = (), *,
        withheld: bool = False,
    ) -> int:  # fmt: skip
        """The book moves and the diff is published; returns its update id."""
        event = self.market.symbols[symbol].depth(list(bids), list(asks), self.now_ms())
        if not withheld:
            self.publish(f"{symbol.lower()}@depth@100ms", event)
        return int(event["u"])

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        s: FakeSymbol = self.market.symbols[symbol]
        self.publish(
            f"{symbol.lower()}@bookTicker", {"u": s.update, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1"}
        )

    async def _klines(self) -> None:
        while True:
            streams = {s for c in self.open_connections() for s in c.streams if "@kline_" in s}
            for stream in streams:
                name = stream.partition("@")[0].upper()
                self.publish(stream, {"e": "kline", "E": self.now_ms(), "s": name, "k": {}})
            await asyncio.sleep(self._kline_s)

    # Clients

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.faults.is_down:
                writer.transport.abort()
                return
            while (request := await ws.read_request(reader)) is not None:
                if request.is_upgrade:
                    await self._websocket(request, reader, writer)
                    return
                writer.write(await self._rest(request))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            with suppress(ConnectionError):
                writer.close()

    async def _rest(self, request: ws.Request) -> bytes:
        name = request.path.removeprefix("/api/v3/")
        self.asked[name] += 1
        now = self.clock.now_ns()
        if now < self.banned_until_ns:
            self.violations.append(f"GET {name} during a ban")
            return self._refusal(418, {"Retry-After": str(-(-(self.banned_until_ns - now) // 10**9))})
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        if self.faults.rest:
            refusal = self.faults.rest.popleft()
            if refusal[0] == 418:
                self.banned_until_ns = now + int(refusal[1].get("Retry-After", "60")) * 1_000_000_000
            return self._refusal(*refusal)
        self.used_weight += weight_of(name, request.query)
        status, body = self.market.answer(request.path, request.query, self.now_ms())
        return ws.response(status, json.dumps(body).encode(), {"X-MBX-USED-WEIGHT-1M": str(self.used_weight)})

    @staticmethod
    def _refusal(status: int, headers: dict[str, str]) -> bytes:
        return ws.response(status, json.dumps({"code": -1003, "msg": "refused"}).encode(), headers)

    async def _websocket(self, request: ws.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handshakes += 1
        if self.faults.handshakes:
            status, headers = self.faults.handshakes.popleft()
            writer.write(self._refusal(status, headers | {"Connection": "close"}))
            await writer.drain()
            return
        writer.write(ws.accept(request))
        connection = Connection(writer)
        connection.streams.update(s for s in request.query.get("streams", "").split("/") if s)
        self.connections.append(connection)
        while (got := await ws.read_frame(reader)) is not None:
            if self.faults.is_half_open:
                continue
            kind, payload = got
            self._count(connection)
            if kind == ws.CLOSE:
                break
            if kind == ws.PING:
                connection.send(payload, ws.PONG)
            elif kind == ws.PONG:
                connection.pongs.append(payload)
            else:
                self._control(connection, json.loads(payload))
        connection.is_open = False

    def _count(self, connection: Connection) -> None:
        now = self.clock.now_ns()
        times = connection.request_times
        times.append(now)
        if len(times) > 5 and now - times[-6] < 1_000_000_000:
            self.violations.append("more than 5 messages in a second")

    def _control(self, connection: Connection, request: dict[str, Any]) -> None:
        connection.requests.append(request)
        method, streams = request.get("method"), request.get("params", [])
        number = request.get("id")
        if method == "SUBSCRIBE" and self.faults.refuse_subscriptions > 0:
            self.faults.refuse_subscriptions -= 1
            answer: dict[str, Any] = {"error": {"code": 2, "msg": "Invalid request"}, "id": number}
        elif method == "SUBSCRIBE" and self.faults.ignore_subscriptions > 0:
            self.faults.ignore_subscriptions -= 1
            return
        elif method == "SUBSCRIBE":
            connection.streams.update(streams)
            answer = {"result": None, "id": number}
        elif method == "UNSUBSCRIBE":
            connection.streams.difference_update(streams)
            answer = {"result": None, "id": number}
        elif method == "LIST_SUBSCRIPTIONS":
            answer = {"result": sorted(connection.streams), "id": number}
        else:
            answer = {"error": {"code": 2, "msg": "unknown method"}, "id": number}
        if len(connection.streams) > 1024:
            self.violations.append("more than 1,024 streams on a connection")
        connection.send(json.dumps(answer).encode())
