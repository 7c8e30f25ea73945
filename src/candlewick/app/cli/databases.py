"""Make every service's database on PostgreSQL ready for this version, before the services are rolled out.

With cluster.postgres_admin_url, roles and databases that are missing are made, and passwords set as the URLs say;
without it they must be there. Then each service's tables are brought to this version by the service's own role. Safe to
repeat, and beside running services: a step of a schema leaves what the version before it needs.
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.configuration import ClusterSettings
from candlewick.app.registry import SERVICES, load
from candlewick.kernel.errors import NotFound, Rejected

EXAMPLES = """examples:
  candlewick databases apply --urls /run/secrets/databases
  candlewick databases apply --url market=postgresql://candlewick_market:PASSWORD@HOST:5432/candlewick_market
"""


class BadDatabaseUrl(Rejected):
    """The URL of a service's database is not one that this service may have."""

    code = "BAD_DATABASE_URL"


class DatabaseNotNamed(NotFound):
    """A service keeps a database, and nobody said where it is."""

    code = "DATABASE_NOT_NAMED"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("apply",), help="make what is missing and bring all tables to this version")
    parser.add_argument("--urls", type=Path, metavar="DIR", help="a folder with a file a service that holds its URL")
    parser.add_argument(
        "--url", action="append", default=[], metavar="SERVICE=URL", dest="named",
        help="the URL of one service's database; goes before --urls; may be given several times",
    )  # fmt: skip
    add_common(parser)


def keeping() -> list[str]:
    """Services that keep a database."""
    return [name for name in SERVICES if {"database", "candles"} & load(name).needs]


def run(parsed: argparse.Namespace) -> int:
    from candlewick.app.profiles.cluster import check_clients

    check_clients()
    servers = configuration(parsed).cluster
    urls = collect(keeping(), parsed.urls, parsed.named)
    asyncio.run(apply(servers, urls))
    return 0


def collect(services: Sequence[str], folder: Path | None, named: Sequence[str]) -> dict[str, str]:
    """The URL of each service. Raises BadDatabaseUrl, DatabaseNotNamed."""
    given: dict[str, str] = {}
    for entry in named:
        name, equals, url = entry.partition("=")
        if not equals or name not in services:
            raise BadDatabaseUrl(f"--url takes SERVICE=URL for {', '.join(services)}, was {name!r}")
        given[name] = url
    for name in services:
        file = folder / name if folder is not None else None
        if name not in given and file is not None and file.is_file():
            given[name] = file.read_text().strip()
        if not given.get(name):
            raise DatabaseNotNamed(
                f"no URL of the database of {name}",
                hint="Give --urls DIR with a file of that name, or --url SERVICE=URL",
            )
        parts = urlsplit(given[name])
        if not parts.scheme.startswith("postgres") or not parts.hostname or not parts.path.strip("/"):
            shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            raise BadDatabaseUrl(
                f"the database of {name} must be postgresql://ROLE:PASSWORD@HOST/DATABASE, was {shown!r}"
            )
    return given


async def apply(servers: ClusterSettings, urls: Mapping[str, str]) -> None:
    """Roles and databases where an administrator is named, then all tables, each service by its own role."""
    from candlewick.adapters.candles.postgres import PostgresCandleStore
    from candlewick.adapters.db.postgres import PostgresDatabase

    for name, url in urls.items():
        spec = load(name)
        made = await _provision(servers, name, url) if servers.postgres_admin_url else ""
        database = PostgresDatabase(url, name=f"candlewick {name} migration")
        await database.open()
        try:
            if spec.schema is not None:
                await database.migrate(spec.schema)
        finally:
            await database.close()
        if "candles" in spec.needs:
            store = PostgresCandleStore(url, name=f"candlewick {name} migration")
            try:
                await store.open()
            finally:
                await store.close()
        print(f"{name}: {made}tables are of this version", flush=True)


async def _provision(servers: ClusterSettings, name: str, url: str) -> str:
    from candlewick.adapters.db.postgres.provisioning import provision
    from candlewick.app.cluster.preparing import role_prefix

    parts, prefix = urlsplit(url), role_prefix(servers.prefix)
    wanted = f"{prefix}{name}"
    if (parts.username, parts.path.strip("/")) != (wanted, wanted):
        shown = f"{parts.username} and {parts.path.strip('/')}"
        raise BadDatabaseUrl(f"role and database of {name} must both be named {wanted}, was {shown!r}")
    await provision(servers.postgres_admin_url, name, unquote(parts.password or ""), prefix=prefix)
    return "role and database are there; "
