"""Copy what services keep to a folder, or to where the profile keeps objects (the data dir, S3).

Of each service all rows of its database, read in one transaction, and all candles; as Parquet, with a manifest that
holds the schema's revision and checksums. Works beside running services, which make such backups by themselves every
app.backup_hours. Backups in one place share the files that did not change. A backup of one profile can be restored into
the other.
"""

import argparse
import json
from pathlib import Path

from candlewick.app.cli.serving import run_until_signal
from candlewick.app.cli.stores import (
    NothingToBackUp,
    add_stores,
    archive_of,
    chosen,
    clear,
    has_kept,
    settings,
    stoppable,
    tell,
)

EXAMPLES = """examples:
  candlewick backup --out /mnt/backup/candlewick
  candlewick backup market history
  candlewick backup --profile cluster --urls /run/secrets/databases
  candlewick restore /mnt/backup/candlewick --data-dir ./fresh
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these (default: all with a database)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder that takes the backup (default: the profile's objects)"
    )
    add_stores(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: stoppable(_backup(parsed), stop))


async def _backup(parsed: argparse.Namespace) -> int:
    config = settings(parsed)
    urls = chosen(parsed, config)
    if parsed.profile != "cluster":
        urls = {name: url for name, url in urls.items() if has_kept(config, name)}
        if not urls:
            raise NothingToBackUp(f"there is nothing of these services in the data dir, was {str(config.data_dir)!r}")
    made = []
    for name, url in urls.items():
        async with archive_of(parsed, config, name, url, parsed.out) as archive:
            made.append(await archive.back_up(tell))
    if parsed.json:
        summaries = [
            {
                "service": one.service, "name": one.name, "revision": one.revision, "rows": one.info.rows,
                "candles": one.info.candles, "files": one.info.files, "bytes": one.info.size,
                "checksums": {table.name: table.checksum for table in one.tables},
            }
            for one in made
        ]  # fmt: skip
        print(json.dumps({"backups": summaries}))
        return 0
    clear()
    for one in made:
        info = one.info
        print(f"{one.service}: backup {one.name}, {info.rows:,} rows and {info.candles:,} candles, {info.files} files")
    return 0
