"""One database and one role a service: what an operator's command makes before the services start.

Only the role may connect to its database, and it owns nothing else on the server: not even by mistake can a service
read another one's tables. The names come from the service's.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from candlewick.adapters._postgres.connections import place
from candlewick.adapters._postgres.errors import translating
from candlewick.kernel.errors import Rejected

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_LOCK = 0x43414E444C4503


class BadServiceName(Rejected):
    """The name cannot be made a role's and a database's."""

    code = "BAD_SERVICE_NAME"


async def provision(
    admin_url: str, service: str, password: str, *, prefix: str = "candlewick_", extensions: Sequence[str] = ()
) -> str:
    """Make the service's role and database, or bring what is there to this state; returns the service's URL.

    ``extensions`` are made in the database where the server offers them; one that it lacks, or that it has not loaded,
    is left out, since the services do without. Safe to repeat, also at once. ``admin_url`` names a role that may create
    roles and databases. Raises BadServiceName, DatabaseUnavailable, StatementRefused.
    """
    name = _name(prefix, service)
    connection = await _connected(admin_url)
    try:
        with translating(place(admin_url)):
            # A session's lock, since CREATE DATABASE cannot run inside a transaction.
            await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
                await connection.execute(f'CREATE ROLE "{name}"')
            await connection.execute(
                f'ALTER ROLE "{name}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS '
                f"PASSWORD {_literal(password)}"
            )
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                # Only members of a role may give a database to it; a superuser is one of every role.
                await connection.execute(f'GRANT "{name}" TO CURRENT_USER')
                # C: text sorts by bytes as in SQLite, and an upgrade of the system's collations breaks no index.
                await connection.execute(
                    f"CREATE DATABASE \"{name}\" OWNER \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
                )
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    finally:
        await connection.close()
    parts = urlsplit(admin_url)
    for extension in extensions:
        await _extend(urlunsplit(parts._replace(path=f"/{name}")), extension)
    host = f"{name}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=host, path=f"/{name}"))


async def _extend(admin_url: str, extension: str) -> bool:
    """Whether the database has the extension now. One that has to be loaded with the server, and was not, ends the
    connection that asks for it; one that only a superuser may make is refused to others."""
    connection = await _connected(admin_url)
    try:
        if not await connection.fetchval("SELECT true FROM pg_available_extensions WHERE name = $1", extension):
            return False
        await connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{extension}" CASCADE')
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return False
    finally:
        # It may be gone already.
        connection.terminate()
    return True


async def deprovision(admin_url: str, service: str, *, prefix: str = "candlewick_") -> None:
    """Drop the service's database, with everything in it and whoever is connected to it, and its role."""
    name = _name(prefix, service)
    connection = await _connected(admin_url)
    try:
        with translating(place(admin_url)):
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await connection.execute(f'DROP ROLE IF EXISTS "{name}"')
    finally:
        await connection.close()


def _name(prefix: str, service: str) -> str:
    name = prefix + service.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise BadServiceName(
            f"a service's name must be lower-case letters, digits and lines, at most 41 with its prefix, was {name!r}"
        )
    return name


async def _connected(url: str) -> asyncpg.Connection:
    with translating(place(url)):
        return await asyncpg.connect(url, timeout=5.0)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
