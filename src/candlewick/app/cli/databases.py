"""Make every service's database on PostgreSQL ready for this version, before the services are rolled out.

apply makes roles and databases that are missing, with cluster.postgres_admin_url, and sets passwords as the URLs say;
without an administrator they must be there. Then it does what migrate does: bring each service's tables to this version
as the service's own role, so that they belong to it. status changes nothing and ends with 1 when a database is not at
this version.

The URLs are those of --url and --urls; else cluster.postgres_admin_url suffices for migrate and status, which then act
as each service's role. Safe to repeat, and beside running services: a step of a schema leaves what the version before
it needs.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.cluster.urls import BadDatabaseUrl, DatabaseNotNamed, add_urls, collect, keeping, known_urls
from candlewick.app.configuration import ClusterSettings
from candlewick.app.registry import SERVICES, load
from candlewick.app.runtime.schema import bring_up
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.logging import logger

__all__ = ["BadDatabaseUrl", "DatabaseNotNamed", "Standing", "add_arguments", "collect", "keeping", "run"]

EXAMPLES = """examples:
  candlewick databases apply --urls /run/secrets/databases
  candlewick databases apply --url market=postgresql://candlewick_market:PASSWORD@HOST:5432/candlewick_market
  candlewick databases migrate
  candlewick databases status --json
"""


class Standing(msgspec.Struct, frozen=True):
    """Where a service's database is. ``behind``: tables are of an older version; ``ahead``: of a newer one, that this
    one does not know. ``candles`` is how candles are kept, empty where the service keeps none."""

    service: str
    state: Literal["current", "behind", "ahead", "away"]
    revision: str = ""
    head: str = ""
    candles: str = ""
    detail: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=("apply", "migrate", "status"),
        help="make what is missing and bring all tables to this version; the latter alone; or show where each is",
    )  # fmt: skip
    parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help=f"only these (default: {', '.join(keeping(SERVICES))})"
    )
    add_urls(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    """Returns 1 when status finds a database that is not at this version."""
    from candlewick.app.profiles.cluster import check_clients

    check_clients()
    config = configuration(parsed)
    services = keeping(parsed.services or SERVICES)
    # Passwords are set by the URLs, so apply needs them as they are to be.
    known = {} if parsed.what == "apply" else known_urls(config.cluster, services, config.data_dir)
    urls = collect(services, parsed.urls, parsed.named, known)
    if parsed.what == "status":
        found = asyncio.run(status(urls))
        _tell([msgspec.to_builtins(one) for one in found], [_line(one) for one in found], parsed.json)
        return int(any(one.state != "current" for one in found))
    done = asyncio.run(apply(config.cluster if parsed.what == "apply" else ClusterSettings(), urls))
    lines = [f"{one['service']}: {_made(one)}tables are of this version" for one in done]
    _tell(done, lines, parsed.json)
    return 0


def _made(one: Mapping[str, Any]) -> str:
    return "role and database are there; " if one["provisioned"] else ""


def _tell(found: Sequence[Mapping[str, Any]], lines: Sequence[str], as_json: bool) -> None:
    print(json.dumps({"databases": list(found)}) if as_json else "\n".join(lines), flush=True)


def _line(one: Standing) -> str:
    words = {
        "current": "tables are of this version",
        "behind": f"tables are older than this version's {one.head}; run 'candlewick databases migrate'",
        "ahead": "tables are of a newer version",
        "away": one.detail,
    }
    at = f" at {one.revision}" if one.revision else ""
    return (
        f"{one.state:8} {one.service:12} {words[one.state]}{at}{f'; candles in {one.candles}' if one.candles else ''}"
    )


async def apply(servers: ClusterSettings, urls: Mapping[str, str]) -> list[dict[str, Any]]:
    """Roles and databases where an administrator is named, then all tables, each service by its own role."""
    from candlewick.adapters.candles.postgres import PostgresCandleStore
    from candlewick.adapters.db.postgres import PostgresDatabase

    done = []
    for name, url in urls.items():
        spec = load(name)
        if servers.postgres_admin_url:
            await _provision(servers, name, url)
        revision, candles = "", ""
        database = PostgresDatabase(url, name=f"candlewick {name} migration")
        await database.open()
        try:
            if spec.schema is not None:
                await bring_up(database, spec.schema, logger("databases"))
                revision = await database.revision()
        finally:
            await database.close()
        if "candles" in spec.needs:
            store = PostgresCandleStore(url, name=f"candlewick {name} migration")
            try:
                await store.open()
                candles = store.layout
            finally:
                await store.close()
        done.append(
            {
                "service": name,
                "provisioned": bool(servers.postgres_admin_url),
                "revision": revision,
                "candles": candles,
            }
        )
    return done


async def status(urls: Mapping[str, str]) -> list[Standing]:
    """Where each database is; one that cannot be reached is told of, not raised."""
    return [await _standing(name, url) for name, url in urls.items()]


async def _standing(name: str, url: str) -> Standing:
    from candlewick.adapters._alembic.history import BASE, read
    from candlewick.adapters.candles.postgres import layout_of
    from candlewick.adapters.db.postgres import PostgresDatabase

    spec = load(name)
    database = PostgresDatabase(url, name=f"candlewick {name} status")
    try:
        await database.open()
        try:
            revision = await database.revision()
        finally:
            await database.close()
        candles = await layout_of(url) if "candles" in spec.needs else ""
    except CandlewickError as error:
        return Standing(name, "away", detail=f"{error.code}: {error}")
    if spec.schema is None:
        return Standing(name, "current", revision, revision, candles)
    known = read(spec.schema)
    head = known.head()
    if revision != BASE and revision not in known.parents:
        return Standing(name, "ahead", revision, head, candles)
    is_current = revision == head and ("candles" not in spec.needs or bool(candles))
    return Standing(name, "current" if is_current else "behind", revision, head, candles)


async def _provision(servers: ClusterSettings, name: str, url: str) -> None:
    from candlewick.adapters.db.postgres.provisioning import provision
    from candlewick.app.cluster.preparing import extensions
    from candlewick.app.cluster.urls import role_prefix

    parts, prefix = urlsplit(url), role_prefix(servers.prefix)
    wanted = f"{prefix}{name}"
    if (parts.username, parts.path.strip("/")) != (wanted, wanted):
        shown = f"{parts.username} and {parts.path.strip('/')}"
        raise BadDatabaseUrl(f"role and database of {name} must both be named {wanted}, was {shown!r}")
    await provision(
        servers.postgres_admin_url, name, unquote(parts.password or ""), prefix=prefix, extensions=extensions(name)
    )
