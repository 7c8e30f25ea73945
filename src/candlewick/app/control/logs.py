"""What processes print, kept in the data dir: a file a name, the oldest part forgotten."""

import os
import queue
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

FOLDER: Final = "logs"
#: The process that ``candlewick up`` itself is.
OWN: Final = "up"
_MOST_BYTES: Final = 8 << 20
_KEPT: Final = 3
_COLOURS: Final = re.compile(rb"\x1b\[[0-9;]*m")


class LogFile:
    """Appends whole lines; a file that has grown to ``most_bytes`` becomes NAME.1, and so on to NAME.``kept``. Its
    disk being full or gone costs the file's lines, never the process."""

    def __init__(self, file: Path, *, most_bytes: int = _MOST_BYTES, kept: int = _KEPT) -> None:
        self._file, self._most, self._kept = file, most_bytes, kept
        self._lock = threading.Lock()
        self._out: IO[bytes] | None = None
        self._size = 0

    def write(self, lines: bytes) -> None:
        """From any thread."""
        plain = _COLOURS.sub(b"", lines)
        with self._lock:
            try:
                if self._out is None:
                    self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._out = os.fdopen(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb", 0)
                    self._size = self._file.stat().st_size
                self._out.write(plain)
                self._size += len(plain)
                if self._size >= self._most:
                    self._turn()
            except OSError:
                self._let_go()

    def _turn(self) -> None:
        self._let_go()
        for number in range(self._kept, 0, -1):
            older = self._file.with_name(f"{self._file.name}.{number}")
            newer = self._file if number == 1 else self._file.with_name(f"{self._file.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)

    def _let_go(self) -> None:
        out, self._out = self._out, None
        if out is not None:
            out.close()

    def close(self) -> None:
        with self._lock:
            self._let_go()


class Lines:
    """Puts the pieces of a pipe together to whole lines."""

    _LONGEST: Final = 1 << 20

    def __init__(self) -> None:
        self._rest = b""

    def take(self, piece: bytes) -> bytes:
        """The lines that are whole now; one without an end is given out when it is unreasonably long."""
        whole, newline, rest = (self._rest + piece).rpartition(b"\n")
        if not newline and len(rest) > self._LONGEST:
            whole, newline, rest = rest, b"\n", b""
        self._rest = rest
        return whole + newline

    def end(self) -> bytes:
        """What had no end."""
        rest, self._rest = self._rest, b""
        return rest + b"\n" if rest else b""


class Tee:
    """A text stream that is kept in a file as well."""

    def __init__(self, stream: Any, file: LogFile) -> None:
        self._stream, self._file = stream, file
        self._lines, self._lock = Lines(), threading.Lock()

    def write(self, text: str) -> int:
        """As the stream's own."""
        with self._lock:
            if whole := self._lines.take(text.encode(errors="replace")):
                self._file.write(whole)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Terminal:
    """Lines of many processes onto one stream, by a thread: a terminal that was paused holds up nobody, it misses
    lines, which the files have."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._waiting: queue.Queue[bytes | None] = queue.Queue(maxsize=10_000)
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Whole lines. Never waits."""
        with suppress(queue.Full):
            self._waiting.put_nowait(lines)

    def _run(self) -> None:
        while (lines := self._waiting.get()) is not None:
            with suppress(OSError, ValueError):
                self._stream.write(lines.decode(errors="replace"))
                self._stream.flush()

    def close(self, within_s: float = 2.0) -> None:
        """What waits is written, if the stream takes it in time."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(within_s)


@contextmanager
def kept(data_dir: Path, name: str = OWN) -> Iterator[None]:
    """Standard output and error of this process are kept as well, for the time of the block."""
    file = LogFile(data_dir / FOLDER / f"{name}.log")
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Tee(before[0], file), Tee(before[1], file)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        file.close()
