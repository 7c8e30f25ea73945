"""Where each service's PostgreSQL database is, for the commands that look after all of them."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from candlewick.app.configuration import ClusterSettings
from candlewick.app.registry import SERVICES, load
from candlewick.kernel.errors import NotFound, Rejected

_ROLE = "candlewick_"


class BadDatabaseUrl(Rejected):
    """The URL of a service's database is not one that this service may have."""

    code = "BAD_DATABASE_URL"


class DatabaseNotNamed(NotFound):
    """A service keeps a database, and nobody said where it is."""

    code = "DATABASE_NOT_NAMED"


def role_prefix(prefix: str) -> str:
    """What goes before a service's name to be its role's and its database's."""
    return _ROLE + "".join(f"{part}_" for part in re.findall(r"[a-z0-9]+", prefix.lower()))


def keeping(services: Sequence[str] = SERVICES) -> list[str]:
    """Those that keep a database, in the order of their start. Raises UnknownService."""
    wanted = {name for name in services if {"database", "candles"} & load(name).needs}
    return [name for name in SERVICES if name in wanted]


def add_urls(parser: argparse.ArgumentParser) -> None:
    """--urls, --url."""
    parser.add_argument("--urls", type=Path, metavar="DIR", help="a folder with a file a service that holds its URL")
    parser.add_argument(
        "--url", action="append", default=[], metavar="SERVICE=URL", dest="named",
        help="the URL of one service's database; goes before --urls; may be given several times",
    )  # fmt: skip


def collect(
    services: Sequence[str], folder: Path | None, named: Sequence[str], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The URL of each service: by name, else by file, else ``known``. Raises BadDatabaseUrl, DatabaseNotNamed."""
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
        if name not in given and known is not None and name in known:
            given[name] = known[name]
        if not given.get(name):
            raise DatabaseNotNamed(
                f"no URL of the database of {name}",
                hint="Give --urls DIR with a file of that name, --url SERVICE=URL, or cluster.postgres_admin_url",
            )
        parts = urlsplit(given[name])
        if not parts.scheme.startswith("postgres") or not parts.hostname or not parts.path.strip("/"):
            shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            raise BadDatabaseUrl(
                f"the database of {name} must be postgresql://ROLE:PASSWORD@HOST/DATABASE, was {shown!r}"
            )
    return {name: given[name] for name in services}


def known_urls(servers: ClusterSettings, services: Sequence[str], data_dir: Path) -> dict[str, str]:
    """What the settings tell: ``cluster.postgres_url`` where one service is asked for; else, with an administrator's
    URL, the roles' passwords that ``up`` keeps in the data dir, and where there is none the administrator acting as the
    service's role, so that what is made belongs to it."""
    if servers.postgres_url and len(services) == 1:
        return {services[0]: servers.postgres_url}
    if not servers.postgres_admin_url:
        return {}
    admin, prefix = urlsplit(servers.postgres_admin_url), role_prefix(servers.prefix)
    file = data_dir / "cluster" / "passwords.json"
    words: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    found = {}
    for name in services:
        role = f"{prefix}{name}"
        if name in words:
            place = f"{role}:{quote(words[name], safe='')}@{admin.netloc.rpartition('@')[2]}"
            found[name] = urlunsplit(admin._replace(netloc=place, path=f"/{role}"))
        else:
            query = "&".join(part for part in (admin.query, urlencode({"role": role})) if part)
            found[name] = urlunsplit(admin._replace(path=f"/{role}", query=query))
    return found
