"""Whether the cluster's servers answer, and whether what the services need is on them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from candlewick.app.configuration import ClusterSettings
from candlewick.app.profiles.cluster import bucket, kafka_options, named
from candlewick.contracts.topics import CATALOGUE
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.system import SystemClock, SystemIds

_WITHIN_S = 10.0


async def look(servers: ClusterSettings) -> Mapping[str, tuple[str, str]]:
    """Of each server what was found and, when that keeps services from working, what to do; all asked at once."""
    asked: dict[str, Callable[[ClusterSettings], Awaitable[tuple[str, str]]]] = {
        "kafka": _kafka,
        "postgres": _postgres,
        "redis": _redis,
        "rabbitmq": _rabbitmq,
        "s3": _s3,
        "registry": _registry,
    }
    found = await asyncio.gather(*(_bounded(ask(servers)) for ask in asked.values()))
    return dict(zip(asked, found, strict=True))


async def _bounded(asking: Awaitable[tuple[str, str]]) -> tuple[str, str]:
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await asking
    except TimeoutError:
        return f"no answer within {_WITHIN_S:g} s", "Is the address right, and is the server up?"
    except CandlewickError as error:
        return f"{error.code}: {error.detail}", error.hint or "Is the address right, and is the server up?"


async def _kafka(servers: ClusterSettings) -> tuple[str, str]:
    from candlewick.adapters.log.kafka import KafkaTopics

    brokers = named(servers, "kafka_brokers")
    differences = await asyncio.to_thread(KafkaTopics(brokers, CATALOGUE, kafka_options(servers)).differences)
    if differences:
        return f"{brokers}; {len(differences)} differences from the catalogue", "Run 'candlewick topics apply'"
    return f"{brokers}; topics as the catalogue says", ""


async def _postgres(servers: ClusterSettings) -> tuple[str, str]:
    from candlewick.adapters.db.postgres import PostgresDatabase

    url = servers.postgres_url or named(servers, "postgres_admin_url")
    database = PostgresDatabase(url, readers=1)
    await database.open()
    try:
        fault = await database.check()
    finally:
        await database.close()
    return (fault, "See the server's log") if fault else (_shown(url), "")


async def _redis(servers: ClusterSettings) -> tuple[str, str]:
    from candlewick.adapters.cache.redis import RedisCache

    url = named(servers, "redis_url")
    cache = RedisCache(url, SystemClock(), SystemIds(), namespace=f"{servers.prefix}candlewick")
    try:
        await cache.get("doctor")
    finally:
        await cache.close()
    return _shown(url), ""


async def _rabbitmq(servers: ClusterSettings) -> tuple[str, str]:
    from candlewick.adapters.queue.rabbitmq import RabbitControlPlane

    url = named(servers, "rabbitmq_url")
    plane = RabbitControlPlane(url, SystemClock(), SystemIds(), namespace=f"{servers.prefix}candlewick", name="doctor")
    try:
        await plane.open()
    finally:
        await plane.close()
    return _shown(url), ""


async def _s3(servers: ClusterSettings) -> tuple[str, str]:
    from candlewick.adapters.objects.s3 import S3Objects

    objects = S3Objects(bucket(servers), SystemIds(), style=servers.s3_style)
    try:
        async for _ in objects.list("doctor/"):
            break
    finally:
        await objects.close()
    return _shown(servers.s3_url), ""


async def _registry(servers: ClusterSettings) -> tuple[str, str]:
    from candlewick.adapters.schemas.registry import SchemaRegistry

    if not servers.registry_url:
        return "none named; producers run without one", ""
    registry = SchemaRegistry(servers.registry_url, prefix=servers.prefix)
    try:
        states = await registry.check(CATALOGUE)
    finally:
        await registry.close()
    if faulty := [state.subject for state in states if state.state == "incompatible"]:
        return f"{len(faulty)} schemas do not fit, {faulty[0]} the first", "See 'candlewick schemas check'"
    return _shown(servers.registry_url), ""


def _shown(url: str) -> str:
    """An address without its password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
