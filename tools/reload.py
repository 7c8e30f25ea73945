"""``./dev up --reload``: candlewick up, begun again when its code changes; the data stays.

With --profile embedded the one process ends in order and a new one goes on where it stopped. With --profile cluster the
services that a change concerns are switched to new processes as ``candlewick deploy switch`` does, so nothing pauses; a
change of the supervisor itself begins all anew. Code that cannot be compiled is told, and what runs goes on. The page
is served by Vite beside it, where it follows its sources by itself.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from candlewick.app.configuration import read
from candlewick.app.control import door, place
from candlewick.app.registry import SERVICES
from candlewick.kernel.errors import CandlewickError

ROOT: Final = Path(__file__).resolve().parent.parent
_LOOK_S: Final = 0.3
_ENDS_WITHIN_S: Final = 30.0
#: What the process that supervises the others runs itself.
_SUPERVISOR: Final = ("app/cluster/", "app/control/", "app/cli/up.py")

Times = Mapping[Path, int]


def times(source: Path) -> Times:
    """When each Python file below ``source`` was changed last, ns."""
    found: dict[Path, int] = {}
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if name.endswith(".py"):
                with contextlib.suppress(FileNotFoundError):
                    file = Path(folder, name)
                    found[file] = file.stat().st_mtime_ns
    return found


def changes(source: Path, stop: threading.Event) -> Iterator[list[Path]]:
    """Files changed, made or removed since this was called, once an editor or a checkout is at rest; until ``stop``."""
    return _since(times(source), source, stop)


def _since(known: Times, source: Path, stop: threading.Event) -> Iterator[list[Path]]:
    while not stop.wait(_LOOK_S):
        now = times(source)
        if now == known:
            continue
        while not stop.wait(_LOOK_S) and (later := times(source)) != now:
            now = later
        yield sorted(file for file in now.keys() | known.keys() if now.get(file) != known.get(file))
        known = now


def faults(files: Sequence[Path]) -> list[str]:
    """What keeps files from being run at all."""
    found = []
    for file in files:
        try:
            compile(file.read_bytes(), str(file), "exec")
        except FileNotFoundError:
            continue
        except (SyntaxError, ValueError) as error:
            found.append(f"{file}: {error}")
    return found


def concerned(source: Path, files: Sequence[Path]) -> tuple[str, ...] | None:
    """The services whose processes run what was changed; None when it is the supervisor's own."""
    names = [file.relative_to(source / "candlewick").as_posix() for file in files]
    if any(name.startswith(_SUPERVISOR) for name in names):
        return None
    owners = {name.split("/")[1] if name.startswith("services/") else "" for name in names}
    return tuple(SERVICES) if owners - set(SERVICES) else tuple(name for name in SERVICES if name in owners)


class Running:
    """``candlewick up`` with these arguments, one process after the other."""

    def __init__(self, arguments: Sequence[str], *, is_cluster: bool, data_dir: Path | None) -> None:
        self._command = [sys.executable, "-m", "candlewick.app.cli.main", "up", *arguments]
        self._is_cluster, self._data_dir = is_cluster, data_dir
        self._process = subprocess.Popen(self._command)

    def is_over(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def reload(self, services: tuple[str, ...] | None) -> None:
        """Have the new code run. A process that did not come up is tried again with the next change."""
        if self._is_cluster and services is not None and not self.is_over():
            switches = [threading.Thread(target=self._switch, args=(name,)) for name in services]
            for one in switches:
                one.start()
            for one in switches:
                one.join()
            return
        self.end()
        self._process = subprocess.Popen(self._command)

    def _switch(self, service: str) -> None:
        try:
            for told in door.ask(place.find(read(data_dir=self._data_dir).data_dir), "switch", service=service):
                if "said" in told:
                    tell(told["said"])
        except CandlewickError as error:
            tell(f"{error.code}: {error}")

    def end(self) -> int:
        """Its exit status, once it has ended in order."""
        if not self.is_over():
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def tell(text: str) -> None:
    """A line of this program's own among those of what it runs."""
    print(f"reload: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def page(port: int) -> Iterator[None]:
    """Vite's server of the page beside it, where its packages are installed."""
    if not (ROOT / "web/node_modules").is_dir():
        yield
        return
    env = {**os.environ, "CANDLEWICK_URL": f"http://127.0.0.1:{port}"}
    command = ["npm", "--prefix", str(ROOT / "web"), "run", "--silent", "dev"]
    vite = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(vite.pid, signal.SIGTERM)
        vite.wait()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev up --reload", description=__doc__, add_help=False)
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    parser.add_argument("--no-page", action="store_true")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--profile", default="embedded")
    arguments = sys.argv[1:] if argv is None else argv
    own, _ = parser.parse_known_args(arguments)
    passed = _without(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    changed = changes(own.source, stop)
    with contextlib.nullcontext() if own.no_page else page(own.port):
        running = Running(passed, is_cluster=own.profile == "cluster", data_dir=own.data_dir)
        for files in changed:
            if found := faults(files):
                tell("; ".join(found))
                continue
            services = concerned(own.source, files)
            shown = ", ".join(str(file.relative_to(own.source)) for file in files[:3])
            tell(f"{shown}{f' and {len(files) - 3} more' if len(files) > 3 else ''} changed")
            begun = time.perf_counter()
            running.reload(services)
            tell(f"done in {time.perf_counter() - begun:.1f} s")
        return running.end()


def _without(arguments: Sequence[str]) -> list[str]:
    """What is for ``candlewick up``."""
    left = [one for one in arguments if one != "--no-page" and not one.startswith("--source=")]
    if "--source" in left:
        at = left.index("--source")
        del left[at : at + 2]
    return left


if __name__ == "__main__":
    sys.exit(main())
