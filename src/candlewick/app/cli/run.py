"""Start some services in this process, each on its own port (8000 + its place), beside others on the same data dir or
on the same servers."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from candlewick.app.cli.options import add_common, add_listening, add_profile, add_replay, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.app.registry import SERVICES, load
from candlewick.kernel import logging
from candlewick.kernel.errors import Rejected, Retryable
from candlewick.kernel.system import settle

if TYPE_CHECKING:
    from candlewick.app.cluster.handover import Handover
    from candlewick.app.configuration import Configuration
    from candlewick.app.runtime.resources import Resources
    from candlewick.app.session import Session

EXAMPLES = """examples:
  candlewick run stream history --data-dir ./data
  candlewick run gateway --data-dir ./data --port 8000
  candlewick run market --profile cluster --member market-2 --data-dir ./market-2
  candlewick run collector --replay day.gz --speed max --data-dir ./data
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="+", metavar="SERVICE", help=f"one or more of {', '.join(SERVICES)}")
    add_common(parser)
    add_listening(parser)
    parser.add_argument("--exchange", default="demo", help="venue to follow (default: demo)")
    add_replay(parser)
    add_profile(parser)
    parser.add_argument(
        "--member", metavar="NAME",
        help="this process among those of the same services; the same name again after a restart (default: theirs)",
    )  # fmt: skip
    # The end of a socket pair that a supervisor left open for this process: see app.cluster.handover.
    parser.add_argument("--handover", type=int, help=argparse.SUPPRESS)


def run(parsed: argparse.Namespace) -> int:
    for name in parsed.services:
        load(name)
    try:
        return run_until_signal(lambda stop: serve(parsed, stop))
    except Retryable as error:
        if parsed.handover is None:
            raise
        from candlewick.app.cluster.handover import TRY_AGAIN

        print(f"candlewick: {error.code}: {error}", file=sys.stderr)
        return TRY_AGAIN


async def serve(
    parsed: argparse.Namespace, stop: asyncio.Event, *, on_step: Callable[[str], None] | None = None
) -> int:
    """The services of the command line until ``stop`` is set. ``on_step``: see EmbeddedResources."""
    from candlewick.app import kernels
    from candlewick.app import session as sessions
    from candlewick.app.http.page import Page
    from candlewick.app.http.server import Server, bind
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
    handover = _handover(parsed, stop)
    if handover is None:
        listeners = {name: bind(config.app.host, config.app.port + load(name).place) for name in parsed.services}
    else:
        listeners = {name: await handover.own_listener() for name in parsed.services}
    await asyncio.to_thread(kernels.warm, session.exchange)
    if handover is not None and not await handover.may_start():
        return 0
    resources = _resources(parsed, config, session, on_step)
    member = parsed.member or "-".join(parsed.services)
    async with running(parsed.services, config, resources, member=member) as host:
        servers = []
        for name, hosted in host.hosted.items():
            server = Server(Page(hosted.app) if name == "gateway" else hosted.app, listeners[name])
            await server.start()
            servers.append(server)
            if handover is None:
                print(f"{name} is ready: http://{config.app.host}:{config.app.port + hosted.spec.place}", flush=True)
        settle()
        if handover is None:
            await stop.wait()
        else:
            app = servers[0].app
            await handover.serve(host.caught_up(), lambda listener: Server(app, listener))
        if parsed.profile == "cluster" and handover is None:
            # Others serve on, and callers hold connections: a request on its way into one that closes would be lost.
            await asyncio.gather(*(server.leave(lambda: None) for server in servers))
        for server in servers:
            await server.stop()
    return 0


def _handover(parsed: argparse.Namespace, stop: asyncio.Event) -> "Handover | None":
    """To the supervisor that began this process. Raises Rejected."""
    if parsed.handover is None:
        return None
    from candlewick.app.cluster.handover import Handover

    if len(parsed.services) != 1:
        raise Rejected(f"a supervised process runs one service, was {parsed.services!r}")
    return Handover(parsed.handover, stop)


def _resources(
    parsed: argparse.Namespace, config: "Configuration", session: "Session", on_step: Callable[[str], None] | None
) -> "Resources":
    if parsed.profile == "cluster":
        from candlewick.app.profiles.cluster import ClusterResources

        return ClusterResources(
            config.data_dir,
            config.app,
            config.cluster,
            services=parsed.services,
            mode=session.mode,
            archived=session.archived,
            on_step=on_step,
        )
    from candlewick.app.profiles.embedded import EmbeddedResources

    return EmbeddedResources(config.data_dir, config.app, mode=session.mode, archived=session.archived, on_step=on_step)
