"""Servers of the run's own, beside those that tests share: what is killed here is nobody else's."""

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil

from tools.servers import place, supervise
from tools.servers.kafka import Kafka
from tools.servers.place import ROOT, Trouble
from tools.servers.postgres import Postgres
from tools.servers.rabbitmq import RabbitMQ
from tools.servers.redis import Redis
from tools.servers.registry import Registry
from tools.servers.s3 import S3
from tools.servers.server import Server
from tools.servers.supervise import Process
from tools.servers.toxiproxy import Toxiproxy

T = TypeVar("T")
KINDS: tuple[type[Server], ...] = (Postgres, Redis, Kafka, RabbitMQ, S3, Toxiproxy, Registry)
HOME = ROOT / ".dev/chaos"
#: Every process of a run carries it in its environment, so that none is left behind and no other is taken for one.
MARK = "CANDLEWICK_CHAOS"
_SHIFTS = range(5000, 10_001, 1000)


class Ground:
    """All servers in one folder, on ports that are free now."""

    def __init__(self, home: Path = HOME / "servers") -> None:
        self._home = home
        self._servers: dict[str, Server] = {}
        self.ports: dict[str, int] = {}

    def start(self) -> None:
        """From nothing. Raises Trouble."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(parents=True)
        (self._home / "artefacts").symlink_to(place.HOME / "artefacts")
        self.ports = place.ports(_free_shift())
        self._servers = {kind.name: kind(self.ports, self._home) for kind in KINDS}
        for server in self._servers.values():
            server.fetch()
        with ThreadPoolExecutor(len(self._servers)) as threads:
            first = {n: threads.submit(s.start) for n, s in self._servers.items() if not s.needs}
            first["postgres"].result()
            list(threads.map(Server.start, [s for s in self._servers.values() if s.needs]))
            for begun in first.values():
                begun.result()

    def remove(self) -> None:
        """Stop them all and forget their data."""
        for wave in (True, False):
            chosen = [server for server in self._servers.values() if bool(server.needs) is wave]
            for server in chosen:
                for process in server.processes():
                    if (alive := process.running()) is not None:
                        alive.resume()  # one that is paused does not hear that it is to end
            with ThreadPoolExecutor(max(1, len(chosen))) as threads:
                list(threads.map(Server.stop, chosen))
        shutil.rmtree(self._home, ignore_errors=True)

    def addresses(self) -> dict[str, str]:
        """By the names of ``candlewick.testing.servers``."""
        return {name: address for server in self._servers.values() for name, address in server.addresses().items()}

    def links(self) -> range:
        """Ports for links through toxiproxy."""
        by = self.ports["toxiproxy"] - place.PORTS["toxiproxy"]
        return range(place.LINKS[0] + by, place.LINKS[1] + by + 1)

    # -- what faults do to them ---------------------------------------------------------------------------------------

    async def kill(self, name: str) -> None:
        """Kill -9 of one process, such as kafka-2."""
        await _on_thread(lambda: _killed(self._process(name)))

    async def pause(self, name: str) -> None:
        """The process lives and does nothing; its connections stay."""
        _alive(self._process(name)).suspend()

    async def resume(self, name: str) -> None:
        _alive(self._process(name)).resume()

    async def begin(self, name: str) -> None:
        """Start a process again that was killed; returns at once."""
        await _on_thread(lambda: supervise.spawn(self._process(name)))

    async def restart(self, server: str) -> None:
        """Stop one as an operator would, PostgreSQL its primary alone, and start it again; returns when it answers."""
        found = self._servers[server]
        process = self._process(server)
        await _on_thread(lambda: supervise.stop([process]))
        await _on_thread(lambda: supervise.spawn(process))
        await self._until(found)

    async def whole(self) -> None:
        """Once all servers answer. Raises Trouble."""
        for server in self._servers.values():
            await self._until(server)

    async def _until(self, server: Server) -> None:
        await _on_thread(lambda: supervise.wait_ready(server.why_not, server.processes(), server.ready_seconds))

    def _process(self, name: str) -> Process:
        for server in self._servers.values():
            for process in server.processes():
                if process.name == name:
                    return process
        raise Trouble(f"there is no server process of that name, was {name!r}")


def leftovers() -> list[psutil.Process]:
    """Processes of a run that still live, this one apart."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.pid != os.getpid() and process.environ().get(MARK) == str(HOME)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def end(processes: Sequence[psutil.Process]) -> None:
    """Kill them."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def _free_shift() -> int:
    for by in _SHIFTS:
        if all(supervise.holder(port) is None for port in place.ports(by).values()):
            return by
    raise Trouble(f"no free ports for the servers: all of {_SHIFTS} beside ./dev servers are taken")


def _alive(process: Process) -> psutil.Process:
    found = process.running()
    if found is None:
        raise Trouble(f"{process.name} does not run. The end of its log:\n{supervise.tail(process.log, 15)}")
    return found


def _killed(process: Process) -> None:
    alive = _alive(process)
    alive.kill()
    alive.wait(10)


async def _on_thread(job: Callable[[], T]) -> T:
    return await asyncio.to_thread(job)
