"""Options that every command has."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from candlewick.app.configuration import OWN_SECTIONS, Configuration, check_sections, read
from candlewick.app.registry import SERVICES


def add_common(parser: argparse.ArgumentParser) -> None:
    """--data-dir, --config, --set."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where everything is kept (default: $CANDLEWICK_DATA_DIR or the XDG data home)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration file (default: ./candlewick.toml, then the data dir's)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.NAME=VALUE", dest="assignments",
        help="set one setting, e.g. --set market.ring_size=3000; may be given several times",
    )  # fmt: skip


def add_listening(parser: argparse.ArgumentParser) -> None:
    """--port, --log-level, --log-format."""
    parser.add_argument("--port", type=int, help="the gateway's port (default 8000)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("text", "json"))


def add_replay(parser: argparse.ArgumentParser) -> None:
    """--replay, --speed."""
    parser.add_argument("--replay", type=Path, nargs="+", metavar="PATH", help="play recordings instead of connecting")
    parser.add_argument("--speed", default="1", metavar="N", help="times real time for --replay, or max (default 1)")


def add_profile(parser: argparse.ArgumentParser) -> None:
    """--profile."""
    parser.add_argument(
        "--profile", choices=("embedded", "cluster"), default="embedded",
        help="embedded: files in the data dir; cluster: Kafka, PostgreSQL, Redis, S3 as the [cluster] settings say",
    )  # fmt: skip


def configuration(
    parsed: argparse.Namespace,
    *,
    profile: Mapping[str, Mapping[str, Any]] | None = None,
    flags: tuple[str, ...] = (),
    checked: bool = True,
) -> Configuration:
    """The layers of configuration that the command line asks for. Raises BadSettings for a section that nobody owns,
    unless the caller looks at them itself."""
    given = [f"app.{name}={value}" for name in ("port", "log_level", "log_format")
             if (value := getattr(parsed, name, None)) is not None]  # fmt: skip
    found = read(
        data_dir=parsed.data_dir, config=parsed.config, flags=[*given, *flags, *parsed.assignments], profile=profile
    )
    if checked:
        check_sections(found, (*OWN_SECTIONS, *SERVICES))
    return found
