"""The product as its operator starts it: ``candlewick up --profile cluster``, and what is done to its processes."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from candlewick.app import configuration
from candlewick.app.cluster.preparing import make_databases, own_settings
from candlewick.app.cluster.processes import environment
from candlewick.app.configuration import ClusterSettings
from candlewick.app.registry import SERVICES, load
from tools.chaos.ground import HOME, MARK, Ground
from tools.chaos.links import Links
from tools.servers.place import ROOT, Trouble

#: Services whose HTTP can be cut off from those that ask them.
ASKED: Final = ("market", "realtime", "history")
_READY_S, _STOP_S, _STANDING_IN_S, _ANSWER_S = 180.0, 60.0, 60.0, 5.0
_PORTS: Final = range(30_200, 32_000, 100)


class Product:
    """One process a service, on servers of the run's own; ``launcher`` is how ``candlewick`` is begun."""

    def __init__(
        self, folder: Path, ground: Ground, links: Links, prefix: str, launcher: Sequence[str], recording: Path
    ) -> None:
        self.folder, self.prefix = folder, prefix
        self.data = folder / "data"
        self.port = _free_port()
        self._launcher, self._recording = tuple(launcher), recording
        self._config = folder / "servers.toml"
        self._config.write_text(self._settings(ground.addresses(), links))
        self._up: subprocess.Popen[bytes] | None = None
        self._beside: list[subprocess.Popen[bytes]] = []
        self._paused: list[psutil.Process] = []
        self._given: list[str] = []
        self._count = self._stand_ins = 0

    def _settings(self, addresses: Mapping[str, str], links: Links) -> str:
        """The configuration file: everything but the brokers and the queue through a link that can be cut."""
        laid = {name: links.lay(name, f"127.0.0.1:{self.port + load(name).place}") for name in ASKED}
        urls = [f"{name}=http://{listen}" for name, listen in laid.items()]
        found = dict(addresses)
        for name in ("postgres", "redis"):
            scheme, _, rest = found[name].partition("://")
            who, at, where = rest.rpartition("@")
            host, slash, path = where.partition("/")
            found[name] = f"{scheme}://{who}{at}{links.lay(name, host)}{slash}{path}"
        cluster = {
            "kafka_brokers": found["kafka"],
            "prefix": self.prefix,
            "postgres_admin_url": found["postgres"],
            "postgres_replica_url": found["postgres_replica"],
            "redis_url": found["redis"],
            "rabbitmq_url": found["rabbitmq"],
            "s3_url": found["s3"],
            "s3_style": "folders",
            "registry_url": found["registry"],
        }
        return "\n".join((
            "[app]", f"service_urls = {json.dumps(urls)}",
            "[cluster]", *(f"{name} = {json.dumps(value)}" for name, value in cluster.items()),
            # A client learns from a heartbeat that does not come that its line is dead.
            "[realtime]", "heartbeat_s = 1.0",

        )) + "\n"  # fmt: skip

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self, speed: str) -> None:
        """Everything, ready; begun once more when it ends by itself before. Raises Trouble."""
        self._given = ["--profile", "cluster", "--config", str(self._config), "--speed", speed]
        self._given += ["--replay", str(self._recording)]
        given = ["up", "--port", str(self.port), "--data-dir", str(self.data), *self._given]
        for left in (1, 0):
            self._count += 1
            self._up = _begun([*self._launcher, *given], self.log, {**os.environ, MARK: str(HOME)})
            if await self._ready():
                return
            ended = self._up.poll() is not None
            self.kill()
            if not ended or not left:
                raise Trouble(f"the product did not come up. The end of {self.log}:\n{self.tail()}")

    async def _ready(self) -> bool:
        """Whether all services serve before it ends or the time is over."""
        deadline = time.monotonic() + _READY_S
        while not all((await self.states()).values()):
            if self._up is None or self._up.poll() is not None or time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.2)
        return True

    @property
    def log(self) -> Path:
        """What this start says."""
        return self.folder / f"product-{self._count}.log"

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def stop(self) -> int:
        """As Ctrl-C does; the exit status. Whatever is left is killed."""
        self._go_on()
        for process in self._beside:
            await asyncio.to_thread(_ended, process, signal.SIGTERM, 10.0)
        self._beside.clear()
        up = self._up
        if up is None:
            return 0
        children = self._tree()
        status = await asyncio.to_thread(_ended, up, signal.SIGINT, _STOP_S)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._up = None
        return status

    def kill(self) -> None:
        """At once, with everything it started."""
        self._go_on()
        for process in [*self._beside, *([self._up] if self._up else [])]:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()
        self._beside.clear()
        self._up = None

    def _go_on(self) -> None:
        for process in self._paused:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self._paused.clear()

    def _tree(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._up.pid).children(recursive=True) if self._up else []
        except psutil.NoSuchProcess:
            return []

    # -- its processes ------------------------------------------------------------------------------------------------

    def process(self, service: str) -> psutil.Process:
        """The service's process now. Raises Trouble while there is none."""
        if self._up is not None:
            for child in self._tree():
                with contextlib.suppress(psutil.Error):
                    words = " ".join(child.cmdline()).split()
                    if "run" in words and words[words.index("run") + 1] == service:
                        return child
        raise Trouble(f"no process of this service runs now, was {service!r}")

    async def kill_service(self, service: str) -> None:
        """Kill -9, once there is a process."""
        (await self._there(service)).kill()

    async def _there(self, service: str) -> psutil.Process:
        for _ in range(200):
            with contextlib.suppress(Trouble):
                return self.process(service)
            await asyncio.sleep(0.1)
        return self.process(service)

    async def pause(self, service: str) -> psutil.Process:
        """It sleeps until ``resume``; nobody else notices but by its silence."""
        found = await self._there(service)
        found.suspend()
        self._paused.append(found)
        return found

    def resume(self, process: psutil.Process) -> None:
        process.resume()
        self._paused.remove(process)

    async def stand_in(self, service: str) -> subprocess.Popen[bytes]:
        """A second process of the service under another name, on a disk of its own; returns when it is ready, or
        after a while when it cannot be, as its neighbour is paused."""
        port = _free_port()
        self._stand_ins += 1
        name = f"{service}-{self._stand_ins}"
        words = [*self._launcher, "run", service, "--member", name, "--data-dir", str(self.folder / name)]
        words += ["--port", str(port), *self._given]
        begun = _begun(words, self.folder / f"{name}.log", await self._environment(service))
        self._beside.append(begun)
        deadline = time.monotonic() + _STANDING_IN_S
        while begun.poll() is None and time.monotonic() < deadline:
            if await _answers(port + load(service).place):
                break
            await asyncio.sleep(0.1)
        return begun

    async def _environment(self, service: str) -> dict[str, str]:
        """What the supervisor tells a process of the service: its own database, and no administrator."""
        settings, found = configuration.read(data_dir=self.data, config=self._config).section(
            ClusterSettings, "cluster"
        )
        urls = await make_databases(settings, [service], self.data)
        own = own_settings(settings, urls.get(service, ""))
        return {**os.environ, MARK: str(HOME), **environment(own, found.sources)}

    async def dismiss(self, process: subprocess.Popen[bytes]) -> None:
        """End a stand-in in order."""
        await asyncio.to_thread(_ended, process, signal.SIGTERM, 30.0)
        self._beside.remove(process)

    # -- what it says of itself ----------------------------------------------------------------------------------------

    async def states(self) -> dict[str, bool]:
        """By service, whether it answers and serves, degraded perhaps."""
        found = await asyncio.gather(*(_answers(self.port + load(name).place) for name in SERVICES))
        return dict(zip(SERVICES, found, strict=True))

    async def facts(self, service: str) -> dict[str, Any]:
        """Of /health/detailed; empty while it does not answer."""
        reply = await _get(self.port + load(service).place, "/health/detailed")
        try:
            found: dict[str, Any] = json.loads(reply.partition(b"\r\n\r\n")[2]).get("facts") or {}
        except ValueError:
            return {}
        return found


def launcher(mutant: str | None) -> list[str]:
    """How ``candlewick`` is begun, sound or with one promise broken."""
    if mutant is None:
        return [sys.executable, "-m", "candlewick.app.cli.main"]
    return [sys.executable, "-m", "tools.chaos.mutants", mutant]


async def _answers(port: int) -> bool:
    return b" 200 " in (await _get(port, "/health")).partition(b"\r\n")[0]


async def _get(port: int, path: str) -> bytes:
    """Head and body; empty when nothing answers in time."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def _begun(words: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            words, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def _ended(process: subprocess.Popen[bytes], number: signal.Signals, seconds: float) -> int:
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _free_port() -> int:
    """A port with nobody on it, nor on the twenty above."""
    for port in _PORTS:
        if all(_is_free(port + above) for above in range(21)):
            return port
    raise Trouble(f"no free ports for the services, all of {_PORTS} are taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
