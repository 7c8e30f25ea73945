"""Candles to files, whole or not at all: CSV with exact decimals, Parquet and Feather with float64.

Rows come in pieces, so that years of minutes need no memory. The file appears under its name when it is complete.
"""

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from candlewick.adapters.files.tables.errors import UnknownFileFormat
from candlewick.contracts.base import ORIGIN_NAMES
from candlewick.contracts.stream import GAPPED, CandleColumns
from candlewick.kernel.decimals import to_float, to_text
from candlewick.kernel.errors import StorageFull

NAMES: Final = (
    "open_time", "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trades", "revision",
    "origin", "quality",
)  # fmt: skip
FORMATS: Final = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather"}
_NO_SPACE = 28

Write = Callable[[CandleColumns], None]


@contextmanager
def writing(path: Path, metadata: Callable[[], Mapping[str, str]]) -> Iterator[Write]:
    """A function that takes the pieces, oldest first; the format is that of the suffix. ``metadata`` is asked when all
    rows were given and stands in Parquet's and Feather's schema. Raises UnknownFileFormat, StorageFull; what was at
    ``path`` stays as it was when the block fails."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UnknownFileFormat(f"--out must end in one of {', '.join(FORMATS)}, was {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with (_csv if kind == "csv" else _arrow)(part, kind, metadata) as write:
            yield write
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno == _NO_SPACE:
            raise StorageFull(f"the disk of {str(path)!r} is full", hint="Free some space and run it again") from None
        raise
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def wide(high: Any, low: Any) -> list[int]:
    """The integers that two limbs hold."""
    return [(hi << 64) | lo for hi, lo in zip(high.tolist(), low.tolist(), strict=True)]


def _qualities(rows: CandleColumns) -> list[str]:
    return ["gapped" if flag & GAPPED else "ok" for flag in rows.flags.tolist()]


def _origins(rows: CandleColumns) -> list[str]:
    return [ORIGIN_NAMES[origin] for origin in rows.origin.tolist()]


def _decimals(rows: CandleColumns, form: Callable[[int, int], Any]) -> list[list[Any]]:
    """Prices and volumes, each number through ``form`` (mantissa, scale)."""
    p, s = rows.price_scale, rows.size_scale
    prices = [[form(value, p) for value in column.tolist()] for column in (rows.open, rows.high, rows.low, rows.close)]
    volumes = [
        [form(value, scale) for value in wide(high, low)]
        for high, low, scale in (
            (rows.volume_hi, rows.volume_lo, s),
            (rows.quote_hi, rows.quote_lo, p + s),
            (rows.taker_hi, rows.taker_lo, s),
        )
    ]
    return prices + volumes


@contextmanager
def _csv(path: Path, _kind: str, _metadata: Callable[[], Mapping[str, str]]) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(NAMES)

        def write(rows: CandleColumns) -> None:
            times = [_iso(ts) for ts in rows.open_time.tolist()]
            counts = ["" if count < 0 else count for count in rows.trades.tolist()]
            columns = [times, *_decimals(rows, to_text), counts, rows.revision.tolist()]
            writer.writerows(zip(*columns, _origins(rows), _qualities(rows), strict=True))

        yield write


def _iso(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _arrow(path: Path, kind: str, metadata: Callable[[], Mapping[str, str]]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import feather, parquet

    types: list[Any] = [
        pa.timestamp("ns", "UTC"),
        *[pa.float64()] * 7,
        pa.int64(),
        pa.int32(),
        pa.string(),
        pa.string(),
    ]
    schema: Any = pa.schema(list(zip(NAMES, types, strict=True)))
    pieces: list[Any] = []
    writer = parquet.ParquetWriter(path, schema, compression="zstd") if kind == "parquet" else None

    def write(rows: CandleColumns) -> None:
        counts = pa.array([None if count < 0 else count for count in rows.trades.tolist()], pa.int64())
        cells: list[Any] = [
            rows.open_time,
            *_decimals(rows, to_float),
            counts,
            rows.revision,
            _origins(rows),
            _qualities(rows),
        ]
        columns: list[Any] = [pa.array(each, kind) for each, kind in zip(cells, types, strict=True)]
        table = pa.Table.from_arrays(columns, schema=schema)
        if writer is not None:
            writer.write_table(table)
        else:
            pieces.append(table)

    try:
        yield write
        if writer is not None:
            writer.add_key_value_metadata(dict(metadata()))
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        whole = pa.concat_tables(pieces) if pieces else schema.empty_table()
        feather.write_feather(whole.replace_schema_metadata(dict(metadata())), path)
