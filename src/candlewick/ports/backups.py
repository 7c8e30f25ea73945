"""Copies of what a service keeps, as its process sees them: every table of its database and every candle.

The composition root makes them for every service with a database, on a schedule and when asked; where they lie is its
affair. A backup is there as a whole or not at all.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from candlewick.kernel.errors import Conflict, Corrupt, NotFound

Report = Callable[[float, str], Awaitable[None]]


class UnknownBackup(NotFound):
    """There is no backup of that name, or none at all."""

    code = "UNKNOWN_BACKUP"


class BackupDamaged(Corrupt):
    """A file of a backup is missing or not what its manifest says, or what was restored is not what was copied."""

    code = "BACKUP_DAMAGED"


class NotEmpty(Conflict):
    """A backup is restored only where nothing is kept yet."""

    code = "NOT_EMPTY"


class BackupDoesNotFit(Conflict):
    """The tables of a backup are not those that this version makes at the backup's revision."""

    code = "BACKUP_DOES_NOT_FIT"


class BackupInfo(msgspec.Struct, frozen=True):
    """One backup. ``made_at`` is ns UTC; ``rows`` are those of its tables, ``size`` is in bytes."""

    name: str
    made_at: int
    files: int
    rows: int
    candles: int
    size: int


async def quiet(_progress: float, _note: str) -> None:
    """A ``Report`` that tells nobody."""


class Backups(Protocol):
    async def make(self, report: Report = quiet) -> BackupInfo:
        """A new backup of everything kept now; older ones beyond those to keep are forgotten. Waits for one that is
        being made by another process of the service."""
        ...

    async def kept(self) -> list[BackupInfo]:
        """Every backup, oldest first."""
        ...
