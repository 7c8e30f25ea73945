"""Have another version of a service take over on a running 'candlewick up --profile cluster' without a break, or take
it back.

switch begins the new version beside the old one, waits until it is ready and level with the event log, hands it the
service's port and lets the old one finish what it has in hand. When the new one does not come to serve, the old one
serves on. The collector alone is switched in turn: the old one ends before the new one begins.

What a service was switched to, or back to, is written down in the data dir: the next 'candlewick up' begins it with
that version. 'candlewick up --forget-versions' begins every service with its own."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.registry import SERVICES, load
from candlewick.kernel.errors import Rejected

EXAMPLES = """examples:
  candlewick deploy status
  candlewick deploy switch market --venv /opt/candlewick-0.2
  candlewick deploy switch all --venv /opt/candlewick-0.2
  candlewick deploy switch realtime                          the same version in a new process
  candlewick deploy rollback market
"""
_ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", choices=("switch", "rollback", "status"))
    parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help=f"one or more of {', '.join(SERVICES)}, or {_ALL}"
    )
    add_common(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--python", type=Path, metavar="PATH", help="an interpreter that has the new version installed")
    which.add_argument("--venv", type=Path, metavar="DIR", help="a virtual environment that has it: DIR/bin/python")
    parser.add_argument(
        "--within", type=float, default=120.0, metavar="SECONDS",
        help="how long the new process may take to catch up with the log (default 120)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for programs: what runs then, as JSON")


def run(parsed: argparse.Namespace) -> int:
    from candlewick.app.cluster.versions import version_of
    from candlewick.app.control import door, place

    services = _services(parsed)
    given = parsed.python or (parsed.venv / "bin/python" if parsed.venv else None)
    if given is not None and parsed.verb != "switch":
        raise Rejected(f"--python and --venv are for switch, was {parsed.verb!r}")
    # Not resolved: the python of a virtual environment is a link, and what it is reached by makes the difference.
    python = os.path.abspath(given) if given is not None else None  # noqa: PTH100
    running = place.find(configuration(parsed, checked=False).data_dir)
    if running.profile != "cluster":
        raise Rejected(
            f"services are switched where each is a process of its own, was profile {running.profile!r}",
            hint="Stop and start it: it goes on where it stopped",
        )
    if python is not None and not parsed.json:
        print(f"{python} has Candlewick {version_of(python)}", flush=True)
    found: list[dict[str, Any]] = []
    for service in services or (None,):
        what: dict[str, Any] = {"service": service}
        if parsed.verb != "status":
            what |= {"python": python, "within_s": parsed.within}
        for told in door.ask(running, parsed.verb, **what):
            if "said" in told and not parsed.json:
                print(told["said"], flush=True)
            found += told.get("done", {}).get("services", ())
    print(json.dumps(found, indent=1) if parsed.json else _table(found))
    return 0


def _services(parsed: argparse.Namespace) -> list[str]:
    """In the order of their start. Raises UnknownService, Rejected."""
    named = list(SERVICES) if _ALL in parsed.services else parsed.services
    for name in named:
        load(name)
    if parsed.verb != "status" and not named:
        raise Rejected(f"{parsed.verb} takes the name of a service, or {_ALL}; was given none")
    return [name for name in SERVICES if name in named]


def _table(services: list[dict[str, Any]]) -> str:
    rows = [("SERVICE", "VERSION", "STATE", "PROCESS", "MEMBER", "OWN ADDRESS", "BEFORE", "NEXT START")]
    for service in services:
        for process in service["processes"] or [{}]:
            host, port = process.get("at", ("", ""))
            state = "ends" if not process else process["status"] or "does not answer"
            if process.get("role") == "comes":
                state += ", not serving yet"
            rows.append((
                service["service"], process.get("version") or "-", state, str(process.get("pid", "-")),
                process.get("member", "-"), f"{host}:{port}" if port else "-", service["before"] or "-",
                service["next_start"] or "as up",
            ))  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
