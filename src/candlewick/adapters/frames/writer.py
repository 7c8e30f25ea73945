"""Writing frames: gzip members that close every second, files that rotate, a ring that stays within its budget.

A gzip file is a row of members; each is whole by itself. Closing one every second means that a killed process, or a
machine without power, loses the last second at most, and readers take everything before.
"""

import asyncio
import zlib
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from candlewick.adapters.frames.reader import HEADER, Header
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import StorageFull

_LEVEL: Final = 3  # 8:1 on these frames at a third of level 6's time
_PENDING_LIMIT: Final = 64 << 20
SUFFIX: Final = ".frames.gz"


class FrameWriter:
    """A recording of its own file or files: ``<folder>/<name>-<started ns>.frames.gz``.

    ``write`` only puts the frame into memory and never blocks; ``flush`` compresses and writes what waits as one gzip
    member and may run in a thread. While the disk is full frames wait in memory, up to 64 MiB; beyond it the oldest
    are let go and ``dropped`` counts them.
    """

    def __init__(self, folder: Path, name: str, header: Header, clock: Clock, *, rotate_bytes: int = 64 << 20) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._header = header
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._file: BinaryIO | None = None
        self._size = 0
        self.frames = 0
        self.dropped = 0
        self.path: Path | None = None

    def write(self, ts_recv: int, raw: bytes) -> None:
        """Take a frame. A newline inside (JSON has none in strings) becomes a blank."""
        line = b"%d %s\n" % (ts_recv, raw.replace(b"\n", b" ") if b"\n" in raw else raw)
        self._pending.append(line)
        self._pending_bytes += len(line)
        self.frames += 1
        if self._pending_bytes > _PENDING_LIMIT:
            gone = len(self._pending) // 2
            self._pending_bytes -= sum(map(len, self._pending[:gone]))
            del self._pending[:gone]
            self.dropped += gone

    def flush(self) -> int:
        """Write what waits as one member; returns its size. Raises StorageFull, and keeps the frames then."""
        lines, self._pending = self._pending, []
        if not lines:
            return 0
        size = sum(map(len, lines))
        try:
            file = self._open()
            start = file.tell()
            try:
                file.write(self._member(b"".join(lines)))
                file.flush()
            except OSError:
                self._close_broken(file, start)
                raise
        except OSError as error:
            self._pending = lines + self._pending
            raise StorageFull(
                f"frames could not be written to {self._folder} ({error.strerror})", hint="Make room on the disk"
            ) from error
        self._pending_bytes -= size
        written = file.tell() - start
        self._size += written
        if self._size >= self._rotate_bytes:
            self._close_file()
        return written

    @staticmethod
    def _member(data: bytes) -> bytes:
        packer = zlib.compressobj(_LEVEL, wbits=31)
        return packer.compress(data) + packer.flush()

    def _open(self) -> BinaryIO:
        if self._file is None:
            now = self._clock.now_ns()
            self.path = self._folder / f"{self._name}-{now:020}{SUFFIX}"
            file = self.path.open("xb")
            header = msgspec.structs.replace(self._header, started=self._header.started or now)
            try:
                file.write(self._member(HEADER + msgspec.json.encode(header) + b"\n"))
            except OSError:
                file.close()
                self.path.unlink(missing_ok=True)
                raise
            self._file = file
            self._size = file.tell()
        return self._file

    def _close_broken(self, file: BinaryIO, start: int) -> None:
        """Cut off what was half written; if even that fails, readers stop there and a new file takes over."""
        try:
            file.truncate(start)
            file.seek(start)
        except OSError:
            self._file = None

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self.flush()
        self._close_file()

    async def run(self, every_s: float = 1.0) -> None:
        """Flush every second in a thread, until cancelled; a full disk is waited out."""
        try:
            while True:
                await self._clock.sleep(every_s)
                try:
                    await asyncio.to_thread(self.flush)
                except StorageFull:
                    continue
        finally:
            try:
                self.close()
            except StorageFull:
                self._close_file()


class RingArchive(FrameWriter):
    """The last frames within a byte budget: the oldest file leaves first [19]. Default 2 GiB in 32 files."""

    def __init__(
        self, folder: Path, name: str, header: Header, clock: Clock, *, max_bytes: int = 2 << 30, files: int = 32
    ) -> None:
        super().__init__(folder, name, header, clock, rotate_bytes=max(1, max_bytes // files))
        self._max_bytes = max_bytes

    def flush(self) -> int:
        self._make_room()
        try:
            written = super().flush()
        except StorageFull:
            if not self._drop_oldest():
                raise
            written = super().flush()
        if written:
            self._make_room()
        return written

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._name}-*{SUFFIX}"))

    def bytes(self) -> int:
        """What the ring takes on disk."""
        return sum(f.stat().st_size for f in self._files())

    def _make_room(self) -> None:
        while self.bytes() > self._max_bytes and self._drop_oldest():
            pass

    def _drop_oldest(self) -> bool:
        files = self._files()
        oldest = next((f for f in files if f != self.path or self._file is None), None)
        if oldest is None:
            return False
        oldest.unlink(missing_ok=True)
        return True


def started_of(path: Path) -> int:
    """When a file written here was begun (ns), from its name; 0 for other names."""
    digits = path.name.removesuffix(SUFFIX).rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def seconds_kept(folder: Path, name: str) -> float:
    """How far back a ring reaches, from its oldest to its newest file."""
    starts = [started_of(f) for f in sorted(folder.glob(f"{name}-*{SUFFIX}"))]
    return (starts[-1] - starts[0]) / NS_PER_SECOND if starts else 0.0
