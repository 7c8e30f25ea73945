"""Plays recordings: the same frames in the same order, at a chosen speed, from a committed position on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from candlewick.adapters.frames.reader import Block, Position, Report, read_blocks, recording_files
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Rejected

_PACED_LINES = 256  # frames read ahead when playing at a speed
_LATE_STEP_S = 0.001


class UnknownPosition(Rejected):
    """The position is not in this recording."""

    code = "UNKNOWN_POSITION"


class Player:
    """Iterates a recording (files or folders, in the order given).

    ``speed`` None plays as fast as the reader is asked, 1.0 in real time, 60.0 a minute a second. A position is where
    to go on: save it only when everything before has been accepted, together with the parser's checkpoint, and a new
    player with ``start`` goes on exactly there. What is wrong with a file goes to ``report`` (code, detail).
    """

    def __init__(
        self,
        paths: Sequence[Path],
        clock: Clock,
        report: Report,
        *,
        speed: float | None = None,
        start: Position | None = None,
        lines: int = 2048,
    ) -> None:
        if speed is not None and speed <= 0:
            raise Rejected(f"speed must be positive, was {speed!r}")
        self.files = [f for p in paths for f in recording_files(p)]
        names = [f.name for f in self.files]
        if start is not None and start.file not in names:
            raise UnknownPosition(f"the recording has {', '.join(names)}, was {start.file!r}")
        self._start = start
        self._first = 0 if start is None else names.index(start.file)
        self._clock = clock
        self._report = report
        self._speed = speed
        self._lines = lines if speed is None else min(lines, _PACED_LINES)

    async def blocks(self) -> AsyncIterator[Block]:
        """Blocks of frames; paced so that no frame comes before its time. Files are read in a thread."""
        origin_recv = origin_clock = 0
        async for block in self._read(self._lines):
            if self._speed is None or not block.frames:
                yield block
                continue
            if not origin_recv:
                origin_recv, origin_clock = block.frames[0][0], self._clock.monotonic_ns()
            done = 0
            while done < len(block.frames):
                await self._until(block.frames[done][0], origin_recv, origin_clock)
                due = self._due_recv(origin_recv, origin_clock)
                stop = done + 1
                while stop < len(block.frames) and block.frames[stop][0] <= due:
                    stop += 1
                position = block.position_after(stop)
                yield Block(position, block.frames[done:stop])
                done = stop

    async def frames(self) -> AsyncIterator[tuple[Position, int, bytes]]:
        """One frame at a time with the position behind it; slower than ``blocks``, exact for every frame."""
        origin_recv = origin_clock = 0
        async for block in self._read(self._lines):
            for used, (ts_recv, raw) in enumerate(block.frames, 1):
                if self._speed is not None:
                    if not origin_recv:
                        origin_recv, origin_clock = ts_recv, self._clock.monotonic_ns()
                    await self._until(ts_recv, origin_recv, origin_clock)
                yield block.position_after(used), ts_recv, raw

    async def _read(self, lines: int) -> AsyncIterator[Block]:
        for index in range(self._first, len(self.files)):
            start = self._start
            skip = start.line if start is not None and index == self._first else 0
            blocks = read_blocks(self.files[index], self._report, from_line=skip, lines=lines)
            while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                yield block

    def _due_recv(self, origin_recv: int, origin_clock: int) -> int:
        assert self._speed is not None
        return origin_recv + int((self._clock.monotonic_ns() - origin_clock) * self._speed)

    async def _until(self, ts_recv: int, origin_recv: int, origin_clock: int) -> None:
        assert self._speed is not None
        wait_s = (ts_recv - self._due_recv(origin_recv, origin_clock)) / self._speed / NS_PER_SECOND
        if wait_s > _LATE_STEP_S:
            await self._clock.sleep(wait_s)
