"""Memory over an hour's worth of 5,000 trades/s (18 M trades), played as fast as it goes: the curve must be flat."""

import asyncio
import gc
from collections.abc import AsyncIterator

import psutil

from benchmarks.measure import Figure
from benchmarks.spine import _pipeline as pipeline
from candlewick.adapters.frames.reader import Block, Position

HOUR_S, PER_SECOND = 3600, 5000
POINTS = 12
BLOCK = 8192


class Endless:
    """Frames made as they are asked for, so that only the product's memory is measured."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def blocks(self) -> AsyncIterator[Block]:
        for start in range(0, self._count, BLOCK):
            part = pipeline.trade_frames(min(BLOCK, self._count - start), per_second=PER_SECOND, first=start)
            yield Block(Position("memory", start + len(part)), part)


def main() -> list[Figure]:
    return pipeline.run(_measure())


async def _measure() -> list[Figure]:
    total = HOUR_S * PER_SECOND
    curve: list[tuple[float, float]] = []
    process = psutil.Process()
    async with pipeline.fed(Endless(total)) as host:

        async def watch() -> None:
            step = total // POINTS
            while True:
                played = host.hosted["collector"].service.playback.stats.frames
                if played >= step * (len(curve) + 1):
                    gc.collect()
                    curve.append((played / total, process.memory_info().rss / (1 << 20)))
                    print(f"{played / total:5.0%} {curve[-1][1]:7.1f} MiB", flush=True)
                await asyncio.sleep(0.05)

        watcher = asyncio.ensure_future(watch())
        await pipeline.until_finished(host)
        watcher.cancel()
    tail = [mib for _, mib in curve[len(curve) // 3 :]]
    growth = (max(tail) - min(tail)) / min(tail) * 100
    shown = " ".join(f"{mib:.0f}" for _, mib in curve)
    return [
        Figure("resident memory after an hour of 5,000 trades/s", curve[-1][1], "MiB", "lower", note=f"curve: {shown}"),
        Figure("spread of the last two thirds of the curve", growth, "%", "lower"),
    ]


if __name__ == "__main__":
    for figure in main():
        print(figure)
