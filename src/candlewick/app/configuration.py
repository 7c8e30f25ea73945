"""Where configuration comes from: default < profile < candlewick.toml < environment < flag."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from candlewick.kernel.errors import NotFound, Rejected
from candlewick.kernel.settings import BadSettings, Layer, Loaded, environment_layer, flag_layer, load

FILE_NAME = "candlewick.toml"
#: A group of the stream processor: part of a topic's name and of a folder's.
GROUP_PATTERN = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$"
T = TypeVar("T", bound=msgspec.Struct)


class ConfigNotFound(NotFound):
    """The configuration file named by --config is not there."""

    code = "CONFIG_NOT_FOUND"


class BadConfigFile(Rejected):
    """The configuration file is not TOML of the expected shape."""

    code = "BAD_CONFIG_FILE"


class AppSettings(msgspec.Struct, frozen=True):
    """What concerns the whole process."""

    port: Annotated[
        int, Meta(ge=1, le=65000, description="The gateway's port; a service run alone adds its place.")
    ] = 8000
    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="debug, info, warning or error.")
    ] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="Form of the log lines.")] = "text"
    venue_rest_url: Annotated[str, Meta(description="REST base URL of the venue, to point at a test exchange.")] = ""
    venue_stream_url: Annotated[str, Meta(description="WebSocket base URL of the venue.")] = ""
    demo_seed: Annotated[
        int, Meta(ge=0, description="Which demo market: prices, halts and gaps follow from this number.")
    ] = 1
    log_retention_hours: Annotated[float, Meta(gt=0, description="Events older than this leave the log.")] = 24.0
    log_max_bytes: Annotated[int, Meta(gt=0, description="The log's size; the oldest events leave first.")] = 2 << 30
    frames_max_bytes: Annotated[int, Meta(ge=0, description="Ring of raw frames kept on disk; 0 turns it off.")] = (
        2 << 30
    )
    durable: Annotated[bool, Meta(description="Sync the log to disk at every commit (slower).")] = False
    backup_hours: Annotated[
        float, Meta(ge=0, description="Every service with a database is backed up so often; 0 turns it off.")
    ] = 24.0
    backup_keep: Annotated[int, Meta(ge=1, description="Backups kept of each service; older ones are deleted.")] = 7
    otlp_endpoint: Annotated[str, Meta(description="OpenTelemetry collector to send traces to (OTLP over HTTP).")] = ""
    service_urls: Annotated[
        tuple[str, ...],
        Meta(
            description="Where services of other processes answer: market=http://HOST:PORT, or "
            "*=http://{service}:{port} for all that are not named; else host, and port plus the service's place."
        ),
    ] = ()
    call_timeout_s: Annotated[
        float, Meta(gt=0, description="How long a question to another service may take where its asker does not say.")
    ] = 10.0


class ClusterSettings(msgspec.Struct, frozen=True):
    """Where the servers of the cluster profile are. A process is told its own service's database and no other's."""

    kafka_brokers: Annotated[str, Meta(description="Kafka brokers to begin with, host:port divided by commas.")] = ""
    prefix: Annotated[
        str, Meta(description="Goes before every name on the shared servers: topics, groups, keys, databases.")
    ] = ""
    postgres_url: Annotated[
        str, Meta(description="The service's own PostgreSQL database, with its role's password.")
    ] = ""
    postgres_replica_url: Annotated[
        str, Meta(description="A streaming replica of it, for reads at most 2 s stale.")
    ] = ""
    postgres_admin_url: Annotated[
        str, Meta(description="A role that may make roles and databases; only 'up' and 'databases' use it.")
    ] = ""
    redis_url: Annotated[str, Meta(description="Redis: response cache, shared rate budgets, windows.")] = ""
    rabbitmq_url: Annotated[str, Meta(description="RabbitMQ: commands and the control plane.")] = ""
    s3_url: Annotated[str, Meta(description="http(s)://KEY:SECRET@host:port/bucket of an S3 server.")] = ""
    s3_style: Annotated[
        Literal["plain", "folders"], Meta(description="folders where the server keeps objects as files (versitygw).")
    ] = "plain"
    registry_url: Annotated[str, Meta(description="Schema registry, the root of its Confluent API.")] = ""
    ray_address: Annotated[str, Meta(description="A Ray cluster for jobs; empty runs them in processes beside.")] = ""
    stream_group: Annotated[
        str,
        Meta(
            pattern=GROUP_PATTERN,
            description="The group in which the stream processor keeps its positions and state, of letters, digits, "
            "'.', '_' and '-'; empty: stream.<operator>.",
        ),
    ] = ""
    stream_shadow: Annotated[
        bool,
        Meta(
            description="The stream processor only shows what it would write, on topics ending in .shadow; needs "
            "stream_group."
        ),
    ] = False


#: The sections that belong to no service.
OWN_SECTIONS: dict[str, type[msgspec.Struct]] = {"app": AppSettings, "cluster": ClusterSettings}


@dataclass(frozen=True, slots=True)
class Configuration:
    """All layers of one process, weakest first, and where its data lies."""

    data_dir: Path
    file: Path | None
    layers: tuple[Layer, ...]

    def section(self, kind: type[T], name: str) -> tuple[T, Loaded]:
        """Settings of one section. Raises BadSettings."""
        return load(kind, name, self.layers)

    @property
    def app(self) -> AppSettings:
        return self.section(AppSettings, "app")[0]

    @property
    def cluster(self) -> ClusterSettings:
        return self.section(ClusterSettings, "cluster")[0]


def data_home(environ: Mapping[str, str]) -> Path:
    """``$CANDLEWICK_DATA_DIR``, else ``candlewick`` in the XDG data home."""
    if given := environ.get("CANDLEWICK_DATA_DIR"):
        return Path(given).expanduser()
    return Path(environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "candlewick"


def read(
    *,
    data_dir: Path | None = None,
    config: Path | None = None,
    flags: Sequence[str] = (),
    profile: Mapping[str, Mapping[str, Any]] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Collect the layers. The file is ``config``, else candlewick.toml in the working folder, else in the data dir."""
    environ = os.environ if environ is None else environ
    place = (data_dir or data_home(environ)).expanduser()
    file = _find(config, place)
    layers = [Layer("profile", profile or {})]
    if file is not None:
        layers.append(Layer(str(file), _parse(file)))
    layers += [environment_layer(environ), flag_layer(flags)]
    return Configuration(place.absolute(), file, tuple(layers))


def _find(config: Path | None, place: Path) -> Path | None:
    if config is not None:
        if not config.is_file():
            raise ConfigNotFound(f"--config must name a file, was {str(config)!r}")
        return config
    return next((f for f in (Path(FILE_NAME), place / FILE_NAME) if f.is_file()), None)


def _parse(file: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        values = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfigFile(f"{file} is not valid TOML: {error}") from None
    for section, fields in values.items():
        if not isinstance(fields, dict):
            raise BadConfigFile(f"{file}: settings stand in sections such as [app], was {section!r} at the top")
    return values


def check_sections(configuration: Configuration, known: Sequence[str]) -> None:
    """Raises BadSettings for a section that nobody owns, so that a misspelt one is not silently ignored."""
    for layer in configuration.layers:
        for section in layer.values:
            if section not in known:
                raise BadSettings(f"{layer.source}: sections are {', '.join(known)}, was {section!r}")
