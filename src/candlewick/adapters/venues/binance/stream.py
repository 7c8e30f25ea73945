"""How Binance's combined stream socket is spoken to.

Limits and messages: binance-spot-api-docs, ``web-socket-streams.md`` (1,024 streams and 5 incoming messages a second a
connection, 24 h, server pings every 3 minutes, 300 connection attempts in 5 minutes).
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from candlewick.adapters.venues._connection.dialect import Answer
from candlewick.adapters.venues.binance.events import SNAPSHOT_STREAM
from candlewick.adapters.venues.binance.parse import BinanceParser
from candlewick.contracts.base import Origin
from candlewick.contracts.market import Instrument

STREAMS = ("trade", "bookTicker", "depth@100ms")
_PROOF_SYMBOL = "BTCUSDT"


class _Reply(msgspec.Struct):
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: Any = msgspec.UNSET
    code: int | None = None


_reply = msgspec.json.Decoder(_Reply).decode


class BinanceDialect:
    """Trades, best quote and book of every symbol; one busy 1 s kline a connection as proof of life."""

    streams_per_symbol = len(STREAMS)

    def __init__(
        self,
        exchange: str,
        stream_url: str,
        depth: Callable[[Instrument], Coroutine[Any, Any, bytes]],
        instruments: Sequence[Instrument],
        *,
        origin: Origin,
        parser_options: dict[str, Any],
    ) -> None:
        self.exchange = exchange
        self.url = f"{stream_url}/stream"
        names = [i.venue_symbol for i in instruments if i.status == "trading"]
        proof = _PROOF_SYMBOL if _PROOF_SYMBOL in names else next(iter(names), None)
        # A kline is sent every second while the symbol trades, also when nothing else moves.
        self.proof_streams: Sequence[str] = (f"{proof.lower()}@kline_1s",) if proof else ()
        self._depth = depth
        self._origin = origin
        self._parser_options = parser_options

    def parser(self) -> BinanceParser:
        parser = BinanceParser([], exchange=self.exchange, origin=self._origin, live=True, **self._parser_options)
        for stream in self.proof_streams:
            parser.add_proof(stream)
        return parser

    def streams(self, instrument: Instrument) -> Sequence[str]:
        return [f"{instrument.venue_symbol.lower()}@{kind}" for kind in STREAMS]

    def subscribe(self, request: int, streams: Sequence[str]) -> bytes:
        return msgspec.json.encode({"method": "SUBSCRIBE", "params": list(streams), "id": request})

    def unsubscribe(self, request: int, streams: Sequence[str]) -> bytes:
        return msgspec.json.encode({"method": "UNSUBSCRIBE", "params": list(streams), "id": request})

    def answer(self, raw: bytes) -> tuple[Answer, int]:
        if raw.startswith(b'{"stream"'):
            return Answer.NONE, 0
        try:
            reply = _reply(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Answer.NONE, 0
        if not isinstance(reply.id, int):
            return Answer.NONE, 0
        if reply.error is not msgspec.UNSET or reply.code is not None:
            return Answer.REFUSED, reply.id
        return (Answer.DONE, reply.id) if reply.result is None else (Answer.NONE, 0)

    async def snapshot(self, instrument: Instrument) -> tuple[bytes, bytes]:
        raw = await self._depth(instrument)
        head = f'{{"stream":"{instrument.venue_symbol.lower()}@{SNAPSHOT_STREAM}","data":'.encode()
        return head + raw + b"}", raw
