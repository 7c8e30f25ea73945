"""What a backup is: Parquet files of tables and candles, and a manifest that names them with their checksums.

``<service>/manifests/<name>.json`` makes a backup; the files it names are keyed by their content, so backups share what
did not change.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.ports.backups import BackupInfo
from candlewick.ports.database import Column

FORMAT: Final = 2
_BY_YEAR_FROM_S: Final = 3600


class StoredFile(msgspec.Struct, frozen=True):
    """One object, its SHA-256, its bytes, and how many rows are in it."""

    key: str
    sha256: str
    size: int
    rows: int


class StoredTable(msgspec.Struct, frozen=True):
    """All rows of a table. ``checksum`` is of the rows, whatever their order and the database (``rows.Checksum``)."""

    name: str
    columns: tuple[Column, ...]
    rows: int
    checksum: str
    files: tuple[StoredFile, ...]


class StoredCandles(msgspec.Struct, frozen=True):
    """One series' rows of a month, of a year from 1h on."""

    exchange: str
    symbol: str
    timeframe_s: int
    file: StoredFile


class Manifest(msgspec.Struct, frozen=True):
    """A backup: complete when its manifest exists. ``revision`` is the schema history's, that the tables have."""

    service: str
    name: str
    made_at: int
    revision: str
    tables: tuple[StoredTable, ...]
    candles: tuple[StoredCandles, ...]
    format: int = FORMAT

    @property
    def files(self) -> tuple[StoredFile, ...]:
        return (*(file for table in self.tables for file in table.files), *(each.file for each in self.candles))

    @property
    def info(self) -> BackupInfo:
        return BackupInfo(
            self.name,
            self.made_at,
            len(self.files),
            sum(table.rows for table in self.tables),
            sum(each.file.rows for each in self.candles),
            sum(file.size for file in self.files),
        )


def name_of(now_ns: int) -> str:
    """Names sort by time."""
    return datetime.fromtimestamp(now_ns // NS_PER_SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")


def periods(first_ns: int, last_ns: int, timeframe_s: int) -> list[tuple[str, int, int]]:
    """(label, start, end) of the months or years that hold open times first..last."""
    by_year = timeframe_s >= _BY_YEAR_FROM_S
    at = datetime.fromtimestamp(first_ns // NS_PER_SECOND, UTC)
    year, month = at.year, 1 if by_year else at.month
    found: list[tuple[str, int, int]] = []
    while True:
        start = _ns(year, month)
        if start > last_ns:
            return found
        following = (year + 1, 1) if by_year or month == 12 else (year, month + 1)
        found.append((f"{year}" if by_year else f"{year}-{month:02d}", start, _ns(*following)))
        year, month = following


def _ns(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * NS_PER_SECOND


def candles_key(exchange: str, symbol: str, timeframe_s: int, label: str, sha256: str) -> str:
    timeframe = NAMES.get(timeframe_s, f"{timeframe_s}s")
    return f"candles/{exchange}/{symbol}/{timeframe}/{label}-{sha256[:16]}.parquet"


def table_key(table: str, sha256: str) -> str:
    return f"tables/{table}/{sha256[:16]}.parquet"


def manifest_key(name: str) -> str:
    return f"manifests/{name}.json"
