"""The fork server: what it begins is a process of the service as any, and its own end is nobody else's."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from candlewick.app.cluster import forkserver as module
from candlewick.app.cluster.forkserver import UNKNOWN, ForkServer

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every process is a new program"),
]
COMMAND = [sys.executable, "-m", "candlewick.app.cli.main", "run"]


class Ground:
    """A fork server, and handovers that say nothing: a process waits for the first word."""

    def __init__(self):
        self.server, self.lines, self.begun = ForkServer("demo"), [], []

    async def begin(self, service, *arguments, env=None):
        ours, theirs = socket.socketpair()
        self.lines.append(ours)
        with theirs:
            begun = await self.server.begin(
                [*COMMAND, service, "--profile", "cluster", "--exchange", "demo", *arguments],
                env or {},
                theirs.fileno(),
            )
        self.begun.append(begun)
        return begun

    def process(self):
        """Of the fork server itself."""
        return psutil.Process(self.server._process.pid)

    async def close(self):
        for begun in self.begun:
            begun.send_signal(signal.SIGKILL)
            begun.close()
        for line in self.lines:
            line.close()
        await self.server.close()


@pytest.fixture
async def ground():
    made = Ground()
    yield made
    await made.close()


async def printed(begun):
    text = b""
    while piece := await begun.read():
        text += piece
    return text.decode()


def open_of(pid):
    """The sockets and processes that a process holds descriptors of."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            held.add(str(entry.readlink()))
    return {one for one in held if "socket" in one or "pidfd" in one}


async def test_what_it_prints_and_how_it_ends_is_told(ground):
    begun = await ground.begin("nobody")
    text = await printed(begun)
    assert "candlewick: UNKNOWN_SERVICE: service must be one of stream," in text
    assert await begun.wait() == 1
    begun.send_signal(signal.SIGKILL)  # nothing: it has ended

    killed = await ground.begin("market")
    killed.send_signal(signal.SIGKILL)
    assert await killed.wait() == -signal.SIGKILL


async def test_a_process_is_as_one_begun_as_a_new_program(ground):
    begun = await ground.begin("market", "--member", "market-7", env={"CANDLEWICK_APP__LOG_LEVEL": "debug"})
    process = psutil.Process(begun.pid)
    for _ in range(200):
        if (title := " ".join(process.cmdline()).strip()).startswith("candlewick run"):
            break
        await asyncio.sleep(0.05)
    assert title == "candlewick run market"
    assert os.getsid(begun.pid) == begun.pid, "Ctrl-C is the supervisor's to hand on"
    assert ground.process().num_threads() == 1, "a fork has one thread, whatever others held"
    assert not open_of(begun.pid) & open_of(ground.process().pid), "the line to the supervisor is the fork server's"
    assert process.environ()["PATH"] == os.environ["PATH"], "what it was begun with can be read"
    ground.lines.pop().close()
    assert await begun.wait() in (0, 1), "nobody is there to say anything to"


async def test_when_it_is_killed_its_processes_go_on_and_the_next_is_begun_by_another(ground):
    before = await ground.begin("market")
    first = ground.process().pid
    os.kill(first, signal.SIGKILL)
    with suppress(OSError):  # as long as nobody knows; the supervisor begins that one again
        await ground.begin("gateway")
    after = await ground.begin("gateway")
    assert ground.process().pid != first
    assert psutil.pid_exists(before.pid)
    assert psutil.pid_exists(after.pid)
    before.send_signal(signal.SIGKILL)
    assert await before.wait() == UNKNOWN, "it is seen that it ended, and nobody knows how"
    after.send_signal(signal.SIGKILL)
    assert await after.wait() == -signal.SIGKILL


async def test_where_it_cannot_be_had_a_process_is_a_new_program(ground, monkeypatch):
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    begun = await ground.begin("nobody")
    assert "UNKNOWN_SERVICE" in await printed(begun)
    assert await begun.wait() == 1
