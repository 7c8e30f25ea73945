"""Start some services in this process, each on its own port (8000 + its place), beside others on the same data dir."""

import argparse
import asyncio
from collections.abc import Callable

from candlewick.app.cli.options import add_common, add_listening, add_replay, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.app.registry import SERVICES, load
from candlewick.kernel import logging
from candlewick.kernel.system import settle

EXAMPLES = """examples:
  candlewick run stream history --data-dir ./data
  candlewick run gateway --data-dir ./data --port 8000
  candlewick run collector --replay day.gz --speed max --data-dir ./data
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="+", metavar="SERVICE", help=f"one or more of {', '.join(SERVICES)}")
    add_common(parser)
    add_listening(parser)
    parser.add_argument("--exchange", default="demo", help="venue to follow (default: demo)")
    add_replay(parser)


def run(parsed: argparse.Namespace) -> int:
    for name in parsed.services:
        load(name)
    return run_until_signal(lambda stop: serve(parsed, stop))


async def serve(
    parsed: argparse.Namespace, stop: asyncio.Event, *, on_step: Callable[[str], None] | None = None
) -> int:
    """The services of the command line until ``stop`` is set. ``on_step``: see EmbeddedResources."""
    from candlewick.app import kernels
    from candlewick.app import session as sessions
    from candlewick.app.http.page import Page
    from candlewick.app.http.server import Server, bind
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.app.runtime.host import running

    config = configuration(parsed)
    if parsed.replay:
        exchange = sessions.LIVE if parsed.exchange == sessions.DEMO else parsed.exchange
        session = sessions.replay(parsed.replay, parsed.speed, exchange=exchange)
        if session.files:
            raise sessions.MixedReplay("run plays recordings; files of candles and trades are for import or up")
        parsed.data_dir = sessions.data_dir_of(session, parsed.data_dir, config)
    else:
        session = await sessions.choose(parsed.exchange, config)
    config = configuration(parsed, profile=session.profile())
    logging.configure(config.app.log_level, config.app.log_format)
    listeners = {name: bind(config.app.host, config.app.port + load(name).place) for name in parsed.services}
    await asyncio.to_thread(kernels.warm, session.exchange)
    resources = EmbeddedResources(
        config.data_dir, config.app, mode=session.mode, archived=session.archived, on_step=on_step
    )
    async with running(parsed.services, config, resources, member="-".join(parsed.services)) as host:
        servers = []
        for name, hosted in host.hosted.items():
            server = Server(Page(hosted.app) if name == "gateway" else hosted.app, listeners[name])
            await server.start()
            servers.append(server)
            print(f"{name} is ready: http://{config.app.host}:{config.app.port + hosted.spec.place}", flush=True)
        settle()
        await stop.wait()
        for server in servers:
            await server.stop()
    return 0
