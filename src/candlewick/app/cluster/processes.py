"""The processes of one machine: ``candlewick run`` for each service, as the command line and the session ask."""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from candlewick.app.cluster.launch import Launch
from candlewick.app.cluster.life import Recipe
from candlewick.app.cluster.supervisor import Supervisor
from candlewick.app.cluster.versions import Versions
from candlewick.app.configuration import ClusterSettings, Configuration
from candlewick.app.registry import load
from candlewick.app.session import Session, data_dir_of
from candlewick.kernel.settings import ENV_PREFIX

#: Two at once would hold two connections for every stream of the venue, and write into one spool on disk.
IN_TURN: Final = frozenset({"collector"})


def supervisor(
    parsed: argparse.Namespace,
    config: Configuration,
    session: Session,
    servers: Mapping[str, ClusterSettings],
    show: Callable[[str, bytes], None],
    versions: Versions,
    launch: Launch,
) -> Supervisor:
    """Not started; the ports are bound. ``servers`` are the settings of each service's process; ``launch`` begins those
    of this version. Raises PortTaken."""
    app = config.app
    given = tuple(arguments(parsed, config, session))
    sources = config.section(ClusterSettings, "cluster")[1].sources
    recipes = {name: Recipe(sys.executable, given, environment(own, sources), launch) for name, own in servers.items()}
    ports = {name: (app.host, app.port + load(name).place) for name in servers}
    return Supervisor(recipes, ports, show, versions, in_turn=IN_TURN)


def arguments(parsed: argparse.Namespace, config: Configuration, session: Session) -> list[str]:
    """Everything after ``candlewick run SERVICE``, no secret among it: the command line is everybody's to read."""
    place = data_dir_of(session, parsed.data_dir, config) or config.data_dir
    given = ["--profile", "cluster", "--data-dir", str(place), "--exchange", session.exchange]
    if parsed.config is not None:
        given += ["--config", str(parsed.config)]
    for name in ("port", "log_level", "log_format"):
        if (value := getattr(parsed, name)) is not None:
            given += [f"--{name.replace('_', '-')}", str(value)]
    for assignment in parsed.assignments:
        if not assignment.strip().startswith("cluster."):
            given += ["--set", assignment]
    if session.paths:
        given += ["--speed", "max" if session.speed == 0 else f"{session.speed:g}", "--replay", *session.paths]
    return given


def environment(own: ClusterSettings, sources: Mapping[str, str]) -> dict[str, str]:
    """A process's own cluster settings as its environment; ``sources`` say where the configuration has each from. One
    that nobody gave and that is as it always is stays unsaid: a version before it had that setting would refuse it."""
    always = msgspec.structs.asdict(ClusterSettings())
    return {
        f"{ENV_PREFIX}CLUSTER__{name.upper()}": str(value)
        for name, value in msgspec.structs.asdict(own).items()
        if sources[name] != "default" or value != always[name]
    }
