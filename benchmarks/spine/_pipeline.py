"""Runs collector and stream on a data dir of its own, fed from memory instead of a socket."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from candlewick.adapters.frames.reader import Block, Position
from candlewick.app import kernels
from candlewick.app.cli.replay import finished
from candlewick.app.configuration import AppSettings, read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime.host import Host, running
from candlewick.kernel import logging
from candlewick.kernel.system import settle, suit_an_event_loop
from candlewick.ports.frames import Recording

Frames = Sequence[tuple[int, bytes]]
T = TypeVar("T")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT")
T0_MS = 1_700_000_000_000


def trade_frames(
    count: int, *, per_second: int, symbols: Sequence[str] = SYMBOLS, first: int = 0
) -> list[tuple[int, bytes]]:
    """Binance trade frames of the symbols in turn, ``per_second`` in all, ids dense from ``first`` on."""
    frames = []
    for i in range(first, first + count):
        name = symbols[i % len(symbols)]
        ms = T0_MS + i * 1000 // per_second
        price = 60_000_00 + (i * 7919) % 10_007
        raw = (
            f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":{ms},"s":"{name}","t":{i // len(symbols) + 1},'
            f'"p":"{price // 100}.{price % 100:02d}000000","q":"0.{(i * 104729) % 99_999_999 + 1:08d}","T":{ms},'
            f'"m":{"true" if i % 3 else "false"},"M":true}}}}'
        )
        frames.append((ms * 1_000_000, raw.encode()))
    return frames


class Memory:
    """ports.frames.Recording over frames in memory."""

    def __init__(self, frames: Frames, block: int) -> None:
        self._frames, self._block = frames, block
        self.go = asyncio.Event()

    async def blocks(self) -> AsyncIterator[Block]:
        await self.go.wait()
        for start in range(0, len(self._frames), self._block):
            part = list(self._frames[start : start + self._block])
            yield Block(Position("memory", start + len(part)), part)


class FedResources(EmbeddedResources):
    """The embedded profile with a recording of this process."""

    def __init__(self, folder: Path, recording: Any) -> None:
        super().__init__(folder, AppSettings(log_max_bytes=8 << 30, log_retention_hours=1e6), mode="replay")
        self._recording = recording

    def recording(
        self, paths: Sequence[str], speed: float, start: tuple[str, int] | None, report: Callable[[str, str], None]
    ) -> Recording:
        made: Recording = self._recording
        return made


def one_core() -> None:
    """Pin this process to the first of its cores."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@asynccontextmanager
async def fed(
    recording: Any, services: Sequence[str] = ("stream", "collector"), *, speed: float = 0.0
) -> AsyncIterator[Host]:
    """The services on a data dir of their own, playing the recording from the moment they start.

    At speed 0 trades go on in full batches, at any other as they come.
    """
    logging.configure("error")
    with tempfile.TemporaryDirectory() as folder:
        profile = {"collector": {"exchange": "binance", "replay_paths": ("memory",), "replay_speed": speed}}
        config = read(data_dir=Path(folder), environ={}, profile=profile)
        async with running(services, config, FedResources(Path(folder), recording), member="bench") as host:
            settle()
            yield host


async def until_finished(host: Host) -> float:
    """Wait for the last committed candle; returns the loop lag's p99 in ms."""
    lags: list[float] = []
    watcher = asyncio.ensure_future(_lag(lags))
    try:
        await finished(host)
    finally:
        watcher.cancel()
    lags.sort()
    return lags[int(len(lags) * 0.99)] if lags else 0.0


async def drain(frames: Frames, *, block: int) -> tuple[float, float, dict[str, int], float]:
    """Wall and CPU seconds from the first frame to the last committed candle, counters, and loop lag p99 in ms."""
    recording = Memory(frames, block)
    async with fed(recording) as host:
        await asyncio.sleep(0.3)  # what starting left to do
        wall, cpu = time.perf_counter(), time.process_time()
        recording.go.set()
        lag = await until_finished(host)
        took = time.perf_counter() - wall, time.process_time() - cpu
        assert host.hosted["collector"].service.sink.trades == len(frames)
        return *took, dict(host.hosted["stream"].service.counters()), lag


async def _lag(lags: list[float]) -> None:
    while True:
        due = time.perf_counter() + 0.005
        await asyncio.sleep(0.005)
        lags.append(max(0.0, (time.perf_counter() - due) * 1000))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as the product's process does."""
    kernels.warm("binance")
    suit_an_event_loop()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
