"""A schema history small enough to be counted in SQLite's ``user_version``: for files that belong to an adapter."""

import sqlite3
from collections.abc import Callable, Sequence

from candlewick.ports.database import DatabaseUnavailable

_WAIT_MS = 10_000


def preparing(what: str, steps: Sequence[str]) -> Callable[[sqlite3.Connection], None]:
    """A function that brings a file to the newest step; each step is statements divided by semicolons.

    Safe when several processes do it at once. Raises DatabaseUnavailable for a file that a newer version wrote.
    """

    def prepare(connection: sqlite3.Connection) -> None:
        if _version(connection) == len(steps):
            return
        connection.execute(f"PRAGMA busy_timeout = {_WAIT_MS}").close()
        connection.execute("BEGIN IMMEDIATE")
        try:
            at = _version(connection)
            if at > len(steps):
                raise DatabaseUnavailable(
                    f"the {what} was written by a newer version, its schema was {at!r}", hint="Start that version"
                )
            for step in steps[at:]:
                for statement in step.split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(steps)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("PRAGMA busy_timeout = 0").close()

    return prepare


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
