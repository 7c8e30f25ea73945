"""``candlewick``: one module a command, imported only when it is called, so that help is quick."""

import argparse
import sys
from importlib import import_module
from typing import Any

from candlewick import __version__
from candlewick.kernel.errors import CandlewickError

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("candlewick.app.cli.up", "start everything in one process and print the address"),
    "run": ("candlewick.app.cli.run", "start some services in this process, beside others on the same data dir"),
    "stop": ("candlewick.app.cli.stop", "end the 'candlewick up' that runs on a data dir"),
    "logs": ("candlewick.app.cli.logs", "show what a 'candlewick up' and its services have printed"),
    "deploy": (
        "candlewick.app.cli.deploy",
        "have another version of a running service take over without a break, or take it back",
    ),
    "replay": (
        "candlewick.app.cli.replay",
        "play recordings through the adapters into a store and count what came out",
    ),
    "record": ("candlewick.app.cli.record", "write a venue's raw frames to a file"),
    "import": ("candlewick.app.cli.importing", "read candles or trades from files"),
    "export": ("candlewick.app.cli.exporting", "write candles to a file"),
    "backup": ("candlewick.app.cli.backup", "copy what the services keep to a folder or to S3"),
    "restore": ("candlewick.app.cli.restore", "bring a backup back into an empty data dir or database"),
    "topics": ("candlewick.app.cli.topics", "compare the topics on Kafka with the catalogue, or make them so"),
    "shadow": (
        "candlewick.app.cli.shadow",
        "run a new version of the stream processor beside the old one, compare, and put it in its place",
    ),
    "schemas": (
        "candlewick.app.cli.schemas",
        "compare the schemas in the registry with this version's, or register them",
    ),
    "databases": (
        "candlewick.app.cli.databases",
        "make every service's database ready for this version, or show where each is",
    ),
    "config": ("candlewick.app.cli.config", "show every setting and where its value comes from"),
    "doctor": ("candlewick.app.cli.doctor", "say what is wrong with this machine or configuration, and what to do"),
}
_EXAMPLES = """examples:
  candlewick up                          candles on screen, at the address it prints
  candlewick up --replay day.gz --speed 60
  candlewick import BTCUSDT-1m.csv --exchange binance --symbol BTC-USDT --timeframe 1m
  candlewick doctor
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        print(f"candlewick: {message}. See 'candlewick --help'.", file=sys.stderr)
        raise SystemExit(2)


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="candlewick",
        description="An event-driven crypto trading platform: feeds, one event log, candles, a page to look at them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"candlewick {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == wanted:
            loaded = import_module(module)
            sub.description = (loaded.__doc__ or summary).strip()
            sub.epilog = getattr(loaded, "EXAMPLES", None)
            loaded.add_arguments(sub)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point. Returns the exit code: 0 done, 1 it failed for the reason printed, 2 wrong usage."""
    arguments = sys.argv[1:] if argv is None else argv
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    parser = _parser(wanted)
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return 2
    try:
        return int(import_module(COMMANDS[parsed.command][0]).run(parsed))
    except CandlewickError as error:
        print(f"candlewick: {error.code}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
