"""The command: ``python -m tools.servers start|stop|status|logs [NAME...]``."""

import argparse
import contextlib
import fcntl
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tools.servers import fetch, place, supervise
from tools.servers.kafka import Kafka
from tools.servers.place import HOME, Trouble
from tools.servers.postgres import Postgres
from tools.servers.prometheus import Prometheus
from tools.servers.rabbitmq import RabbitMQ
from tools.servers.redis import Redis
from tools.servers.registry import Registry
from tools.servers.s3 import S3
from tools.servers.server import Server
from tools.servers.toxiproxy import Toxiproxy

KINDS: tuple[type[Server], ...] = (Postgres, Redis, Kafka, RabbitMQ, S3, Toxiproxy, Prometheus, Registry)
NAMES = tuple(kind.name for kind in KINDS)
ADDRESSES = HOME / "addresses.json"
#: The [cluster] setting that each address is.
SETTINGS = {
    "kafka_brokers": "kafka",
    "postgres_admin_url": "postgres",
    "postgres_replica_url": "postgres_replica",
    "redis_url": "redis",
    "rabbitmq_url": "rabbitmq",
    "s3_url": "s3",
    "registry_url": "registry",
}


def everything() -> dict[str, Server]:
    """All servers, on the ports that are theirs now."""
    plain = [kind(place.ports()) for kind in KINDS]
    by = place.shift(running=any(server.pids() for server in plain))
    return {kind.name: kind(place.ports(by)) for kind in KINDS}


def chosen(names: Sequence[str], servers: dict[str, Server], *, with_needs: bool = False) -> list[Server]:
    """The servers named, all when none is, in the order of starting."""
    wanted = set(names or servers)
    if unknown := sorted(wanted - set(servers)):
        raise Trouble(f"there is no server of that name; there are {', '.join(servers)}, was {unknown[0]!r}")
    if with_needs:
        wanted |= {need for name in wanted for need in servers[name].needs}
    return [server for name, server in servers.items() if name in wanted]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One start or stop at a time in this checkout."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_addresses(servers: dict[str, Server]) -> None:
    """Tell the tests what is up: addresses by name, and the pid of every process."""
    up = [server for server in servers.values() if server.pids()]
    addresses = {name: address for server in up for name, address in server.addresses().items()}
    pids = {name: pid for server in up for name, pid in server.pids().items()}
    new = ADDRESSES.with_suffix(".new")
    new.write_text(json.dumps({"addresses": addresses, "pids": pids}, indent=2) + "\n")
    new.replace(ADDRESSES)


def start(names: Sequence[str]) -> int:
    """Start these and what they need; 1 when one of them did not come up."""
    with alone():
        servers = everything()
        place.keep_shift(next(iter(servers.values())).ports["postgres"] - place.PORTS["postgres"])
        wanted = chosen(names, servers, with_needs=True)
        failed: set[str] = set()
        with fetch.go_caches():
            for server in wanted:  # one after the other: package managers take turns anyway
                try:
                    server.fetch()
                except Trouble as trouble:
                    failed.add(server.name)
                    print(f"{server.name:<11}cannot be had: {trouble}", flush=True)
        # each as soon as what it needs is up; the order of starting puts needs first
        with ThreadPoolExecutor(len(wanted)) as threads:
            begun: dict[str, Future[bool]] = {}
            for server in wanted:
                if server.name not in failed:
                    begun[server.name] = threads.submit(
                        _start, server, {need: begun.get(need) for need in server.needs}
                    )
            failed |= {name for name, ended in begun.items() if not ended.result()}
        write_addresses(servers)
    return 1 if failed else 0


def _start(server: Server, needs: Mapping[str, "Future[bool] | None"]) -> bool:
    """Whether it came up; a need that cannot be had is None."""
    if missing := [name for name, begun in needs.items() if begun is None or not begun.result()]:
        print(f"{server.name:<11}not started: it needs {', '.join(missing)}", flush=True)
        return False
    begin = time.monotonic()
    try:
        fresh = server.start()
    except Trouble as trouble:
        print(f"{server.name:<11}did not start: {trouble}", flush=True)
        return False
    where = "  ".join(server.addresses().values())
    spent = f"ready in {time.monotonic() - begin:.1f} s" if fresh else "was up already"
    print(f"{server.name:<11}{spent:<16}{where}", flush=True)
    return True


def stop(names: Sequence[str], *, wipe: bool) -> int:
    """Stop these, dependants first."""
    with alone():
        servers = everything()
        wanted = chosen(names, servers)
        for wave in ([s for s in wanted if s.needs], [s for s in wanted if not s.needs]):
            with ThreadPoolExecutor(max(1, len(wave))) as threads:
                list(threads.map(_stop, wave))
        if wipe:
            for server in wanted:
                server.wipe()
        write_addresses(servers)
    return 0


def _stop(server: Server) -> None:
    begin = time.monotonic()
    was_up = bool(server.pids())
    killed = server.stop()
    if killed:
        print(f"{server.name:<11}stopped; {', '.join(killed)} did not end when asked and was killed", flush=True)
    elif was_up:
        print(f"{server.name:<11}stopped in {time.monotonic() - begin:.1f} s", flush=True)


def status(names: Sequence[str]) -> int:
    """Tell what answers; 1 when a server that was named is not up, or any is broken."""
    servers = everything()
    states = {server: server.state() for server in chosen(names, servers)}
    for server, (state, told) in states.items():
        where = "  ".join(server.addresses().values())
        print(f"{server.name:<11}{state:<8}{where}" + (f"  ({told})" if told else ""))
    wrong = {"broken", "down"} if names else {"broken"}
    return 1 if any(state in wrong for state, _ in states.values()) else 0


def settings() -> int:
    """What a cluster profile on these servers is told, as NAME=value lines for a shell's environment."""
    addresses = json.loads(ADDRESSES.read_text())["addresses"] if ADDRESSES.exists() else {}
    for name, key in SETTINGS.items():
        if key in addresses:
            print(f"CANDLEWICK_CLUSTER__{name.upper()}={addresses[key]}")
    if "s3" in addresses:
        print("CANDLEWICK_CLUSTER__S3_STYLE=folders")
    return 0


def logs(names: Sequence[str], lines: int) -> int:
    """The end of every log of these servers."""
    for server in chosen(names, everything()):
        for process in server.processes():
            if names or process.log.exists():
                print(f"== {process.log.relative_to(place.ROOT)}\n{supervise.tail(process.log, lines)}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="./dev servers",
        description="The real servers that integration tests talk to: programs, data and logs in .dev/servers, "
        "ports on loopback only. Tests find them in .dev/servers/addresses.json.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, told in (
        ("start", "start these servers (all when none is named) and what they need; safe twice"),
        ("stop", "stop them and everything they started; data stays"),
        ("status", "what is up, and where"),
        ("logs", "the end of their logs"),
        ("settings", "the [cluster] settings that name those that are up, as lines for an environment"),
    ):
        one = verbs.add_parser(verb, help=told, description=told)
        one.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
        if verb == "stop":
            one.add_argument("--wipe", action="store_true", help="remove their data and logs too; downloads stay")
        if verb == "logs":
            one.add_argument("-n", "--lines", type=int, default=40)
    given = parser.parse_args(arguments)
    try:
        match given.verb:
            case "start":
                return start(given.names)
            case "stop":
                return stop(given.names, wipe=given.wipe)
            case "status":
                return status(given.names)
            case "settings":
                return settings()
            case _:
                return logs(given.names, given.lines)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
