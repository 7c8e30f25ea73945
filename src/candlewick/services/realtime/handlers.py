"""Use cases of the realtime service: who listens to what, what they are sent, how they go on after a break."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np

from candlewick.contracts import codec
from candlewick.contracts.collector import BookUpdated, Side, TradeBatch
from candlewick.contracts.history import CandlesFetched, CandlesRepaired
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.timeframes import NAMES, SECONDS
from candlewick.contracts.topics import BY_NAME, HISTORY_CANDLES, NORMALIZED_OHLCV, OPEN_OHLCV, RAW_MARKET_DATA
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import EventLog, LogCorrupt, Position, Record
from candlewick.ports.runtime import Event, ServiceClient
from candlewick.quant.candles.values import to_arrays
from candlewick.quant.windows.encoding import encode_row
from candlewick.quant.windows.ring import FIELDS
from candlewick.quant.windows.symbol import SymbolWindows
from candlewick.services.realtime.domain import NOTHING_YET, ClientQueue, Cursor, positions_of
from candlewick.services.realtime.errors import Hole, MarketRefused, SnapshotFailed

_NS_PER_MS = 1_000_000
_RING = 1500
_OPEN = "open"
_BEHIND_S, _AGAIN_S = 5.0, 0.02
_LOOK = 500
_SIDES = {Side.SELL.value: "sell", Side.BUY.value: "buy", Side.UNKNOWN.value: "unknown"}
_encode = msgspec.json.Encoder().encode
CANDLE_TOPICS = (NORMALIZED_OHLCV.name, HISTORY_CANDLES.name)


class Listener:
    """One socket: what it wants, and what waits for it."""

    def __init__(self, channel: str, exchange: str, symbol: str, seconds: int, max_bytes: int) -> None:
        self.channel, self.exchange, self.symbol, self.seconds = channel, exchange, symbol, seconds
        self.queue = ClientQueue(max_bytes)
        self.filled = asyncio.Event()
        self.too_slow = False

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    def offer(self, data: bytes, cursors: dict[str, Cursor], *, conflate: Any = None) -> None:
        """Queue a list of candles, trades or a book as JSON."""
        if not self.queue.put(data, cursors, conflate=conflate):
            self.too_slow = True
        self.filled.set()


class Fanout:
    """Turns events into what listeners are sent. Windows are kept only for symbols that somebody listens to."""

    def __init__(
        self, log: EventLog, market: ServiceClient, *, mode: str, replay_records: int, behind_s: float = _BEHIND_S
    ) -> None:
        """``behind_s``: how long a snapshot waits for a market that is behind the log."""
        self._behind_s = behind_s
        self._log, self._market, self._mode, self._replay_records = log, market, mode, replay_records
        self._listeners: dict[tuple[str, str], set[Listener]] = {}
        self._windows: dict[str, SymbolWindows] = {}
        self.cursors: dict[tuple[str, int], Cursor] = {}

    def stand_at(self, ends: Mapping[tuple[str, int], Position]) -> None:
        """Where every partition stands before the first event, so that a token is whole from the start."""
        for name in (*CANDLE_TOPICS, RAW_MARKET_DATA.name):
            for partition in range(BY_NAME[name].partitions):
                position = ends.get((name, partition), NOTHING_YET)
                self.cursors[name, partition] = Cursor(name, partition, position)

    # -- listeners ---------------------------------------------------------------------------------------------

    def add(self, listener: Listener) -> None:
        """From now on the listener is offered what comes."""
        self._listeners.setdefault((listener.channel, listener.key), set()).add(listener)

    def remove(self, listener: Listener) -> None:
        """The listener has gone; the last one of a symbol takes its windows along."""
        place = (listener.channel, listener.key)
        listeners = self._listeners.get(place, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(place, None)
            if listener.channel == "ohlcv":
                self._windows.pop(listener.key, None)

    def count(self) -> int:
        return sum(map(len, self._listeners.values()))

    def places(self, listener: Listener) -> dict[str, Cursor]:
        """Where this service stands in each topic the listener reads from."""
        names = CANDLE_TOPICS if listener.channel == "ohlcv" else (RAW_MARKET_DATA.name,)
        found = {}
        for name in names:
            cursor = self.cursors.get((name, partition_of(listener.key, BY_NAME[name].partitions)))
            if cursor is not None:
                found[name] = cursor
        return found

    # -- snapshots and resumption ------------------------------------------------------------------------------

    async def snapshot(self, listener: Listener, candles: int) -> bytes:
        """The newest candles as a JSON list. Raises SnapshotFailed, MarketRefused."""
        path = f"/ohlcv/{listener.exchange}/{listener.symbol}/{NAMES[listener.seconds]}"
        return _part(await self._ask(path, {"limit": str(candles)}, listener), "candles")

    async def ensure_windows(self, listener: Listener) -> None:
        """Load the rings that open candles are put together from, once a symbol has its first listener. Raises
        SnapshotFailed."""
        if listener.key in self._windows:
            return
        windows = SymbolWindows(_RING)
        self._windows[listener.key] = windows
        for name in ("1m", "1d"):
            path = f"/ohlcv/{listener.exchange}/{listener.symbol}/{name}"
            with suppress(MarketRefused):  # the snapshot is refused as well then, and the client told
                body = await self._ask(path, {"limit": str(_RING)}, listener)
                windows.apply_views(SECONDS[name], json.loads(body)["candles"])

    async def _ask(self, path: str, params: dict[str, str], listener: Listener | None = None) -> bytes:
        """Market's reply. With a listener it includes all that was fanned out before the call: market follows the log
        by itself, and what it has not seen yet would be neither in the snapshot nor behind it [13]."""
        told = self.places(listener) if listener is not None else {}
        for _ in range(1 + int(self._behind_s / _AGAIN_S)):
            status, headers, body = await self._market.get(path, params)
            if status != 200:
                raise _refusal(status, body)
            if listener is None or not await self._is_behind(positions_of(headers), told, listener):
                return body
            await asyncio.sleep(_AGAIN_S)
        raise SnapshotFailed(f"market is more than {self._behind_s:g} s behind the log")

    async def _is_behind(
        self, at: Mapping[tuple[str, int], Position], told: Mapping[str, Cursor], listener: Listener
    ) -> bool:
        """Whether the log has anything of the listener's symbol between the two places. Market names every place of
        candles; a place of trades that it does not name it has only begun to follow."""
        for name, cursor in told.items():
            after = at.get((name, cursor.partition))
            while after is not None and after < cursor.position:
                try:
                    records = await self._log.read_at(name, cursor.partition, after, _LOOK)
                except LogCorrupt:
                    break  # who follows the log has not seen it either
                missing = [r for r in records if r.position <= cursor.position]
                if any(self._is_readable(record, listener) for record in missing):
                    return True
                if len(missing) < _LOOK:
                    break
                after = missing[-1].position
        return False

    def _is_readable(self, record: Record, listener: Listener) -> bool:
        if record.key != listener.key or record.value is None:
            return False
        try:
            message = codec.decode(codec.decode_envelope(record.header).type, record.value)
        except CandlewickError:
            return False
        return isinstance(message, TradeBatch | CandleBatch | CandlesFetched | CandlesRepaired)

    async def latest_tickers(self, symbols: str) -> bytes:
        """The tickers as a JSON list."""
        return _part(await self._ask("/tickers", {"symbols": symbols} if symbols else {}), "tickers")

    async def latest(self, listener: Listener) -> bytes | None:
        """The newest trades or the book, None while there is none."""
        path, is_book = f"/{listener.channel}/{listener.exchange}/{listener.symbol}", listener.channel == "book"
        if not is_book:
            return _part(await self._ask(path, {}, listener), "trades")
        status, _, body = await self._market.get(path)
        if status == 503:
            return None
        if status != 200:
            raise _refusal(status, body)
        return body

    async def resume(self, listener: Listener, after: dict[str, Cursor]) -> list[tuple[bytes, dict[str, Cursor]]]:
        """What the listener missed behind its token, oldest first of each topic. Raises Hole when the log no longer
        has it all."""
        places = self.places(listener)
        listener.queue.take()  # up to ``places`` the log tells; what comes from now on is queued behind it
        missed: list[tuple[bytes, dict[str, Cursor]]] = []
        reached = {name: cursor for name, cursor in after.items() if name in places}
        budget = self._replay_records
        for name, until in places.items():
            cursor = after.get(name)
            if cursor is None or cursor.partition != until.partition:
                raise Hole("the token does not name every topic of this socket")
            position = cursor.position
            if position > until.position:
                raise Hole("the token is ahead of this log: it was given out by another one")
            if position < until.position and await self._is_gone(name, cursor):
                raise Hole("the token is older than what the log keeps")
            while position < until.position:
                records = await self._log.read_at(name, until.partition, position, min(500, budget))
                if not records:
                    raise Hole("the log no longer has what the token is followed by")
                budget -= len(records)
                if budget <= 0:
                    raise Hole("the token is further back than a resumption reads")
                for record in records:
                    position = record.position
                    if position > until.position:
                        break
                    data = self._replayed(record, listener)
                    reached = {**reached, name: Cursor(name, record.partition, min(position, until.position))}
                    if data is not None:
                        missed.append((data, reached))
                    if position >= until.position:
                        break
        return missed

    async def _is_gone(self, topic: str, cursor: Cursor) -> bool:
        """Whether records behind the token may have left the log: then its own record has left as well."""
        if cursor.position == NOTHING_YET:
            oldest = await self._log.read_at(topic, cursor.partition, None, 1)
            return not oldest or oldest[0].position.offset > 1
        before = Position(cursor.position.epoch, cursor.position.offset - 1)
        kept = await self._log.read_at(topic, cursor.partition, before, 1)
        return not kept or kept[0].position != cursor.position

    def _replayed(self, record: Record, listener: Listener) -> bytes | None:
        if record.key != listener.key or record.value is None:
            return None
        message = codec.decode(codec.decode_envelope(record.header).type, record.value)
        if isinstance(message, (CandleBatch, CandlesFetched, CandlesRepaired)):
            return _candles_json(message.columns_v1, listener.seconds)
        return _trades_json(message) if isinstance(message, TradeBatch) else None

    # -- events ------------------------------------------------------------------------------------------------

    def on_events(self, events: Sequence[Event]) -> None:
        """Follower of candles, trades and books."""
        for event in events:
            cursor = Cursor(event.topic, event.partition, event.position)
            self.cursors[event.topic, event.partition] = cursor
            message = event.message
            if isinstance(message, (CandleBatch, CandlesFetched, CandlesRepaired)):
                self._on_candles(message, event.topic)
            elif isinstance(message, TradeBatch):
                self._send("trades", message.key, lambda m=message: _trades_json(m), None)
            elif isinstance(message, BookUpdated):
                ts_ms = event.envelope.ts_event // _NS_PER_MS
                self._send("book", message.key, lambda m=message, t=ts_ms: _book_json(m, t, self._mode), "book")

    def _send(self, channel: str, key: str, make: Any, conflate: Any) -> None:
        listeners = self._listeners.get((channel, key))
        if not listeners:
            return
        data = make()
        for listener in listeners:
            listener.offer(data, self.places(listener), conflate=conflate)

    def _on_candles(self, message: CandleBatch | CandlesFetched | CandlesRepaired, topic: str) -> None:
        listeners = self._listeners.get(("ohlcv", message.key))
        windows = self._windows.get(message.key)
        if not listeners or windows is None:
            return
        if topic == OPEN_OHLCV.name:
            windows.apply_open(message.columns_v1)
            for listener in listeners:
                row = windows.open_row(listener.seconds)
                if row is not None:
                    listener.offer(b"[%s]" % encode_row(row, 0), self.places(listener), conflate=_OPEN)
            return
        windows.apply(message.columns_v1)
        for listener in listeners:
            data = _candles_json(message.columns_v1, listener.seconds)
            if data is None:
                continue
            # An open candle that still waits may be one of these: sent behind them it would open them again.
            listener.queue.forget(_OPEN)
            listener.offer(data, self.places(listener))
            if (row := windows.open_row(listener.seconds)) is not None:
                listener.offer(b"[%s]" % encode_row(row, 0), {}, conflate=_OPEN)


def _candles_json(columns: Any, seconds: int) -> bytes | None:
    """The rows of one timeframe as a JSON list; None when there are none."""
    places = np.flatnonzero(columns.timeframe == seconds)
    if not len(places):
        return None
    arrays = to_arrays(columns)
    rows = {name: getattr(arrays, name) for name, _ in FIELDS}
    return b"[%s]" % b",".join(encode_row(rows, int(i)) for i in places)


def _part(body: bytes, name: str) -> bytes:
    """One field of a JSON object, as it was written."""
    return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])[name])


def _trades_json(batch: TradeBatch) -> bytes:
    columns = batch.columns_v1
    rows = zip(
        columns.trade_id.tolist(),
        (columns.price / 10**columns.price_scale).tolist(),
        (columns.size / 10**columns.size_scale).tolist(),
        columns.side.tolist(),
        (columns.ts_event // _NS_PER_MS).tolist(),
        strict=True,
    )
    return _encode([{"id": i, "price": p, "size": s, "side": _SIDES[d], "ts": t} for i, p, s, d, t in rows])


def _refusal(status: int, body: bytes) -> MarketRefused | SnapshotFailed:
    """What market's reply means for a client: mend the address, or come again."""
    problem = json.loads(body) if body[:1] == b"{" else {}
    detail = problem.get("detail", f"market answered {status}")
    return MarketRefused(problem.get("code", "BAD_REQUEST"), detail) if status < 500 else SnapshotFailed(detail)


def _book_json(book: BookUpdated, ts_ms: int, mode: str) -> bytes:
    def levels(prices: Any, sizes: Any) -> list[tuple[float, float]]:
        return list(zip((prices / 10**book.price_scale).tolist(), (sizes / 10**book.size_scale).tolist(), strict=True))

    return _encode(
        {
            "exchange": book.exchange,
            "symbol": book.symbol,
            "bids": levels(book.bid_price, book.bid_size),
            "asks": levels(book.ask_price, book.ask_size),
            "ts": ts_ms,
            "sequence": book.sequence,
            "in_sequence": book.in_sequence,
            "mode": mode,
        }
    )
