"""Candles in a log, and what a history service would say of them, for tests of windows."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from candlewick.app.runtime.mirror_windows import TOPICS, Seed, rows_of
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Origin
from candlewick.contracts.history import CandlesFetched
from candlewick.contracts.stream import FINAL, GAPPED, CandleBatch, CandleColumns
from candlewick.contracts.topics import BY_NAME, HISTORY_CANDLES, NORMALIZED_OHLCV
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.system import SystemIds
from candlewick.ports.log import EventLog, NewRecord, Position, Record
from candlewick.ports.windows import Place, Rows
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.ring import FIELDS, Ring

_START_NS = 1_700_000_000_000_000_000 // 3_600_000_000_000 * 3_600_000_000_000
EXCHANGE = "binance"


def columns(candles: Sequence[tuple[int, int, int, int, Origin, int]]) -> CandleColumns:
    """Candles as (timeframe in s, number, close, revision, origin, flags), lower timeframes first."""
    candles = sorted(candles, key=lambda one: one[:2])
    count = len(candles)
    frame = np.array([one[0] for one in candles], np.int32)
    price = np.array([one[2] for one in candles], np.int64)
    arrays: dict[str, Any] = {
        "timeframe": frame,
        "open_time": _START_NS + np.array([one[1] for one in candles], np.int64) * frame.astype(np.int64) * 10**9,
        **dict.fromkeys(("open", "high", "low", "close", "volume_hi", "taker_hi", "quote_hi"), price),
        **dict.fromkeys(("volume_lo", "taker_lo", "quote_lo"), price.astype(np.uint64)),
        "trades": price,
        "revision": np.array([one[3] for one in candles], np.int32),
        "origin": np.array([one[4] for one in candles], np.uint8),
        "flags": np.array([one[5] for one in candles], np.uint8),
        "known_at": np.zeros(count, np.int64),
    }
    for name in ("volume_hi", "taker_hi", "quote_hi"):
        arrays[name] = np.zeros(count, np.int64)
    return CandleColumns(**arrays, price_scale=2, size_scale=5)


def a_batch(draw: random.Random, symbol: str, now: int) -> NewRecord:
    """New candles, revisions of older ones, and now and then what a venue says of them."""
    fetched = draw.random() < 0.2
    origin = Origin.FETCHED if fetched else Origin.BUILT
    minutes = [now, *[draw.randint(max(0, now - 40), now) for _ in range(draw.randint(0, 3))]]
    candles = [
        (60, minute, draw.randint(1, 10**9), draw.randint(0, 2), origin, draw.choice((FINAL, FINAL | GAPPED)))
        for minute in dict.fromkeys(minutes)
    ]
    candles.append((3600, now // 60, draw.randint(1, 10**9), now % 60, origin, FINAL))
    kind = CandlesFetched if fetched else CandleBatch
    message = kind(EXCHANGE, symbol, columns(candles))
    topic = HISTORY_CANDLES if fetched else NORMALIZED_OHLCV
    envelope = Envelope(SystemIds().new(), kind.__name__, 1, 2, message.key, topic.producer)
    return NewRecord(topic.name, message.key, codec.encode(message), codec.encode_envelope(envelope), 1)


def columns_in(record: Record) -> CandleColumns:
    message = codec.decode(codec.decode_envelope(record.header).type, record.value or b"")
    assert isinstance(message, CandleBatch | CandlesFetched)
    return message.columns_v1


async def standing(log: EventLog, symbol: str, capacity: int) -> tuple[dict[int, Rows], dict[Place, Position]]:
    """What rings hold after all that the log says of a symbol, and where it stands."""
    rings = {seconds: Ring(capacity) for seconds in (60, 3600)}
    at: dict[Place, Position] = {}
    key = f"{EXCHANGE}:{symbol}"
    for topic in TOPICS:
        partition = partition_of(key, BY_NAME[topic].partitions)
        after: Position | None = None
        while found := await log.read_at(topic, partition, after, 500):
            for record in found:
                if record.key == key:
                    for seconds, rows in rows_of(columns_in(record), 1 << 30).items():
                        rings[seconds].apply(CandleArrays(**{name: rows[name] for name, _ in FIELDS}))
            after = found[-1].position
        if after is not None:
            at[topic, partition] = after
    return {seconds: {n: a.copy() for n, a in ring.view(capacity).items()} for seconds, ring in rings.items()}, at


def seed_of(log: EventLog) -> Seed:
    """As a history service that has stored all the log holds."""

    async def seed(exchange: str, symbol: str, most: int) -> tuple[Mapping[int, Rows], Mapping[Place, Position]]:
        return await standing(log, symbol, most)

    return seed
