"""A cluster's worth of names of their own on the real servers: topics, databases, roles, keys; gone with the test."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.adapters.db.postgres.provisioning import deprovision
from candlewick.adapters.log.kafka import KafkaOptions, KafkaTopics
from candlewick.app.cluster.urls import role_prefix
from candlewick.app.registry import SERVICES
from candlewick.contracts.topics import CATALOGUE
from candlewick.kernel.system import SystemIds
from candlewick.quant.candles.merge import ARRAYS
from candlewick.testing import servers
from tests.e2e.server import Product, free_port
from tools.servers.__main__ import SETTINGS

NEEDED = ("kafka", "postgres", "redis", "rabbitmq", "s3")
MISSING = [reason for name in NEEDED if (reason := servers.why_not(name))]
needs_cluster = pytest.mark.skipif(bool(MISSING), reason=MISSING[0] if MISSING else "there")


class Cluster:
    """``candlewick up --profile cluster`` below one prefix."""

    def __init__(self, folder: Path, *, env: dict[str, str] | None = None) -> None:
        self.folder, self.port = folder, free_port()
        self.prefix = f"t{SystemIds().new().hex[-10:]}."
        self.env = env or {}
        self.file = folder / "servers.toml"
        named = {name: servers.address(key) for name, key in SETTINGS.items()}
        settings = {**named, "prefix": self.prefix, "s3_style": "folders"}
        rows = "".join(f'{name} = "{value or ""}"\n' for name, value in settings.items())
        self.file.write_text(f"[cluster]\n{rows}")

    def up(self, *arguments: str) -> Product:
        """Everything, not yet ready."""
        given = ["up", "--profile", "cluster", "--config", str(self.file), "--port", str(self.port)]
        return Product(
            [*given, "--data-dir", str(self.folder / "data"), *arguments], self.folder, port=self.port, env=self.env
        )

    def service(self, name: str) -> Product:
        """Questions to one of its processes."""
        from candlewick.app.registry import load

        return _Asked(self.port + load(name).place)

    def stored(self) -> dict[tuple[str, int], dict[str, object]]:
        """Every series that history keeps, all columns."""
        admin = urlsplit(str(servers.address("postgres")))
        url = admin._replace(path=f"/{role_prefix(self.prefix)}history").geturl()

        async def read() -> dict[tuple[str, int], dict[str, object]]:
            store = PostgresCandleStore(url)
            await store.open()
            found = {}
            for series in await store.series():
                rows = await store.range(series.exchange, series.symbol, series.timeframe_s, 0, 1 << 62)
                found[series.symbol, series.timeframe_s] = {name: getattr(rows, name) for name in ARRAYS}
            await store.close()
            return found

        return asyncio.run(read())

    def wipe(self) -> None:
        """Everything of this prefix on the servers."""
        KafkaTopics(str(servers.address("kafka")), CATALOGUE, KafkaOptions(prefix=self.prefix)).delete()

        async def drop() -> None:
            for name in SERVICES:
                await deprovision(str(servers.address("postgres")), name, prefix=role_prefix(self.prefix))

        asyncio.run(drop())


class _Asked(Product):
    """HTTP to a process that somebody else started."""

    def __init__(self, port: int) -> None:
        self.port, self.base = port, f"http://127.0.0.1:{port}"

    def text(self) -> str:
        return ""


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A prefix of its own; what is left of it on the servers is removed in the end."""
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.wipe()


def children(pid: int) -> dict[str, int]:
    """Process ids of a supervisor's services, begun by itself or by its fork server."""
    found = {}
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error, ValueError):
            words = " ".join(process.cmdline()).split()
            found[words[words.index("run") + 1]] = process.pid
    return found


def kill_all(pids: Sequence[int]) -> None:
    """Whoever of them is still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
