"""Plays a recording through the venue's own parser into the log, and remembers how far it came."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from candlewick.kernel.clock import NS_PER_MS, Clock
from candlewick.ports.frames import Recording
from candlewick.ports.runtime import Messaging, UnitOfWork
from candlewick.ports.venue import FrameParser
from candlewick.services.collector.handlers.queue import Writer
from candlewick.services.collector.handlers.sink import FeedSink
from candlewick.services.collector.handlers.suspicions import Suspicions
from candlewick.services.collector.ports import PlaybackTable, Saved

# A position costs a transaction: so often is enough, what lies behind it is played again and dropped by id.
_SAVE_EVERY_NS = 200 * NS_PER_MS
_YIELD_S = 1e-6  # lets sockets and the writer have their turn between blocks

OpenRecording = Callable[[tuple[str, int] | None], Recording]


class PlaybackStats(msgspec.Struct):
    """What a playback has done since it started."""

    frames: int = 0
    done: bool = False
    resumed_from: str = ""


class Playback:
    """One recording. The position is saved only when the log has everything before it, so a killed player loses
    nothing; what it then plays twice is dropped by trade id, and gaps are said with the position behind them. At full
    speed nobody waits for what a block brought:
    trades go on in full batches."""

    def __init__(
        self,
        paths: Sequence[str],
        speed: float,
        *,
        open_recording: OpenRecording,
        parser: FrameParser,
        sink: FeedSink,
        writer: Writer,
        suspicions: Suspicions,
        table: PlaybackTable,
        messaging: Messaging,
        clock: Clock,
        on_step: Callable[[str], None],
    ) -> None:
        self._name = recording_name(paths)
        self._speed = speed
        self._open, self._parser, self._sink, self._writer = open_recording, parser, sink, writer
        self._suspicions = suspicions
        self._table, self._messaging, self._clock, self._on_step = table, messaging, clock, on_step
        self.stats = PlaybackStats()

    async def run(self) -> None:
        """Until the recording ends. A recording that was played to its end before is not played again."""
        saved = await self._load()
        if saved is not None:
            if saved.done:
                self.stats.done = True
                return
            self._parser.restore(saved.parser)
            self.stats.resumed_from = f"{saved.file}:{saved.line}"
        recording = self._open((saved.file, saved.line) if saved is not None else None)
        saved_ns = self._clock.monotonic_ns()
        last_recv, file, line = 0, saved.file if saved else "", saved.line if saved else 0
        async for block in recording.blocks():
            file, line = block.position.file, block.position.line
            if block.frames:
                last_recv = block.frames[-1][0]
                self._parser.parse_many(block.frames, self._sink)
                if self._speed:
                    self._parser.flush(last_recv, self._sink)
                self._on_step("frames decoded")
                self.stats.frames += len(block.frames)
            if self._sink.is_congested() or self._clock.monotonic_ns() - saved_ns > _SAVE_EVERY_NS:
                self._parser.flush(last_recv, self._sink)
                await self._writer.drained()
                await self._save(file, line, done=False)
                saved_ns = self._clock.monotonic_ns()
            await self._clock.sleep(_YIELD_S)
        self._parser.finish(last_recv, self._sink)
        await self._writer.drained()
        await self._save(file, line, done=True)
        self.stats.done = True

    async def _load(self) -> Saved | None:
        async def work(unit: UnitOfWork) -> Any:
            return await self._table.load(unit, self._name)

        found: Saved | None = await self._messaging.unit_of_work(work)
        return found

    async def _save(self, file: str, line: int, *, done: bool) -> None:
        saved = Saved(file, line, self._parser.checkpoint(), done)

        async def work(unit: UnitOfWork) -> Any:
            await self._table.save(unit, self._name, saved)
            return self._suspicions.emit(unit)

        self._suspicions.forget(await self._messaging.unit_of_work(work))


def recording_name(paths: Sequence[str]) -> str:
    """The same recording has the same name wherever it is started from: hash of its absolute paths."""
    text = "\0".join(str(Path(p).absolute()) for p in paths)
    return blake2b(text.encode(), digest_size=12).hexdigest()
