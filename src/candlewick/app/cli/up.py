"""Start everything in one process: feeds, event log, candles, the API and the page. Ctrl-C ends it; nothing is left
half written, and the next start goes on where this one stopped."""

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING

from candlewick import __version__
from candlewick.app import session as sessions
from candlewick.app.cli.options import add_common, add_listening, add_replay, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.app.configuration import Configuration
from candlewick.app.registry import SERVICES
from candlewick.kernel import logging
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.system import settle

if TYPE_CHECKING:
    from candlewick.app.profiles.embedded import EmbeddedResources

EXAMPLES = """examples:
  candlewick up                                 live public data, or the demo market when offline
  candlewick up --exchange demo --port 9000     the demo market, on another port
  candlewick up --replay recording.gz --speed 60
  candlewick up --set market.symbols=BTC-USDT,ETH-USDT
"""
_PROBE_INTERVAL_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    add_listening(parser)
    parser.add_argument(
        "--exchange", default="auto", help="venue to follow, or demo (default: binance if it answers, else demo)"
    )
    add_replay(parser)


def run(parsed: argparse.Namespace) -> int:
    started = time.perf_counter()
    return run_until_signal(lambda stop: _serve(parsed, stop, started))


async def _serve(parsed: argparse.Namespace, stop: asyncio.Event, started: float) -> int:
    from candlewick.app.http.server import Server, bind

    config = configuration(parsed)
    logging.configure(config.app.log_level, config.app.log_format)
    listener = bind(config.app.host, config.app.port)
    session = await _session(parsed, config)
    parsed.data_dir = sessions.data_dir_of(session, parsed.data_dir, config)
    config = configuration(parsed, profile=session.profile())
    if session.why:
        print(session.why, file=sys.stderr, flush=True)
    from candlewick.app import kernels
    from candlewick.app.http.page import Page
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.app.runtime.host import running

    await asyncio.to_thread(kernels.warm, session.exchange)
    resources = EmbeddedResources(config.data_dir, config.app, mode=session.mode, archived=session.archived)
    async with running(SERVICES, config, resources) as host:
        server = Server(Page(host.hosted["gateway"].app), listener)
        await server.start()
        settle()
        address = f"http://{config.app.host}:{config.app.port}"
        seconds = time.perf_counter() - started
        where = f"({session.detail}, data in {config.data_dir})"
        print(f"Candlewick {__version__} is ready in {seconds:.1f} s: {address}  {where}", flush=True)
        beside = []
        if session.why:
            beside.append(asyncio.ensure_future(_look_for_venue(config)))
        if session.files:
            beside.append(asyncio.ensure_future(_play_files(session, resources)))
        await stop.wait()
        print("stopping ...", file=sys.stderr, flush=True)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await server.stop()
    print("stopped; everything accepted is stored", file=sys.stderr, flush=True)
    return 0


async def _session(parsed: argparse.Namespace, config: Configuration) -> sessions.Session:
    if parsed.replay:
        return sessions.replay(parsed.replay, parsed.speed)
    return await sessions.choose(parsed.exchange, config)


async def _play_files(session: sessions.Session, resources: "EmbeddedResources") -> None:
    """Candles and trades of files, at the session's speed; what cannot be read is told, the rest plays on."""
    from candlewick.app.importing.playing import FilePlayer
    from candlewick.app.importing.publisher import Publisher
    from candlewick.app.importing.source import Options, look

    publisher = Publisher(resources.log, resources.ids, resources.clock)
    options = Options(exchange=session.exchange)
    player = FilePlayer(publisher, resources.clock, options, speed=session.speed)
    for path in session.files:
        try:
            await player.play(await asyncio.to_thread(look, path, options))
        except CandlewickError as error:
            print(f"candlewick: {path.name}: {error.code}: {error}", file=sys.stderr, flush=True)
    await publisher.close()
    print("played to the end", file=sys.stderr, flush=True)


async def _look_for_venue(config: Configuration) -> None:
    """Offline at the start: say once when the venue answers, the user decides when to change over."""
    while True:
        await asyncio.sleep(_PROBE_INTERVAL_S)
        if await sessions.is_reachable(config):
            print(f"{sessions.LIVE} answers now: stop and start again for live data", file=sys.stderr, flush=True)
            return
