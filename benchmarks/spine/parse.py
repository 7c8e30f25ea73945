"""Raw frames to messages on one core, beside decoding alone and a well-known peer.

Synthetic trade frames of eight symbols, and the public recording (trades, quotes, book) where it is present. CPU time.
The peer is cryptofeed's own trade handler; where it is not installed the figure's note says how to get it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from benchmarks import peers
from benchmarks.measure import Figure, median, seconds
from candlewick.adapters.frames.reader import read_blocks
from candlewick.adapters.venues.binance import wire
from candlewick.adapters.venues.binance.instruments import guessed_instrument
from candlewick.adapters.venues.binance.parse import BinanceParser
from candlewick.adapters.venues.binance.scan import scan_frames
from candlewick.contracts.base import Message
from candlewick.testing.shared_data import shared_data

Frames = Sequence[tuple[int, bytes]]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT")
T0 = 1_700_000_000_000
FRAMES = 60_000
RUNS = 5


class CountingSink:
    """Takes everything, counts trades and messages."""

    def __init__(self) -> None:
        self.trades = 0
        self.messages = 0

    def message(self, message: Message, ts_recv: int) -> None:
        self.messages += 1
        columns = getattr(message, "columns_v1", None)
        if columns is not None:
            self.trades += len(columns.trade_id)

    def frame(self, ts_recv: int, raw: bytes) -> None:
        return

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        raise AssertionError(f"{code}: {detail}")

    def is_congested(self) -> bool:
        return False


def synthetic(count: int) -> list[tuple[int, bytes]]:
    """Trades of eight symbols, 5,000 a second."""
    frames = []
    for i in range(count):
        name = SYMBOLS[i % len(SYMBOLS)]
        ms = T0 + i // 5
        raw = (
            f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":{ms},"s":"{name}","t":{i // 8 + 1},'
            f'"p":"{60000 + i % 977}.{i % 100:02}000000","q":"0.{i % 99_999 + 1:05}000","T":{ms},"m":true,"M":true}}}}'
        )
        frames.append((ms * 1_000_000, raw.encode()))
    return frames


def recorded() -> list[tuple[int, bytes]]:
    """The first public recording: trades, quotes and book of BTC-USDT."""
    path = shared_data("A_raw_feeds/binance_raw_hft/spot_btcusdt_20240808.gz")
    if path is None:
        return []
    return [f for block in read_blocks(path, lambda code, detail: None) for f in block.frames]


def ours(frames: Frames, *, many: bool, block: int = 2048) -> Callable[[], object]:
    def work() -> None:
        parser = BinanceParser([guessed_instrument(s) for s in SYMBOLS])
        sink = CountingSink()
        if many:
            for start in range(0, len(frames), block):
                parser.parse_many(frames[start : start + block], sink)
        else:
            for ts_recv, raw in frames:
                parser.parse(ts_recv, raw, sink)
        parser.finish(frames[-1][0], sink)

    return work


def floor(frames: Frames) -> Callable[[], object]:
    """msgspec alone: envelope and typed payload, nothing read out, nothing kept."""
    envelope = msgspec.json.Decoder(wire.Frame).decode
    payload = msgspec.json.Decoder(wire.FastTrade, strict=False).decode

    def work() -> None:
        for _, raw in frames:
            payload(envelope(raw).data)

    return work


def peer(frames: Frames) -> Callable[[], object] | None:
    """cryptofeed's Binance trade handler, with a callback that does nothing; None where it is not installed."""
    if not peers.has("cryptofeed"):
        return None
    import asyncio
    from decimal import Decimal

    from cryptofeed.exchanges.binance import Binance  # type: ignore[import-not-found]
    from yapic import json as yapic  # type: ignore[import-not-found]

    feed: Any = Binance.__new__(Binance)
    feed.id = "BINANCE"
    feed.exchange_symbol_to_std_symbol = lambda s: s

    async def callback(*_: Any) -> None:
        return

    feed.callback = callback

    def work() -> None:
        async def run() -> None:
            for ts_recv, raw in frames:
                message = yapic.loads(raw, parse_float=Decimal)["data"]
                message["a"] = message["t"]
                await feed._trade(message, ts_recv / 1e9)

        asyncio.run(run())

    return work


def main() -> list[Figure]:
    scan_frames.warm()
    trades, real = synthetic(FRAMES), recorded()

    def rate(work: Callable[[], object], count: int) -> tuple[float, tuple[float, ...]]:
        rates = tuple(count / s for s in seconds(work, runs=RUNS, cpu=True))
        return median(rates), rates

    alone, alone_runs = rate(floor(trades), FRAMES)
    unit, name = "frames/s", "msgspec decode alone"
    figures = [Figure("trade frames, decode alone", alone, unit, "higher", alone_runs)]
    for label, work in (
        ("trade frames, blocks of 2,048", ours(trades, many=True)),
        ("trade frames, blocks of 256", ours(trades, many=True, block=256)),
        ("trade frames, one by one", ours(trades, many=False)),
    ):
        value, runs = rate(work, FRAMES)
        figures.append(Figure(label, value, unit, "higher", runs, name, value / alone))
    other = peer(trades)
    if other is None:
        note = f"cryptofeed {peers.MISSING}"
        figures[1] = msgspec.structs.replace(figures[1], note=note)
    else:
        value, runs = rate(other, FRAMES)
        figures.append(Figure("trade frames, cryptofeed's handler", value, unit, "higher", runs, name, value / alone))
    if real:
        for label, work in (
            ("recording with book, blocks of 2,048", ours(real, many=True)),
            ("recording with book, one by one", ours(real, many=False)),
        ):
            value, runs = rate(work, len(real))
            figures.append(Figure(label, value, unit, "higher", runs, name, value / alone))
    return figures
