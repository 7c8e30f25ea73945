"""Processes that outlive the command that started them: started apart, known by their pid file, ended to the last.

A pid file holds the pid and the time at which that process was created, so that a pid given to another process later
is not taken for ours.
"""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tools.servers.place import HOST, SHIFT_VARIABLE, Trouble

POLL_SECONDS = 0.05
PORT_SECONDS = 2.0  # what a killed server leaves behind holds its ports a little longer
SAME_SECONDS = 2.0  # the kernel's clock of process creation may be set back by as much


@dataclass(frozen=True)
class Process:
    """One operating-system process of a server, in a folder of its own."""

    name: str
    command: Sequence[str]
    folder: Path
    ports: Sequence[int] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    stop_with: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def running(self) -> psutil.Process | None:
        """The process, if it lives and is the one that was started."""
        return running(self.pid_file)


def running(pid_file: Path) -> psutil.Process | None:
    """The process that a pid file names, if it lives, is no zombie and is the one that was started."""
    try:
        told = json.loads(pid_file.read_text())
        process = psutil.Process(int(told["pid"]))
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - told["created"]) > SAME_SECONDS:
            return None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return process


def holder(port: int) -> str | None:
    """Who listens on a loopback port: a name and a pid where the machine tells, None where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
        else:
            return None
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f"{psutil.Process(connection.pid).name()}, pid {connection.pid}" if connection.pid else "unknown"
    return "a program this account may not see"


def spawn(process: Process) -> bool:
    """Start it unless it runs; False when there was nothing to do.

    Raises:
        Trouble: a port it wants is taken by something that is not it.
    """
    if process.running() is not None:
        return False
    for port in process.ports:
        end = time.monotonic() + PORT_SECONDS
        while (who := holder(port)) is not None:
            if time.monotonic() < end and process.pid_file.exists():
                time.sleep(POLL_SECONDS)
                continue
            raise Trouble(
                f"port {port}, which {process.name} wants, is taken ({who}). Stop that program, or set "
                f"{SHIFT_VARIABLE}=1000 to move all ports of this checkout"
            )
    process.folder.mkdir(parents=True, exist_ok=True)
    with process.log.open("ab") as log:
        child = subprocess.Popen(
            list(process.command),
            cwd=process.folder,
            env={**os.environ, **process.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    created = psutil.Process(child.pid).create_time()
    process.pid_file.write_text(json.dumps({"pid": child.pid, "created": created}) + "\n")
    return True


def wait_ready(why_not: Callable[[], str | None], processes: Sequence[Process], seconds: float) -> None:
    """Poll until ``why_not`` has nothing to say.

    Raises:
        Trouble: a process ended meanwhile, or the time is over; with the end of its log.
    """
    end = time.monotonic() + seconds
    while (reason := why_not()) is not None:
        for process in processes:
            if process.running() is None:
                raise Trouble(f"{process.name} ended as it started. The end of {process.log}:\n{tail(process.log, 15)}")
        if time.monotonic() > end:
            raise Trouble(f"not ready after {seconds:.0f} s: {reason}. See ./dev servers logs")
        time.sleep(POLL_SECONDS)


def stop(processes: Sequence[Process]) -> list[str]:
    """End them, all asked at once, and whatever they left behind; names those that had to be killed."""
    asked: list[tuple[Process, psutil.Process, list[psutil.Process]]] = []
    for process in processes:
        if (main := process.running()) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                # before the signal: children whose parent is gone can no longer be told from strangers
                asked.append((process, main, main.children(recursive=True)))
                main.send_signal(process.stop_with)
    killed = []
    for process, main, children in asked:
        if not _ended(main, process.stop_seconds):
            killed.append(process.name)
            with contextlib.suppress(psutil.NoSuchProcess):
                main.kill()
            _ended(main, 5)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()  # psutil compares creation times first: never a stranger under an old pid
    for process in processes:
        process.pid_file.unlink(missing_ok=True)
    return killed


def _ended(process: psutil.Process, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(POLL_SECONDS)
    return False


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, undecodable bytes replaced."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            return b"\n".join(file.read().splitlines()[-lines:]).decode(errors="replace")
    except FileNotFoundError:
        return "(no log)"
