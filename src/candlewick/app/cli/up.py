"""Start everything: feeds, event log, candles, the API and the page. Ctrl-C ends it; nothing is left half written, and
the next start goes on where this one stopped.

With --profile embedded all runs in one process on files in the data dir. With --profile cluster each service is a
process of its own on the servers of the [cluster] settings: topics, databases and the bucket are made where they are
missing, and a process that ends is begun again. A service that 'candlewick deploy switch' has taken to another version
is begun with that one."""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candlewick import __version__
from candlewick.app import session as sessions
from candlewick.app.cli.options import add_common, add_listening, add_profile, add_replay, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.app.configuration import Configuration
from candlewick.app.registry import SERVICES
from candlewick.kernel import logging
from candlewick.kernel.errors import CandlewickError, Rejected
from candlewick.kernel.system import settle

if TYPE_CHECKING:
    from candlewick.app.profiles.embedded import EmbeddedResources

EXAMPLES = """examples:
  candlewick up                                 live public data, or the demo market when offline
  candlewick up --exchange demo --port 9000     the demo market, on another port
  candlewick up --replay recording.gz --speed 60
  candlewick up --set market.symbols=BTC-USDT,ETH-USDT
  candlewick up --profile cluster --config servers.toml
"""
_PROBE_INTERVAL_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    add_listening(parser)
    parser.add_argument(
        "--exchange", default="auto", help="venue to follow, or demo (default: binance if it answers, else demo)"
    )
    add_replay(parser)
    add_profile(parser)
    parser.add_argument(
        "--forget-versions", action="store_true",
        help="with --profile cluster: every service runs this version, whatever it was switched to before",
    )  # fmt: skip


def run(parsed: argparse.Namespace) -> int:
    started = time.perf_counter()
    if parsed.forget_versions and parsed.profile != "cluster":
        raise Rejected(f"--forget-versions is for the cluster profile, was {parsed.profile!r}")
    serve = _supervise if parsed.profile == "cluster" else _serve
    return run_until_signal(lambda stop: serve(parsed, stop, started))


async def _serve(parsed: argparse.Namespace, stop: asyncio.Event, started: float) -> int:
    from candlewick.app.http.server import Server, bind

    config = configuration(parsed)
    logging.configure(config.app.log_level, config.app.log_format)
    listener = bind(config.app.host, config.app.port)
    session = await _session(parsed, config)
    parsed.data_dir = sessions.data_dir_of(session, parsed.data_dir, config)
    config = configuration(parsed, profile=session.profile())
    from candlewick.app import kernels
    from candlewick.app.http.page import Page
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.app.runtime.host import running

    resources = EmbeddedResources(config.data_dir, config.app, mode=session.mode, archived=session.archived)
    async with AsyncExitStack() as left:
        await _found(left, parsed.profile, config, config.data_dir, stop, {})
        if session.why:
            print(session.why, file=sys.stderr, flush=True)
        await asyncio.to_thread(kernels.warm, session.exchange)
        host = await left.enter_async_context(running(SERVICES, config, resources))
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


async def _supervise(parsed: argparse.Namespace, stop: asyncio.Event, started: float) -> int:
    """One process a service, on the cluster's servers."""
    import msgspec

    from candlewick.app.cluster import processes
    from candlewick.app.cluster.forkserver import ForkServer
    from candlewick.app.cluster.preparing import prepare
    from candlewick.app.cluster.supervisor import Supervisor
    from candlewick.app.cluster.verbs import Shown, StillStarting, verbs
    from candlewick.app.cluster.versions import FILE, remembered

    config = configuration(parsed)
    logging.configure(config.app.log_level, config.app.log_format)
    session = await _session(parsed, config)
    if session.files:
        raise sessions.MixedReplay("the cluster profile plays recordings; files of candles and trades are for import")
    servers = config.cluster
    if session.mode == "replay" and not servers.prefix:
        # Recorded prices do not mix with live ones of the same venue.
        servers = msgspec.structs.replace(servers, prefix="replay.")
    place = (sessions.data_dir_of(session, parsed.data_dir, config) or config.data_dir).expanduser().absolute()
    shown = Shown(place)
    supervisor: Supervisor | None = None

    def supervised() -> Supervisor:
        if supervisor is None:
            raise StillStarting("the services are only being prepared", hint="Ask again in a moment")
        return supervisor

    async with AsyncExitStack() as left:
        left.callback(shown.close)
        await _found(left, parsed.profile, config, place, stop, verbs(supervised))
        versions, lines = await asyncio.to_thread(
            remembered, place / FILE, SERVICES, sys.executable, forget=parsed.forget_versions
        )
        for line in (*lines, *filter(None, [session.why])):
            print(line, file=sys.stderr, flush=True)
        print("preparing topics, databases and the bucket ...", file=sys.stderr, flush=True)
        forks = ForkServer(session.exchange)
        left.push_async_callback(forks.close)
        own, _ = await asyncio.gather(prepare(servers, SERVICES, config.data_dir), forks.start())
        supervisor = processes.supervisor(parsed, config, session, own, shown.write, versions, forks.begin)
        try:
            await supervisor.start()
            seconds = time.perf_counter() - started
            where = f"({session.detail}, {len(SERVICES)} processes, data in {config.data_dir})"
            address = f"http://{config.app.host}:{config.app.port}"
            print(f"Candlewick {__version__} is ready in {seconds:.1f} s: {address}  {where}", flush=True)
            await stop.wait()
        finally:
            print("stopping ...", file=sys.stderr, flush=True)
            statuses = await supervisor.stop()
    failed = {name: status for name, status in statuses.items() if status}
    if failed:
        print(f"stopped; not every process ended well: {failed}", file=sys.stderr, flush=True)
        return 1
    print("stopped; everything accepted is stored", file=sys.stderr, flush=True)
    return 0


async def _found(
    left: AsyncExitStack,
    profile: str,
    config: Configuration,
    place: Path,
    stop: asyncio.Event,
    verbs: Mapping[str, Any],
) -> None:
    """From here on ``candlewick logs``, ``stop`` and ``deploy`` find this process, until ``left`` is closed. Raises
    AlreadyRunning."""
    from candlewick.app.control import door, logs

    async def ask_to_stop(*_: Any) -> None:
        stop.set()

    address = f"http://{config.app.host}:{config.app.port}"
    await left.enter_async_context(door.opened(place, profile, address, {"stop": ask_to_stop, **verbs}))
    left.enter_context(logs.kept(place))
    logging.configure(config.app.log_level, config.app.log_format)


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
