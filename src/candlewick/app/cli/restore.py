"""Bring a backup back: every file is checked against its checksum, what is in the data dir already stays.

Stop 'candlewick up' first: what is restored behind its back is shown after its next start.
"""

import argparse
import json
import sys
from pathlib import Path

from candlewick.app.cli.backup import archive_in, stoppable, tell
from candlewick.app.cli.options import add_common
from candlewick.app.cli.serving import run_until_signal

EXAMPLES = """examples:
  candlewick restore /mnt/backup/candlewick --data-dir ./fresh
  candlewick restore /mnt/backup/candlewick --name 20260101T000000Z
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder that 'candlewick backup' wrote")
    parser.add_argument("--name", help="which backup (default: the newest)")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: stoppable(_restore(parsed), stop))


async def _restore(parsed: argparse.Namespace) -> int:
    from candlewick.services.history.errors import UnknownBackup

    if not parsed.folder.is_dir():
        raise UnknownBackup(f"the folder must hold a backup, was {str(parsed.folder)!r}")
    async with archive_in(parsed.folder, parsed) as archive:
        manifest, rows, entries = await archive.restore(parsed.name, tell)
    if parsed.json:
        print(json.dumps({"name": manifest.name, "rows": manifest.rows, "new_rows": rows, "new_gaps": entries}))
    else:
        print("\r\x1b[K" if sys.stderr.isatty() else "", end="", file=sys.stderr)
        print(f"backup {manifest.name}: {rows:,} of {manifest.rows:,} candles were not there yet, {entries} gaps")
    return 0
