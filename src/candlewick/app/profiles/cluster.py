"""The cluster profile: every port on a server of its own, one process a service."""

import asyncio
import dataclasses
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from candlewick.app.configuration import AppSettings, ClusterSettings
from candlewick.app.profiles.machine import Machine
from candlewick.app.registry import load
from candlewick.app.runtime.resources import Companion
from candlewick.contracts.topics import BY_NAME
from candlewick.kernel.errors import CandlewickError, Fatal, Rejected
from candlewick.kernel.logging import logger
from candlewick.kernel.net.budget import RateBudget
from candlewick.ports.answers import Answers
from candlewick.ports.cache import Cache
from candlewick.ports.log import EventLog
from candlewick.ports.objects import Objects
from candlewick.ports.runtime import ServiceClient
from candlewick.ports.schemas import RegistryRefused, SchemaIncompatible

if TYPE_CHECKING:
    from candlewick.adapters.log.kafka import KafkaOptions
    from candlewick.adapters.objects.s3 import S3Bucket
    from candlewick.adapters.schemas.registry import SchemaRegistration
    from candlewick.adapters.stream.quix import QuixStreamRuntime

# A minute's weight until the venue has told its limit.
_LEAST_WEIGHT = 1000


class ServerNotNamed(Rejected):
    """A setting that the cluster profile cannot do without is empty."""

    code = "SERVER_NOT_NAMED"


class ShadowWithoutGroup(Rejected):
    """A stream processor in shadow needs a group of its own, or it would move on the positions of the one at work."""

    code = "SHADOW_WITHOUT_GROUP"


class ClientsMissing(Fatal):
    """The packages that talk to the cluster's servers are not installed."""

    code = "CLIENTS_MISSING"


class ClusterResources(Machine):
    """app.runtime.resources.Resources on Kafka, PostgreSQL, Redis, S3. The data dir holds what
    can be made again (the stream's state) and what never was elsewhere: trades that wait on disk, raw frames."""

    def __init__(
        self,
        data_dir: Path,
        settings: AppSettings,
        servers: ClusterSettings,
        *,
        services: Sequence[str],
        mode: str,
        archived: str = "",
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """``services`` are those of this process. Raises ServerNotNamed, ShadowWithoutGroup, ClientsMissing,
        BadCacheUrl."""
        if "stream" in services and servers.stream_shadow and not servers.stream_group:
            raise ShadowWithoutGroup(
                "cluster.stream_shadow needs cluster.stream_group, which is empty",
                hint="Begin with 'candlewick shadow begin GROUP' and set cluster.stream_group to that group",
            )
        check_clients()
        from candlewick.adapters.cache.redis import RedisCache
        from candlewick.adapters.cache.revalidating import RevalidatingAnswers
        from candlewick.adapters.log.kafka import KafkaEventLog
        from candlewick.adapters.objects.s3 import S3Objects

        super().__init__(data_dir, settings, mode=mode, archived=archived, on_step=on_step)
        self._servers, self._services = servers, tuple(services)
        self._namespace = f"{servers.prefix}candlewick"
        self._schemas = self._registration()
        self._options = dataclasses.replace(
            kafka_options(servers), schema_header=self._schemas.header if self._schemas is not None else None
        )
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self.log: EventLog = KafkaEventLog(
            named(servers, "kafka_brokers"),
            self.clock,
            self.ids,
            options=self._options,
            unfinished=[f"{name}.relay" for name in services],
            on_step=on_step,
        )
        self.cache: Cache = RedisCache(named(servers, "redis_url"), self.clock, self.ids, namespace=self._namespace)
        self.answers: Answers = RevalidatingAnswers(self.cache, self.clock, logger("answers"))
        self.objects: Objects = S3Objects(bucket(servers), self.ids, style=servers.s3_style)

    def _registration(self) -> "SchemaRegistration | None":
        """Of the topics that the services of this process write."""
        if not self._servers.registry_url:
            return None
        from candlewick.adapters.schemas.registry import SchemaRegistration, SchemaRegistry

        written = [BY_NAME[topic] for name in self._services for topic in load(name).produces if topic in BY_NAME]
        schemas = SchemaRegistry(self._servers.registry_url, prefix=self._servers.prefix)
        return SchemaRegistration(schemas, written, self.clock, logger("schemas"))

    async def open(self) -> None:
        """Raises SchemaIncompatible: what this version writes, others could not read."""
        if self._schemas is not None:
            await self._schemas.open()
        await self.log.open()
        self.begin()

    def companions(self, client: Callable[[str], ServiceClient], member: str) -> Mapping[str, Companion]:
        """Schemas that could not be registered yet; beside the market, who tells its symbols and keeps its windows."""
        found: dict[str, Companion] = {}
        if self._schemas is not None:
            found["schemas"] = self._register
        if "market" in self._services and self._servers.rabbitmq_url:
            found["control"] = lambda: self._mirror_control(member)
        if "market" in self._services:
            found["windows"] = lambda: self._mirror_windows(client("history"), member)
        return found

    def budget(self, venue: str) -> RateBudget | None:
        """One for all processes on these servers; the venue sets its limit."""
        if venue == "demo":
            return None
        from candlewick.adapters.cache.redis import SharedRateBudget

        budget = SharedRateBudget(
            named(self._servers, "redis_url"), self.clock, venue, limit=_LEAST_WEIGHT, namespace=self._namespace
        )
        self._closing.append(budget.close)
        return budget

    async def _register(self) -> None:
        assert self._schemas is not None
        try:
            await self._schemas.run()
        except (SchemaIncompatible, RegistryRefused) as error:
            # Found out late, because the registry was away at the start: a process that may not write must not run.
            logger("schemas").critical("this version must not write", code=error.code, detail=error.detail)
            signal.raise_signal(signal.SIGTERM)
        await asyncio.Event().wait()

    async def _mirror_control(self, member: str) -> None:
        from candlewick.adapters.queue.rabbitmq import RabbitControlPlane
        from candlewick.app.runtime.mirror import ControlMirror

        plane = RabbitControlPlane(
            self._servers.rabbitmq_url, self.clock, self.ids, namespace=self._namespace, name=f"candlewick {member}"
        )
        try:
            await plane.open()
            await ControlMirror(
                log=self.log,
                plane=plane,
                member=member,
                clock=self.clock,
                metrics=self.metrics,
                logger=logger("control"),
                on_step=self.on_step,
            ).run()
        finally:
            await plane.close()

    async def _mirror_windows(self, history: ServiceClient, member: str) -> None:
        from candlewick.adapters.cache.redis import RedisWindows
        from candlewick.app.runtime.mirror_seeds import from_history
        from candlewick.app.runtime.mirror_windows import WindowsMirror

        windows = RedisWindows(named(self._servers, "redis_url"), namespace=self._namespace)
        try:
            await WindowsMirror(
                log=self.log,
                windows=windows,
                seed=from_history(history),
                member=member,
                clock=self.clock,
                metrics=self.metrics,
                logger=logger("windows"),
                on_step=self.on_step,
            ).run()
        finally:
            await windows.close()

    async def close(self) -> None:
        await self.end()
        for close in self._closing:
            await close()
        if self._schemas is not None:
            await self._schemas.close()
        await self.objects.close()
        await self.answers.close()
        with suppress(CandlewickError):
            await self.cache.close()
        await self.log.close()

    async def own(self, port: str, service: str, member: str) -> Any:
        match port:
            case "database":
                from candlewick.adapters.db.postgres import PostgresDatabase

                database = PostgresDatabase(named(self._servers, "postgres_url"), name=f"candlewick {service}")
                await database.open()
                return database
            case "candles":
                from candlewick.adapters.candles.postgres import PostgresCandleStore

                store = PostgresCandleStore(
                    named(self._servers, "postgres_url"),
                    replica_url=self._servers.postgres_replica_url or None,
                    name=f"candlewick {service} candles",
                    on_step=self.on_step,
                )
                await store.open()
                return store
            case "jobs" if self._servers.ray_address:
                from candlewick.adapters.db.postgres import PostgresDatabase
                from candlewick.adapters.jobs.ray import Cluster, RayJobs

                kept = PostgresDatabase(named(self._servers, "postgres_url"), name=f"candlewick {service} jobs")
                return RayJobs(kept, self.clock, self.ids, Cluster(self._servers.ray_address))
            case "jobs":
                from candlewick.adapters.jobs.pool import PoolJobs

                folder = self.data_dir / service
                await asyncio.to_thread(folder.mkdir, exist_ok=True)
                return PoolJobs(folder / "jobs.db", self.clock, self.ids)
            case "stream":
                return self._stream(service, member)
            case _:
                raise Rejected(f"the cluster profile offers no port of this name, was {port!r}")

    def _stream(self, service: str, member: str) -> "QuixStreamRuntime":
        from candlewick.adapters.stream.quix import SHADOW, QuixStreamRuntime

        group, is_shadow = self._servers.stream_group, self._servers.stream_shadow
        if is_shadow:
            logger("stream").warning("in shadow: shows what it would write and writes nothing", group=group)
        return QuixStreamRuntime(
            named(self._servers, "kafka_brokers"),
            clock=self.clock,
            member=member,
            state_dir=self.data_dir / service / group,
            options=self._options,
            group=group or None,
            suffix=SHADOW if is_shadow else "",
            on_step=self.on_step,
        )


def check_clients() -> None:
    """Raises ClientsMissing."""
    for package in ("aio_pika", "asyncpg", "confluent_kafka", "obstore", "quixstreams", "redis"):
        if find_spec(package) is None:
            raise ClientsMissing(
                f"the clients of the cluster's servers are not installed, was {package!r} the first that is missing",
                hint="pip install 'candlewick[cluster]'",
            )


def kafka_options(servers: ClusterSettings) -> "KafkaOptions":
    """Settings of every Kafka client of a process."""
    from candlewick.adapters.log.kafka import KafkaOptions

    return KafkaOptions(prefix=servers.prefix)


def bucket(servers: ClusterSettings) -> "S3Bucket":
    """The bucket of ``s3_url``: http(s)://KEY:SECRET@host:port/bucket. Raises ServerNotNamed."""
    from candlewick.adapters.objects.s3 import S3Bucket

    parts = urlsplit(named(servers, "s3_url"))
    name, _, prefix = parts.path.strip("/").partition("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not name:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        raise ServerNotNamed(f"cluster.s3_url must be http(s)://KEY:SECRET@host:port/bucket, was {shown!r}")
    host = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    return S3Bucket(
        name=name,
        endpoint=host,
        access=unquote(parts.username) if parts.username else None,
        secret=unquote(parts.password) if parts.password else None,
        prefix="/".join(part for part in (prefix, servers.prefix.strip(".")) if part),
    )


def named(servers: ClusterSettings, setting: str) -> str:
    """A setting that must not be empty. Raises ServerNotNamed."""
    value: str = getattr(servers, setting)
    if not value:
        raise ServerNotNamed(
            f"the cluster profile needs cluster.{setting}, which is empty",
            hint=f"Set it in candlewick.toml, by CANDLEWICK_CLUSTER__{setting.upper()}, or with --set",
        )
    return value
