"""Show what the 'candlewick up' of a data dir and its services have printed, also after its end."""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.registry import SERVICES, load
from candlewick.kernel.errors import NotFound

EXAMPLES = """examples:
  candlewick logs                       the last 100 lines of all, by time
  candlewick logs market history -f     of two services, and what comes
  candlewick logs -n 1000 | grep error
"""
_LOOK_S = 0.2
# How every log line begins: with its time, in both forms.
_TIME = re.compile(r'^(\d{4}-\d\d-\d\dT[0-9:.]+Z)|"timestamp": "([^"]+)"')
_UNIT = re.compile(r'(?:\bunit=|"unit": ")([\w.-]+)')


class NoLogs(NotFound):
    """Nothing was ever printed on this data dir."""

    code = "NO_LOGS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help=f"only of these: {', '.join(SERVICES)}")
    add_common(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="so many of the last (default 100)")


def run(parsed: argparse.Namespace) -> int:
    from candlewick.app.control.logs import FOLDER, OWN

    for name in parsed.services:
        load(name)
    home = configuration(parsed, checked=False).data_dir
    folders = [place / FOLDER for place in (home, home / "replay")]
    folder = next((place for place in folders if any(place.glob("*.log"))), None)
    if folder is None:
        raise NoLogs(f"no 'candlewick up' has run on this data dir, was {str(home)!r}", hint="--data-dir names another")
    # Of one process: everybody's lines are in its own file, each with who says it.
    names = [name for name in (parsed.services or (OWN, *SERVICES)) if (folder / f"{name}.log").exists()]
    files = {name: folder / f"{name}.log" for name in names or (OWN,)}
    only = () if names else tuple(parsed.services)
    width = max(map(len, files)) if len(files) > 1 else 0
    found = [line for line in merge(*(_dated(name, _kept(file)) for name, file in files.items())) if _is_of(line, only)]
    try:
        for _, name, text in found[-parsed.lines :] if parsed.lines > 0 else []:
            print(_shown(name, text, width))
        sys.stdout.flush()
        if parsed.follow:
            _follow(files, only, width)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has seen enough
    return 0


_Line = tuple[str, str, str]


def _kept(file: Path) -> Iterator[str]:
    """All lines that are kept, oldest first; turned files are FILE.1, FILE.2 and so on, older by number."""
    older = sorted(file.parent.glob(f"{file.name}.*"), key=lambda one: int(one.suffix[1:]), reverse=True)
    for one in (*older, file):
        with one.open(errors="replace") as lines:
            yield from (line.rstrip("\n") for line in lines)


def _dated(name: str, lines: Iterator[str]) -> Iterator[_Line]:
    """Time, name and text; a line without a time belongs to the one before it."""
    at = ""
    for text in lines:
        if match := _TIME.search(text):
            at = match[1] or match[2]
        yield at, name, text


def _is_of(line: _Line, units: Sequence[str]) -> bool:
    match = _UNIT.search(line[2])
    return not units or (match is not None and match[1] in units)


def _shown(name: str, text: str, width: int) -> str:
    return f"{name:{width}} | {text}" if width else text


def _follow(files: dict[str, Path], only: Sequence[str], width: int) -> None:
    """What comes; a file that was turned is begun anew."""
    places = {name: (file.stat().st_ino, file.stat().st_size) for name, file in files.items()}
    while True:
        time.sleep(_LOOK_S)
        for name, file in files.items():
            node, at = places[name]
            try:
                now = file.stat()
            except FileNotFoundError:
                continue
            if now.st_ino != node or now.st_size < at:
                at = 0
            if now.st_size > at:
                with file.open("rb") as lines:
                    lines.seek(at)
                    whole, newline, _ = lines.read().rpartition(b"\n")
                at += len(whole) + len(newline)
                for text in whole.decode(errors="replace").splitlines():
                    if _is_of(("", name, text), only):
                        print(_shown(name, text, width), flush=True)
            places[name] = (now.st_ino, at)
