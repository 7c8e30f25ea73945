"""Bring a backup back into an empty data dir or an empty database, and compare every checksum.

The services must not run. Tables come back as a whole or not at all; a restore that was broken off goes on with the
candles when it is started again. Where the event log is another one than when the backup was made, how far the services
had read it is left out: always in a data dir without a log, else with --new-log.
"""

import argparse
import json
from pathlib import Path

import msgspec

from candlewick.app.cli.serving import run_until_signal
from candlewick.app.cli.stores import add_stores, archive_of, chosen, clear, settings, stoppable, tell
from candlewick.app.registry import load

EXAMPLES = """examples:
  candlewick restore /mnt/backup/candlewick --data-dir ./fresh
  candlewick restore /mnt/backup/candlewick --service history --name 20260101T000000Z
  candlewick restore --profile cluster --urls /run/secrets/databases
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR",
        help="folder that 'candlewick backup --out' wrote (default: the profile's objects)",
    )  # fmt: skip
    parser.add_argument(
        "--service", action="append", default=[], dest="services", metavar="SERVICE",
        help="only this one; may be given several times (default: all that have a backup there)",
    )  # fmt: skip
    parser.add_argument("--name", help="which backup (default: the newest of each service)")
    parser.add_argument("--new-log", action="store_true", help="the event log is not the one of the backup")
    add_stores(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: stoppable(_restore(parsed), stop))


async def _restore(parsed: argparse.Namespace) -> int:
    from candlewick.app.runtime.backups.restoring import restore
    from candlewick.ports.backups import UnknownBackup

    if parsed.folder is not None and not parsed.folder.is_dir():
        raise UnknownBackup(f"the folder must hold a backup, was {str(parsed.folder)!r}")
    config = settings(parsed)
    is_new_log = parsed.new_log or (parsed.profile != "cluster" and not (config.data_dir / "log.db").exists())
    done = []
    for name, url in chosen(parsed, config).items():
        async with archive_of(parsed, config, name, url, parsed.folder) as archive:
            if not parsed.services and not await archive.manifests():
                continue
            done.append(await restore(archive, load(name).schema, name=parsed.name, is_new_log=is_new_log, report=tell))
    if not done:
        raise UnknownBackup("there is no backup here, was 'none at all'")
    if parsed.json:
        print(json.dumps({"restored": [msgspec.to_builtins(one) for one in done]}))
        return 0
    clear()
    for one in done:
        print(f"{one.service}: backup {one.name}, {one.rows:,} rows and {one.candles:,} candles are back")
    return 0
