"""Say what is wrong with this machine or configuration, and what to do about it."""

import argparse
import asyncio
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from candlewick.app.cli.options import add_common, add_profile, configuration
from candlewick.app.configuration import OWN_SECTIONS, Configuration, check_sections
from candlewick.app.registry import SERVICES, load
from candlewick.kernel.errors import CandlewickError

EXAMPLES = """examples:
  candlewick doctor
  candlewick doctor --json
  candlewick doctor --profile cluster --config servers.toml
"""
_FREE_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``advice`` is empty when all is well."""

    what: str
    level: str
    found: str
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_common(parser)
    add_profile(parser)


def run(parsed: argparse.Namespace) -> int:
    """Returns 1 when something would keep ``candlewick up`` from working."""
    config = configuration(parsed, checked=False)
    checks: tuple[Callable[[Configuration], Finding], ...] = (
        _python, _settings, _data_dir, _disk, _log, _port, _kernels, _page, _traces, _venue,
    )  # fmt: skip
    findings = []
    for check in checks:
        try:
            findings.append(check(config))
        except CandlewickError as error:
            findings.append(
                Finding(check.__name__.strip("_"), "bad", f"{error.code}: {error.detail}", error.hint or "")
            )
    if parsed.profile == "cluster":
        findings += _servers(config)
    if parsed.json:
        print(json.dumps([asdict(f) for f in findings], indent=1))
    else:
        for f in findings:
            mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[f.level]
            print(f"{mark} {f.what:14} {f.found}")
            if f.advice:
                print(f"{'':20}{f.advice}")
    return int(any(f.level == "bad" for f in findings))


def _servers(config: Configuration) -> list[Finding]:
    from candlewick.app.profiles.cluster import check_clients

    try:
        check_clients()
    except CandlewickError as error:
        return [Finding("clients", "bad", f"{error.code}: {error.detail}", error.hint or "")]
    from candlewick.app.cluster.looking import look

    found = asyncio.run(look(config.cluster))
    return [Finding(name, "bad" if advice else "ok", told, advice) for name, (told, advice) in found.items()]


def _python(_: Configuration) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != (3, 11):
        return Finding("python", "note", version, "Tested on 3.11 only.")
    return Finding("python", "ok", version)


def _settings(config: Configuration) -> Finding:
    kinds: dict[str, type[msgspec.Struct]] = {**OWN_SECTIONS, **{n: load(n).settings for n in SERVICES}}
    check_sections(config, tuple(kinds))
    for section, kind in kinds.items():
        config.section(kind, section)
    return Finding("settings", "ok", f"file: {config.file or 'none'}")


def _data_dir(config: Configuration) -> Finding:
    place = config.data_dir
    above = next(p for p in (place, *place.parents) if p.exists())
    if not os.access(above, os.W_OK):
        return Finding("data dir", "bad", f"{place} cannot be written", "Choose another with --data-dir.")
    return Finding("data dir", "ok", str(place))


def _disk(config: Configuration) -> Finding:
    above = next(p for p in (config.data_dir, *config.data_dir.parents) if p.exists())
    free = shutil.disk_usage(above).free
    if free < _FREE_BYTES:
        return Finding(
            "disk", "note", f"{free / (1 << 30):.1f} GiB free", "The log and the frame ring take up to 4 GiB."
        )
    return Finding("disk", "ok", f"{free / (1 << 30):.0f} GiB free")


def _log(config: Configuration) -> Finding:
    if not (config.data_dir / "log.db").exists():
        return Finding("event log", "ok", "none yet; the first start makes it")
    return asyncio.run(_describe_log(config))


async def _describe_log(config: Configuration) -> Finding:
    from candlewick.app.profiles.embedded import EmbeddedResources

    resources = EmbeddedResources(config.data_dir, config.app, mode="live")
    await resources.log.open()
    try:
        fault = await resources.log.check()
        topics = await resources.log.describe()
    finally:
        await resources.log.close()
    size = sum(t.bytes for t in topics)
    kept = f"{sum(t.records for t in topics)} events, {size / (1 << 20):.0f} MiB"
    kept += f"; kept {config.app.log_retention_hours:g} h and {config.app.log_max_bytes / (1 << 30):g} GiB at most"
    if fault:
        return Finding("event log", "bad", f"{fault}; {kept}", "Restore a backup, or move log.db away to start anew.")
    return Finding("event log", "ok", kept)


def _port(config: Configuration) -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex((config.app.host, config.app.port)) == 0
    if taken:
        return Finding(
            "port", "note", f"{config.app.port} is in use", "Choose another with --port, or look: it may be Candlewick."
        )
    return Finding("port", "ok", f"{config.app.port} is free")


def _kernels(_: Configuration) -> Finding:
    from candlewick.quant import compiled

    place = compiled.cache_dir()
    if place is None:
        return Finding(
            "kernels", "note", "no cache can be written", "Each start compiles for some seconds; set NUMBA_CACHE_DIR."
        )
    return Finding("kernels", "ok", f"cached in {place}")


def _page(_: Configuration) -> Finding:
    page = Path(__file__).resolve().parent.parent / "static" / "index.html"
    if not page.exists():
        return Finding("web page", "note", "not built", "In a checkout './dev up' builds it; the API works without.")
    return Finding("web page", "ok", "built")


def _traces(config: Configuration) -> Finding:
    if not config.app.otlp_endpoint:
        return Finding("traces", "ok", "off (app.otlp_endpoint is not set)")
    if find_spec("opentelemetry.sdk") is None:
        return Finding("traces", "bad", "the OpenTelemetry packages are missing", "pip install 'candlewick[otel]'")
    return Finding("traces", "ok", config.app.otlp_endpoint)


def _venue(config: Configuration) -> Finding:
    from candlewick.app import session

    if asyncio.run(session.is_reachable(config)):
        return Finding("venue", "ok", f"{session.LIVE} answers")
    return Finding(
        "venue", "note", f"{session.LIVE} does not answer", "'candlewick up' plays the demo market until it does."
    )
