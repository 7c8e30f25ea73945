"""What the stream benchmark's workers share: topics of their own, and trades as the collector writes them."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters.log.kafka import KafkaOptions, KafkaTopics
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Origin
from candlewick.contracts.collector import TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.topics import NORMALIZED_OHLCV, OPEN_OHLCV, RAW_MARKET_DATA, Topic
from candlewick.kernel.ids import uuid7
from candlewick.ports.log import LogUnavailable, NewRecord

PARTITIONS = int(os.environ.get("BENCH_PARTITIONS", "8"))
RAW = replace(RAW_MARKET_DATA, partitions=PARTITIONS)
CANDLES = replace(NORMALIZED_OHLCV, partitions=PARTITIONS)
OPEN = replace(OPEN_OHLCV, partitions=PARTITIONS)
SINGLE = Topic("bench.trades", "bench", (), PARTITIONS, 3_600, "One trade a message, as JSON.")
BARS = Topic("bench.bars", "bench", (), PARTITIONS, 3_600, "What windows make of them.")
LIVE = (RAW, CANDLES, OPEN)
TOPICS = (*LIVE, SINGLE, BARS)
T0_NS = 1_700_000_000 * 10**9


@contextmanager
def own_topics(brokers: str, prefix: str, wanted: Sequence[Topic]) -> Iterator[KafkaOptions]:
    """Made for this run, and everything of them deleted behind it."""
    options = KafkaOptions(prefix=prefix)
    topics = KafkaTopics(brokers, wanted, options)
    try:
        topics.apply()
        yield options
    finally:
        with contextlib.suppress(LogUnavailable):
            topics.delete()
            admin = Admin(brokers, options)
            admin.delete([name for name in admin.metadata().topics if prefix in name])


def batch(symbol: str, first_id: int, times_ns: np.ndarray) -> TradeBatch:
    """Trades of these times, with dense ids from ``first_id`` on."""
    count = len(times_ns)
    columns = TradeColumns(
        trade_id=np.arange(first_id, first_id + count, dtype=np.int64),
        price=(6_000_000 + (np.arange(first_id, first_id + count) * 7919) % 10_007).astype(np.int64),
        size=(1 + (np.arange(first_id, first_id + count) * 104_729) % 99_999_999).astype(np.int64),
        ts_event=times_ns.astype(np.int64),
        ts_recv=times_ns.astype(np.int64),
        side=(np.arange(count) % 2).astype(np.uint8),
        price_scale=2,
        size_scale=8,
    )
    return TradeBatch("bench", symbol, TradeIds.DENSE, False, Origin.BUILT, False, columns)


def record(message: TradeBatch, number: int, ts_recv: int) -> NewRecord:
    """As the collector writes it."""
    envelope = Envelope(uuid7(number + 1, number), "TradeBatch", ts_recv, ts_recv, message.key, "collector")
    return NewRecord(RAW.name, message.key, codec.encode(message), codec.encode_envelope(envelope), ts_recv)


def replay(messages: int, trades: int, *, symbols: int = 8, per_second: int = 50) -> Iterator[NewRecord]:
    """Full batches of the symbols in turn; each symbol has ``per_second`` trades a second."""
    step = 10**9 // per_second
    for number in range(messages):
        at, symbol = divmod(number, symbols)
        first = at * trades
        times = T0_NS + (first + np.arange(trades)) * step
        yield record(batch(f"S{symbol}-USDT", first + 1, times), number, time.time_ns())
