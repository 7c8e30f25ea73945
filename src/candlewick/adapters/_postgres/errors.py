"""PostgreSQL's SQLSTATEs and the driver's own errors in Candlewick's error tree.

Classes are the first two characters (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from candlewick.kernel.errors import CandlewickError, StorageFull
from candlewick.ports.database import ConstraintViolated, DatabaseCorrupt, DatabaseUnavailable, StatementRefused

# 08 connection, 28 authorisation, 3D no such database, 40 rolled back by the server, 53 resources, 57 operator
# intervention, 58 the machine.
_UNAVAILABLE = frozenset({"08", "28", "3D", "40", "53", "57", "58"})
# Lock not available within lock_timeout; the session idled too long in its transaction.
_UNAVAILABLE_STATES = frozenset({"55P03", "55006", "25P03", "25P04"})
_LOST = frozenset({"57P01", "57P02", "57P03", "25P03", "25P04"})


def sqlstate(error: BaseException) -> str:
    """The server's code; empty where the driver or the machine refused."""
    return str(getattr(error, "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """The connection is gone, so what it was doing may or may not be done."""
    if isinstance(error, asyncpg.PostgresError):
        return sqlstate(error)[:2] == "08" or sqlstate(error) in _LOST
    if isinstance(error, asyncpg.InterfaceError):
        # The pool takes a connection back by itself when its line breaks.
        return any(word in str(error) for word in ("closed", "closing", "released back"))
    return isinstance(error, OSError | EOFError | asyncpg.InternalClientError)


def translated(error: BaseException, where: str) -> BaseException:
    """The Candlewick error for one of the driver's; anything else comes back as it is. ``where`` names the database
    without its password."""
    if isinstance(error, CandlewickError):
        return error
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable(f"the database did not answer in time, was {where!r}")
    if isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return DatabaseUnavailable(f"the schema was changed meanwhile; the same call may be made again, was {where!r}")
    if isinstance(error, asyncpg.PostgresError):
        return _of_the_server(error, where)
    if is_lost(error):
        return DatabaseUnavailable(f"the database cannot be reached ({_said(error)}), was {where!r}")
    if isinstance(error, asyncpg.InterfaceError):
        return StatementRefused(f"the statement was refused: {_said(error)}")
    return error


@contextmanager
def translating(where: str) -> Iterator[None]:
    """What goes wrong inside comes out as Candlewick's errors."""
    try:
        yield
    except Exception as error:
        told = translated(error, where)
        if told is error:
            raise
        raise told from error


def _of_the_server(error: asyncpg.PostgresError, where: str) -> CandlewickError:
    state = sqlstate(error)
    if state == "53100":
        return StorageFull(
            f"no room to write to the database, was {where!r}",
            hint="Free disk space; what was accepted is safe and writing goes on by itself",
        )
    if state[:2] == "23":
        return ConstraintViolated(f"a constraint refused the row: {_said(error)}")
    if state in {"XX001", "XX002"}:
        return DatabaseCorrupt(
            f"the database is damaged ({_said(error)}), was {where!r}",
            hint="Stop what uses it and restore the newest backup",
        )
    if state == "53200":
        return DatabaseUnavailable(
            f"the server is out of memory or of lock slots ({_said(error)}), was {where!r}",
            hint="Raise max_locks_per_transaction when it speaks of locks",
        )
    if state[:2] in _UNAVAILABLE or state in _UNAVAILABLE_STATES:
        return DatabaseUnavailable(f"the database cannot be used now ({_said(error)}), was {where!r}")
    return StatementRefused(f"the statement was refused: {_said(error)}")


def _said(error: BaseException) -> str:
    return str(error).split("\n", 1)[0] or type(error).__name__
