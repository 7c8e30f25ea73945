"""Reading recordings: text lines ``<receive ns> <raw frame>``, plain or gzip.

Our own recordings and the public ``binance_raw_hft`` files have this shape; ours begin with a header line (``#``).
"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from candlewick.kernel.errors import NotFound

HEADER: Final = b"#candlewick-frames "
_CHUNK: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"
_TS_DIGITS: Final = 19
SUFFIXES: Final = (".gz", ".frames", ".txt", ".jsonl")
Report = Callable[[str, str], None]


class RecordingNotFound(NotFound):
    """No recording at the path."""

    code = "RECORDING_NOT_FOUND"


class Header(msgspec.Struct, frozen=True):
    """What a recording says of itself. ``started`` is ns since the epoch."""

    venue: str
    version: int = 1
    symbols: tuple[str, ...] = ()
    started: int = 0


class Position(msgspec.Struct, frozen=True, order=True):
    """Where to go on reading: ``file`` is the name within the recording, ``line`` counts lines already used."""

    file: str
    line: int


class Block(msgspec.Struct, frozen=True):
    """Frames of lines that follow each other, and the position behind the last of them."""

    position: Position
    frames: list[tuple[int, bytes]]

    def position_after(self, frames: int) -> Position:
        """Where to go on when only the first ``frames`` frames were used."""
        return Position(self.position.file, self.position.line - len(self.frames) + frames)


def recording_files(path: Path) -> list[Path]:
    """A recording's files, oldest first by name: the file itself or a folder's. Raises RecordingNotFound."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RecordingNotFound(f"a recording must be a file or a folder, was {str(path)!r}")
    found = sorted(p for p in path.iterdir() if p.is_file() and p.suffix in SUFFIXES)
    if not found:
        raise RecordingNotFound(f"the folder must hold recordings ({', '.join(SUFFIXES)}), was {str(path)!r}")
    return found


def read_header(path: Path) -> Header | None:
    """A recording's own header line; None where it has none or it cannot be read."""
    for data in _unpacked(path, lambda _code, _detail: None):
        line = data.partition(b"\n")[0]
        if not line.startswith(HEADER):
            return None
        try:
            return msgspec.json.decode(line[len(HEADER) :], type=Header)
        except msgspec.DecodeError:
            return None
    return None


def read_blocks(path: Path, report: Report, *, from_line: int = 0, lines: int = 8192) -> Iterator[Block]:
    """Frames of one file in blocks of at most ``lines`` frames, behind the first ``from_line`` lines.

    A file that ends in the middle of a record (a killed recorder, a full disk, a copy cut short) gives everything
    before and reports TRUNCATED_FILE; a line without a receive time is skipped and reported as BAD_LINE.
    """
    number = 0
    frames: list[tuple[int, bytes]] = []
    for line in _lines(path, report):
        number += 1
        if number <= from_line:
            continue
        digits, _, raw = line.partition(b" ")
        if len(digits) <= _TS_DIGITS and digits.isdigit() and raw:
            frames.append((int(digits), raw))
            if len(frames) >= lines:
                yield Block(Position(path.name, number), frames)
                frames = []
            continue
        if line and not line.startswith(b"#"):
            report("BAD_LINE", f"{path.name}:{number} must begin with a receive time in ns, was {line[:60]!r}")
        if frames:
            yield Block(Position(path.name, number - 1), frames)
            frames = []
    if frames:
        yield Block(Position(path.name, number), frames)


def _lines(path: Path, report: Report) -> Iterator[bytes]:
    rest = b""
    broken: list[str] = []

    def remember(code: str, detail: str) -> None:
        broken.append(code)
        report(code, detail)

    for data in _unpacked(path, remember):
        parts = (rest + data).split(b"\n")
        rest = parts.pop()
        yield from parts
    # A last line without its newline is whole only when the file is.
    if rest and not broken:
        yield rest


def _unpacked(path: Path, report: Report) -> Iterator[bytes]:
    with path.open("rb") as file:
        data = file.read(_CHUNK)
        if not data.startswith(_GZIP):
            while data:
                yield data
                data = file.read(_CHUNK)
            return
        member = zlib.decompressobj(wbits=31)
        is_fresh = True
        while True:
            try:
                out = member.decompress(data)
            except zlib.error as error:
                report("TRUNCATED_FILE", f"{path.name} is damaged ({error}); everything before is used")
                return
            is_fresh = is_fresh and not data
            if out:
                yield out
            if member.eof:
                data = member.unused_data
                member = zlib.decompressobj(wbits=31)
                is_fresh = True
                if data:
                    continue
            data = file.read(_CHUNK)
            if not data:
                if not is_fresh:
                    report("TRUNCATED_FILE", f"{path.name} ends in the middle of a record; everything before is used")
                return
