"""What is to be imported: a file, and what its first rows say it holds."""

import hashlib
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from candlewick.adapters.files.tables import names
from candlewick.adapters.files.tables.columns import Content, Meaning, recognise
from candlewick.adapters.files.tables.errors import FileDamaged, Problems
from candlewick.adapters.files.tables.reading import tables
from candlewick.kernel.errors import Rejected

_PROBE_BYTES = 1 << 20


class SymbolNotClear(Rejected):
    """The name of a file does not tell its symbol."""

    code = "SYMBOL_NOT_CLEAR"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about all files of one import."""

    exchange: str
    symbol: str | None = None
    timeframe_s: int | None = None
    is_complete: bool = False
    is_aggregated: bool = False
    columns: tuple[str, ...] | None = None
    round_to: int | None = None
    derive: bool = True


@dataclass(slots=True)
class Source:
    """One file, and what has become of its rows. Times are ns."""

    path: Path
    symbol: str
    meaning: Meaning
    problems: Problems = field(default_factory=Problems)
    timeframe_s: int | None = None
    rows: int = 0
    accepted: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    stored: int | None = None
    derived: int = 0
    damage: str | None = None

    @property
    def content(self) -> Content:
        return self.meaning.content

    def fingerprint(self, options: Options) -> str:
        """The same for the same file imported the same way: names the job that goes on after a stop."""
        digest = hashlib.sha256(repr((options, self.symbol, self.path.stat().st_size)).encode())
        with self.path.open("rb") as stream:
            digest.update(stream.read(_PROBE_BYTES))
            stream.seek(max(0, self.path.stat().st_size - _PROBE_BYTES))
            digest.update(stream.read(_PROBE_BYTES))
        return digest.hexdigest()[:20]


def look(path: Path, options: Options) -> Source:
    """Recognise a file. Raises FileNotThere, UnknownFileFormat, UnknownColumns, FileDamaged, SymbolNotClear."""
    first = next(islice(tables(path, piece=1000), 1), None)
    if first is None or not first.columns:
        raise FileDamaged(f"{path.name} holds no rows")
    meaning = recognise(first, names=options.columns)
    symbol = options.symbol or names.symbol_in_name(path)
    if symbol is None:
        raise SymbolNotClear(
            f"the symbol must be known, was the file {path.name!r}", hint="Name it with --symbol, e.g. BTC-USDT"
        )
    return Source(path, symbol, meaning)


def summary(source: Source) -> dict[str, Any]:
    """What became of a file, for people and programs; times are ms."""
    from candlewick.contracts.timeframes import NAMES

    ms = {
        name: None if ns is None else ns // 1_000_000
        for name, ns in (("first", source.first_ns), ("last", source.last_ns))
    }
    return {
        "file": str(source.path),
        "content": source.content,
        "symbol": source.symbol,
        "timeframe": NAMES.get(source.timeframe_s) if source.timeframe_s else None,
        "rows": source.rows,
        "accepted": source.accepted,
        "refused": dict(sorted(source.problems.counts.items())),
        "first_refused": [{"row": row, "code": code, "value": value} for row, code, value in source.problems.first],
        "notes": dict(source.problems.notes),
        **ms,
        "stored": source.stored,
        "derived": source.derived,
        "damage": source.damage,
    }
