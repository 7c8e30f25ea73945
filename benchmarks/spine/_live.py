"""The live shape [23]: 500 symbols at rates drawn from the recordings, frames as they come, the real linger."""

import asyncio
import bisect
import random
import time
from collections.abc import AsyncIterator

from benchmarks.measure import Figure
from benchmarks.spine import _pipeline as pipeline
from candlewick.adapters.frames.reader import Block, Position
from candlewick.contracts import codec
from candlewick.contracts.topics import NORMALIZED_OHLCV, RAW_MARKET_DATA

SYMBOLS = 500
SECONDS = 15
# Trades a second of a symbol: in the recordings BTC-USDT has about 30 (19,904 trades in 651 s), XRP-ETH 0.06. A busy
# venue's rates fall off about as a power of the rank; exponent 1 from 30 gives 0.06 at rank 500.
BUSIEST = 30.0


def rates(symbols: int = SYMBOLS) -> list[float]:
    """Trades a second by rank."""
    return [BUSIEST / rank for rank in range(1, symbols + 1)]


def schedule(seconds: float, seed: int = 5) -> list[tuple[float, int]]:
    """Arrival times (s) and symbol numbers: Poisson arrivals, in order."""
    draw = random.Random(seed)
    total = sum(rates())
    edges, acc = [], 0.0
    for rate in rates():
        acc += rate
        edges.append(acc)
    arrivals, now = [], 0.0
    while now < seconds:
        now += draw.expovariate(total)
        arrivals.append((now, bisect.bisect_left(edges, draw.random() * acc)))
    return arrivals


class Paced:
    """A recording that yields each frame when it is due, stamped with the time at which it was due."""

    def __init__(self, seconds: float, rate_factor: float) -> None:
        self._arrivals = [(at / rate_factor, symbol) for at, symbol in schedule(seconds * rate_factor)]

    async def blocks(self) -> AsyncIterator[Block]:
        ids = [0] * SYMBOLS
        begin = time.time_ns()
        done = 0
        while done < len(self._arrivals):
            now = (time.time_ns() - begin) / 1e9
            frames = []
            while done < len(self._arrivals) and self._arrivals[done][0] <= now:
                at, symbol = self._arrivals[done]
                due_ns = begin + int(at * 1e9)
                ids[symbol] += 1
                frames.append((due_ns, _frame(symbol, ids[symbol], due_ns)))
                done += 1
            if frames:
                yield Block(Position("live", done), frames)
            await asyncio.sleep(0.002)


def _frame(symbol: int, trade: int, due_ns: int) -> bytes:
    name, ms = f"S{symbol}USDT", due_ns // 1_000_000
    return (
        f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":{ms},"s":"{name}","t":{trade},'
        f'"p":"{100 + trade % 7}.01000000","q":"0.{trade % 9 + 1}0000000","T":{ms},"m":true,"M":true}}}}'
    ).encode()


def live_shape(seconds: float = SECONDS, rate_factor: float = 1.0) -> list[Figure]:
    """Figures of some seconds of live traffic on one core."""
    return pipeline.run(_measure(seconds, rate_factor))


async def _measure(seconds: float, rate_factor: float) -> list[Figure]:
    recording = Paced(seconds, rate_factor)
    latencies: list[float] = []
    messages = 0

    async with pipeline.fed(recording, speed=1.0) as host:
        log = host.resources.log
        reader = await log.consumer(
            [NORMALIZED_OHLCV.name, RAW_MARKET_DATA.name], group=None, member="bench", start="newest"
        )

        async def watch() -> None:
            nonlocal messages
            while True:
                for record in await reader.poll(timeout_s=1.0):
                    messages += 1
                    if record.topic == RAW_MARKET_DATA.name and record.value is not None:
                        envelope = codec.decode_envelope(record.header)
                        if envelope.type == "TradeBatch":
                            latencies.append((record.ts_append - envelope.ts_recv) / 1e6)

        watcher = asyncio.ensure_future(watch())
        cpu = time.process_time()
        started = time.perf_counter()
        lag = await pipeline.until_finished(host)
        wall = time.perf_counter() - started
        used = time.process_time() - cpu
        trades = host.hosted["collector"].service.sink.trades
        watcher.cancel()
        await reader.close()
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * q)] for q in (0.5, 0.99))
    return [
        Figure(
            f"live shape x{rate_factor:g}, trades a CPU second",
            trades / used,
            "trades/s a core",
            note=f"{trades / wall:.0f} trades/s offered",
        ),
        Figure(f"live shape x{rate_factor:g}, messages a CPU second", messages / used, "messages/s a core"),
        Figure(f"live shape x{rate_factor:g}, receive to log p50", p50, "ms", "lower"),
        Figure(f"live shape x{rate_factor:g}, receive to log p99", p99, "ms", "lower"),
        Figure(f"live shape x{rate_factor:g}, loop lag p99", lag, "ms", "lower"),
    ]
