"""Make on the servers what the services need before they start: topics, databases and roles, the bucket."""

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from candlewick.app.cluster.urls import keeping, role_prefix
from candlewick.app.configuration import ClusterSettings
from candlewick.app.profiles.cluster import bucket, check_clients, kafka_options, named
from candlewick.app.registry import load
from candlewick.contracts.topics import CATALOGUE
from candlewick.kernel.errors import Conflict


async def prepare(servers: ClusterSettings, services: Sequence[str], data_dir: Path) -> dict[str, ClusterSettings]:
    """Returns for each service the settings of its own process: its own database and nobody's rights. Safe to repeat.

    Raises ServerNotNamed, ClientsMissing, Conflict (a topic that cannot be changed in place), LogUnavailable,
    DatabaseUnavailable, ObjectsUnavailable.
    """
    check_clients()
    _, urls, _ = await asyncio.gather(
        make_topics(servers), make_databases(servers, services, data_dir), bucket(servers).make()
    )
    return {name: own_settings(servers, urls.get(name, "")) for name in services}


async def make_topics(servers: ClusterSettings) -> None:
    """As ``candlewick topics apply``. Raises Conflict."""
    from candlewick.adapters.log.kafka import KafkaTopics

    topics = KafkaTopics(named(servers, "kafka_brokers"), CATALOGUE, kafka_options(servers))
    left = await asyncio.to_thread(topics.apply)
    if left:
        one = left[0]
        raise Conflict(f"{one.what} of {one.topic!r} must be {one.wanted}, was {one.found!r}", hint=one.advice)


async def make_databases(servers: ClusterSettings, services: Sequence[str], data_dir: Path) -> dict[str, str]:
    """A role and a database for each service that keeps one; returns their URLs. Passwords are made once and kept in
    the data dir, for its owner's eyes."""
    from candlewick.adapters.db.postgres.provisioning import provision

    admin = named(servers, "postgres_admin_url")
    names = keeping(services)
    words = await asyncio.to_thread(passwords, data_dir / "cluster" / "passwords.json", names)
    prefix = role_prefix(servers.prefix)
    urls = [await provision(admin, name, words[name], prefix=prefix, extensions=extensions(name)) for name in names]
    return dict(zip(names, urls, strict=True))


def extensions(service: str) -> tuple[str, ...]:
    """Extensions of the server that the service's database has where the server offers them."""
    return ("timescaledb",) if "candles" in load(service).needs else ()


def own_settings(servers: ClusterSettings, url: str) -> ClusterSettings:
    """What a service's process is told: its own database, on the primary and on the replica, and no administrator."""
    import msgspec

    replica = ""
    if url and servers.postgres_replica_url:
        there = urlsplit(servers.postgres_replica_url).netloc.rpartition("@")[2]
        own = urlsplit(url)
        replica = own._replace(netloc=f"{own.netloc.rpartition('@')[0]}@{there}").geturl()
    return msgspec.structs.replace(servers, postgres_url=url, postgres_replica_url=replica, postgres_admin_url="")


def passwords(file: Path, services: Sequence[str]) -> dict[str, str]:
    """Those kept in ``file``, and new ones for services that have none yet."""
    kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    missing = [name for name in services if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(24) for name in missing}
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(kept, out, indent=1)
        new.replace(file)
    return kept
