"""SQLite's result codes in Candlewick's error tree.

Primary codes are the low byte of the extended ones (https://www.sqlite.org/rescode.html).
"""

import sqlite3
from pathlib import Path

from candlewick.kernel.errors import CandlewickError, StorageFull
from candlewick.ports.database import ConstraintViolated, DatabaseCorrupt, DatabaseUnavailable, StatementRefused

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CONSTRAINT = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH})
# What a quota (EFBIG, EDQUOT) or a full tmpfs looks like.
_FULL_IO = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE})
_MACHINE = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code, or 0 where the driver itself refused."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: BaseException) -> bool:
    """Another connection holds the lock."""
    return isinstance(error, sqlite3.Error) and primary_code(error) in _BUSY


def translated(error: Exception, path: Path) -> Exception:
    """The Candlewick error for one of the driver's; anything else comes back as it is."""
    if isinstance(error, CandlewickError):
        return error
    if isinstance(error, OverflowError):
        return StatementRefused("a parameter must be an integer of 64 bits")
    if isinstance(error, OSError):
        return DatabaseUnavailable(f"the database's folder cannot be used ({error.strerror}), was {str(path)!r}")
    if not isinstance(error, sqlite3.Error):
        return error
    code = primary_code(error)
    if code in _BUSY:
        return DatabaseUnavailable(f"the database file is locked by another process, was {str(path)!r}")
    if code == sqlite3.SQLITE_FULL or getattr(error, "sqlite_errorcode", 0) in _FULL_IO:
        return StorageFull(
            f"no room to write to the database file, was {str(path)!r}",
            hint="Free disk space; what was accepted is safe and writing goes on by itself",
        )
    if code in _CONSTRAINT:
        return ConstraintViolated(f"a constraint refused the row: {error}")
    if code in _CORRUPT:
        return DatabaseCorrupt(
            f"the database file is damaged ({error}), was {str(path)!r}",
            hint="Stop what uses it and restore the newest backup",
        )
    if code in _MACHINE or (code == sqlite3.SQLITE_READONLY and "attempt to write" not in str(error)):
        return DatabaseUnavailable(f"the database file cannot be used ({error}), was {str(path)!r}")
    return StatementRefused(f"the statement was refused: {error}")
