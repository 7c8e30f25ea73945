"""Copy all candles and the gap ledger to a folder: Parquet by series and month, and a manifest with checksums.

Works beside a running 'candlewick up'. Backups into one folder share the files that did not change. What is restored
is the row that stands of every open time, with its revision and origin.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.kernel import logging
from candlewick.kernel.errors import NotFound

EXAMPLES = """examples:
  candlewick backup --out /mnt/backup/candlewick
  candlewick restore /mnt/backup/candlewick --data-dir ./fresh
"""


class NothingToBackUp(NotFound):
    """There is no data dir, or no candle in it."""

    code = "NOTHING_TO_BACK_UP"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that takes the backup")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: stoppable(_backup(parsed), stop))


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


@asynccontextmanager
async def archive_in(folder: Path, parsed: argparse.Namespace) -> AsyncIterator[Any]:
    """The archive of this data dir's history over a folder of files."""
    from candlewick.adapters.objects.local import LocalObjects
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.app.registry import load
    from candlewick.services.history.handlers.archive import Archive
    from candlewick.services.history.storage import SqlLedger

    config = configuration(parsed)
    logging.configure("warning", config.app.log_format)
    resources = EmbeddedResources(config.data_dir, config.app, mode="replay")
    store = await resources.own("candles", "history", "backup")
    database = await resources.own("database", "history", "backup")
    objects = LocalObjects(folder, resources.clock, resources.ids)
    try:
        schema = load("history").schema
        assert schema is not None
        await database.migrate(schema)
        yield Archive(store=store, database=database, ledger=SqlLedger(), objects=objects, clock=resources.clock)
    finally:
        await objects.close()
        await database.close()
        await store.close()


async def tell(progress: float, note: str) -> None:
    """A line that moves, for people who watch."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{progress:4.0%}  {note}", end="", file=sys.stderr, flush=True)


async def _backup(parsed: argparse.Namespace) -> int:
    if not configuration(parsed).data_dir.is_dir():
        raise NothingToBackUp(f"there is no data dir, was {str(configuration(parsed).data_dir)!r}")
    async with archive_in(parsed.out, parsed) as archive:
        manifest = await archive.backup(tell)
    size = sum(file.size for file in manifest.files)
    if parsed.json:
        print(json.dumps({"name": manifest.name, "files": len(manifest.files), "rows": manifest.rows, "bytes": size}))
    else:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(clear, end="", file=sys.stderr)
        print(f"{parsed.out}: backup {manifest.name}, {manifest.rows:,} candles in {len(manifest.files)} files")
    return 0
