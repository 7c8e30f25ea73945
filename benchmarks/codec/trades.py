"""Encoding and decoding trades: our columnar batch beside one protobuf message a trade."""

import numpy as np

from benchmarks.measure import Figure, median, seconds
from candlewick.contracts import codec
from candlewick.contracts._gen.candlewick.collector.v1 import market_data_pb2
from candlewick.contracts.base import Origin
from candlewick.contracts.collector import TradeBatch, TradeColumns, TradeIds

ROWS = 256
BATCHES = 400
SINGLES = 2_000


def _batch() -> TradeBatch:
    draw = np.random.default_rng(7)
    when = 1_700_000_000_000_000_000 + np.cumsum(draw.integers(0, 50_000_000, ROWS))
    return TradeBatch(
        exchange="binance",
        symbol="BTC-USDT",
        ids=TradeIds.DENSE,
        aggregated=False,
        origin=Origin.BUILT,
        times_received=False,
        columns_v1=TradeColumns(
            trade_id=np.arange(ROWS, dtype=np.int64),
            price=draw.integers(6_000_000, 6_100_000, ROWS),
            size=draw.integers(1, 10_000_000, ROWS),
            ts_event=when,
            ts_recv=when + 1_000_000,
            side=draw.integers(0, 2, ROWS).astype(np.uint8),
            price_scale=2,
            size_scale=8,
        ),
    )


def main() -> list[Figure]:
    batch = _batch()
    data = codec.encode(batch)
    columns = batch.columns_v1
    fields = (columns.trade_id, columns.price, columns.size, columns.ts_event)
    rows = list(zip(*(array.tolist() for array in fields), strict=True))
    # QuoteUpdated has the fields of a plain trade message: two strings, two scales, four integers
    single = market_data_pb2.QuoteUpdated

    def write(row: tuple[int, ...]) -> bytes:
        numbers = dict(zip(("bid", "bid_size", "ask", "ask_size"), row, strict=True))
        message = single(exchange="binance", symbol="BTC-USDT", price_scale=2, size_scale=8, **numbers)
        return bytes(message.SerializeToString())

    def read(one: bytes) -> tuple[int, ...]:
        message = single.FromString(one)
        return (message.bid, message.bid_size, message.ask, message.ask_size)

    singles = [write(rows[i % ROWS]) for i in range(SINGLES)]

    def rate(trades: int, samples: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
        rates = tuple(trades / s for s in samples)
        return median(rates), rates

    encode, encode_runs = rate(ROWS * BATCHES, seconds(lambda: [codec.encode(batch) for _ in range(BATCHES)], cpu=True))
    decode, decode_runs = rate(
        ROWS * BATCHES, seconds(lambda: [codec.decode("TradeBatch", data) for _ in range(BATCHES)], cpu=True)
    )
    peer_encode, _ = rate(SINGLES, seconds(lambda: [write(rows[i % ROWS]) for i in range(SINGLES)], cpu=True))
    peer_decode, _ = rate(SINGLES, seconds(lambda: [read(one) for one in singles], cpu=True))
    peer = "protobuf, a message a trade"
    return [
        Figure(f"trade batch of {ROWS}, encode", encode, "trades/s", "higher", encode_runs, peer, encode / peer_encode),
        Figure(f"trade batch of {ROWS}, decode", decode, "trades/s", "higher", decode_runs, peer, decode / peer_decode),
    ]
