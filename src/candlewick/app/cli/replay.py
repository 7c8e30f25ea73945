"""Play recordings through the very same adapter, log, stream and store as live data, and count what came out.

Stopped or killed, it goes on from the last committed position when it is started again on the same data dir."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from candlewick.app import session as sessions
from candlewick.app.cli.options import add_common, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.kernel import logging
from candlewick.kernel.system import settle

EXAMPLES = """examples:
  candlewick replay spot_btcusdt_20240808.gz --data-dir ./day --speed max
  candlewick replay recordings/ --speed 60 --json
"""
SERVICES = ("stream", "history", "collector")
_TELL_INTERVAL_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="recordings, or folders of them, in order")
    parser.add_argument("--speed", default="max", metavar="N", help="times real time, or max (default)")
    parser.add_argument(
        "--exchange", default=sessions.LIVE, help=f"venue whose frames they are (default {sessions.LIVE})"
    )
    parser.add_argument("--json", action="store_true", help="the counts as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: _play(parsed, stop))


async def _play(parsed: argparse.Namespace, stop: asyncio.Event) -> int:
    from candlewick.app import kernels
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.app.runtime.host import running

    session = sessions.replay(parsed.paths, parsed.speed, exchange=parsed.exchange)
    config = configuration(parsed, profile=session.profile())
    logging.configure("warning", config.app.log_format)
    kernels.warm(session.exchange)
    resources = EmbeddedResources(config.data_dir, config.app, mode=session.mode)
    started = time.perf_counter()
    async with running(SERVICES, config, resources, member="replay") as host:
        settle()
        teller = asyncio.ensure_future(_tell(host))
        done = asyncio.ensure_future(finished(host))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({done, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (teller, stopped):
            task.cancel()
        if not done.done():
            done.cancel()
            print("\nstopped; the next start goes on from the committed position", file=sys.stderr)
            return 130
        done.result()
        counts = counted(host)
    counts["seconds"] = round(time.perf_counter() - started, 3)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if parsed.json:
        print(json.dumps(counts))
    else:
        for name, value in counts.items():
            print(f"{name:12} {value}")
    return 0


async def finished(host: Any) -> None:
    """Returns when the recording is played and all that it gave is built and stored."""
    collector = host.hosted["collector"]
    played = asyncio.ensure_future(collector.service.played.wait())
    while not played.done():
        await asyncio.wait({played}, timeout=0.2)
        collector.service  # noqa: B018 - raises with the reason when the collector has failed
    for name in ("stream", "history"):
        if name in host.hosted:
            await host.hosted[name].service.caught_up()


def counted(host: Any) -> dict[str, Any]:
    """What came out, since the start of this process."""
    collector = host.hosted["collector"].service
    counters = host.hosted["stream"].service.counters()
    return {
        "frames": collector.playback.stats.frames,
        "trades": collector.sink.trades,
        "candles": counters.get("candles", 0),
        "late": counters.get("late", 0),
        "duplicates": counters.get("duplicates", 0),
        "gaps": collector.sink.gaps,
        "refused": dict(collector.sink.refused),
        "resumed_from": collector.playback.stats.resumed_from or None,
    }


async def _tell(host: Any) -> None:
    """A line that moves, for people who watch."""
    while sys.stderr.isatty():
        await asyncio.sleep(_TELL_INTERVAL_S)
        counts = counted(host)
        line = f"\r{counts['frames']:,} frames, {counts['trades']:,} trades, {counts['candles']:,} candles"
        print(line, end="", file=sys.stderr, flush=True)
