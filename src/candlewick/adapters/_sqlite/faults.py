"""SQLite's errors -> Candlewick's: retry, mend, or distrust."""

import sqlite3

from candlewick.kernel.errors import CandlewickError, StorageFull
from candlewick.ports.log import LogCorrupt, LogUnavailable

_FULL = 13
_CORRUPT = frozenset({11, 26})
_IOERR = 10
# SQLITE_IOERR_WRITE, _SHMSIZE, _TRUNCATE: how a quota (EFBIG, EDQUOT) or a full tmpfs looks.
_FULL_IO = frozenset({778, 4874, 1546})


def translated(error: sqlite3.Error, doing: str) -> CandlewickError:
    """The error a caller of the log gets for one of SQLite's, by its primary result code."""
    extended = getattr(error, "sqlite_errorcode", 0) or 0
    code = extended & 0xFF
    if code == _FULL or extended in _FULL_IO:
        return StorageFull(
            f"the disk has no room left while {doing}",
            hint="Free space or lower the retention; nothing accepted is lost",
        )
    if code in _CORRUPT or (not code and isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error)):
        return LogCorrupt(f"the log's file is damaged, seen while {doing}: {error}")
    reason = "a disk I/O error" if code == _IOERR else str(error)
    return LogUnavailable(f"the log's file could not be used while {doing}: {reason}")


def is_own_fault(error: sqlite3.Error) -> bool:
    """Whether the statement was wrong (syntax, bindings, a constraint) and not the file, the disk or a lock."""
    wrong = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError | sqlite3.DataError
    return isinstance(error, wrong) or (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF == 1
