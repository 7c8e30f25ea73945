"""What backup and restore share: each service's stores as a profile keeps them, and where backups lie."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candlewick.app.cli.options import add_common, add_profile, configuration
from candlewick.app.cluster.urls import add_urls, collect, keeping, known_urls
from candlewick.app.registry import SERVICES, load
from candlewick.kernel import logging
from candlewick.kernel.errors import NotFound
from candlewick.kernel.system import SystemClock, SystemIds

if TYPE_CHECKING:
    from candlewick.app.configuration import Configuration
    from candlewick.app.runtime.backups.archive import Archive
    from candlewick.ports.candles import CandleStore
    from candlewick.ports.database import Database
    from candlewick.ports.objects import Objects


class NothingToBackUp(NotFound):
    """There is no data dir, or none of the services has kept anything in it."""

    code = "NOTHING_TO_BACK_UP"


def add_stores(parser: argparse.ArgumentParser) -> None:
    """--profile, --urls, --url, --json and what every command has."""
    add_profile(parser)
    add_urls(parser)
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    add_common(parser)


def chosen(parsed: argparse.Namespace, config: "Configuration") -> dict[str, str]:
    """The services asked for (all that keep a database), and in a cluster where each one's is. Raises UnknownService,
    BadDatabaseUrl, DatabaseNotNamed."""
    services = keeping(parsed.services or SERVICES)
    if parsed.profile != "cluster":
        return dict.fromkeys(services, "")
    from candlewick.app.profiles.cluster import check_clients

    check_clients()
    known = known_urls(config.cluster, services, config.data_dir)
    return collect(services, parsed.urls, parsed.named, known)


def settings(parsed: argparse.Namespace) -> "Configuration":
    config = configuration(parsed)
    logging.configure("warning", config.app.log_format)
    return config


def has_kept(config: "Configuration", service: str) -> bool:
    """Whether the data dir holds something of a service (embedded)."""
    folder = config.data_dir / service
    return (folder / f"{service}.db").exists() or (folder / "candles.db").exists()


@asynccontextmanager
async def archive_of(
    parsed: argparse.Namespace, config: "Configuration", service: str, url: str, folder: Path | None
) -> "AsyncIterator[Archive]":
    """The backups of one service in a folder, or where the profile keeps objects, over its opened stores."""
    from candlewick.app.runtime.backups.archive import Archive

    clock = SystemClock()
    async with AsyncExitStack() as stack:
        objects = _objects(parsed, config, folder)
        stack.push_async_callback(objects.close)
        database, store = await (_on_server(service, url) if url else _in_data_dir(config, service))
        for opened in (database, store):
            if opened is not None:
                await opened.open()
                stack.push_async_callback(opened.close)
        yield Archive(service, database=database, store=store, objects=objects, clock=clock)


def _objects(parsed: argparse.Namespace, config: "Configuration", folder: Path | None) -> "Objects":
    from candlewick.adapters.objects.local import LocalObjects

    if folder is not None or parsed.profile != "cluster":
        return LocalObjects(folder or config.data_dir / "objects", SystemClock(), SystemIds())
    from candlewick.adapters.objects.s3 import S3Objects
    from candlewick.app.profiles.cluster import bucket

    return S3Objects(bucket(config.cluster), SystemIds(), style=config.cluster.s3_style)


async def _in_data_dir(config: "Configuration", service: str) -> "tuple[Database | None, CandleStore | None]":
    from candlewick.adapters.candles.sqlite import SqliteCandleStore
    from candlewick.adapters.db.sqlite import SqliteDatabase

    folder, needs = config.data_dir / service, load(service).needs
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    return (
        SqliteDatabase(folder / f"{service}.db", durable=True) if "database" in needs else None,
        SqliteCandleStore(folder / "candles.db", durable=True) if "candles" in needs else None,
    )


async def _on_server(service: str, url: str) -> "tuple[Database | None, CandleStore | None]":
    from candlewick.adapters.candles.postgres import PostgresCandleStore
    from candlewick.adapters.db.postgres import PostgresDatabase

    needs = load(service).needs
    return (
        PostgresDatabase(url, name=f"candlewick {service} backup") if "database" in needs else None,
        PostgresCandleStore(url, name=f"candlewick {service} backup") if "candles" in needs else None,
    )


async def stoppable(work: Any, stop: asyncio.Event) -> int:
    """Run ``work`` unless told to stop; an interrupted backup leaves no manifest, an interrupted restore goes on when
    it is started again."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        print("stopped", file=sys.stderr)
        return 130
    return int(task.result())


async def tell(progress: float, note: str) -> None:
    """A line that moves, for people who watch."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{progress:4.0%}  {note}", end="", file=sys.stderr, flush=True)


def clear() -> None:
    """Take that line away."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
