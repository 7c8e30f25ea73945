"""What a backup is: files of candles by series and time, the gap ledger, and a manifest with their checksums."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.clock import NS_PER_SECOND

FORMAT: Final = 1
_BY_YEAR_FROM_S: Final = 3600


class ArchivedFile(msgspec.Struct, frozen=True):
    """One object. ``kind`` is candles or gaps; a file of candles holds one series' rows of a month, of a year from 1h
    on."""

    key: str
    sha256: str
    size: int
    kind: str
    rows: int
    exchange: str = ""
    symbol: str = ""
    timeframe_s: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """A backup: complete when its manifest exists."""

    name: str
    made_at: int
    files: tuple[ArchivedFile, ...]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files if file.kind == "candles")


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
    """Equal content has an equal key, so that a backup shares unchanged files with the one before."""
    return f"candles/{exchange}/{symbol}/{NAMES[timeframe_s]}/{label}-{sha256[:16]}.parquet"


def gaps_key(sha256: str) -> str:
    return f"gaps/{sha256[:16]}.parquet"


def manifest_key(name: str) -> str:
    return f"manifests/{name}.json"
