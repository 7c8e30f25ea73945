"""Files to tables, piece by piece: CSV, JSON, JSON lines, Parquet, Feather, plain, gzipped or zipped.

Numbers of text formats are handed on as the file spells them, so that a decimal keeps its digits.
"""

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from candlewick.adapters.files.tables.errors import FileDamaged, FileNotThere, UnknownFileFormat
from candlewick.adapters.files.tables.table import NO_TIME, Column, Table, from_cells

_CSV = frozenset({".csv", ".txt", ".tsv"})
_JSON = frozenset({".json"})
_LINES = frozenset({".jsonl", ".ndjson"})
_PARQUET = frozenset({".parquet", ".pq"})
_FEATHER = frozenset({".feather", ".arrow", ".ipc"})
FORMATS = "CSV, JSON, JSON lines, Parquet, Feather; CSV and JSON also as .gz or .zip"
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, UnicodeDecodeError, csv.Error)
_JSON_LISTS = ("candles", "ohlc", "ohlcv", "data", "trades", "result", "results", "rows", "klines", "values")


def tables(path: Path, *, piece: int = 200_000) -> Iterator[Table]:
    """The file as tables of at most ``piece`` rows. Raises FileNotThere, UnknownFileFormat, and FileDamaged after
    giving out what could be read before the damage."""
    if not path.is_file():
        raise FileNotThere(f"the file must exist, was {str(path)!r}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1] if suffixes else ""
    inner = suffixes[-2] if packed == ".gz" and len(suffixes) > 1 else packed
    try:
        if packed == ".zip":
            yield from _zip(path, piece)
        elif inner in _PARQUET:
            yield from _parquet(path, piece)
        elif inner in _FEATHER:
            yield from _feather(path, piece)
        elif inner in _CSV or inner in _JSON or inner in _LINES:
            with _opened(path, packed == ".gz") as stream:
                yield from _text(stream, inner, piece)
        else:
            raise UnknownFileFormat(f"files are {FORMATS}, was {path.name!r}")
    except _DAMAGE as error:
        raise FileDamaged(f"{path.name} ends early or is not what its name says: {error}") from None
    except msgspec.DecodeError as error:
        raise FileDamaged(f"{path.name} is not valid JSON: {error}") from None
    except OSError as error:
        # pyarrow raises its ArrowInvalid as ValueError and OSError alike
        raise FileDamaged(f"{path.name} cannot be read: {error}") from None


@contextmanager
def _opened(path: Path, is_gzip: bool) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if is_gzip:
            with gzip.open(raw) as stream:
                yield stream  # type: ignore[misc]
        else:
            yield raw


def _zip(path: Path, piece: int) -> Iterator[Table]:
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if Path(name).suffix.lower() in _CSV | _JSON | _LINES]
        if len(members) != 1:
            raise UnknownFileFormat(f"a ZIP must hold one CSV or JSON file, was {archive.namelist()[:5]!r}")
        with archive.open(members[0]) as stream:
            yield from _text(stream, Path(members[0]).suffix.lower(), piece)


def _text(stream: IO[bytes], suffix: str, piece: int) -> Iterator[Table]:
    if suffix in _CSV:
        yield from _csv(stream, piece)
    elif suffix in _JSON:
        yield from _json(stream.read(), piece)
    else:
        decoder = msgspec.json.Decoder(float_hook=str)
        rows: list[Any] = []
        first = 1
        for line in stream:
            if line.strip():
                rows.append(decoder.decode(line))
            if len(rows) == piece:
                yield _of_rows(rows, first)
                first += len(rows)
                rows = []
        if rows:
            yield _of_rows(rows, first)


# -- CSV -----------------------------------------------------------------------------------------------------------


def _csv(stream: IO[bytes], piece: int) -> Iterator[Table]:
    text = io.TextIOWrapper(io.BufferedReader(stream) if not stream.seekable() else stream, "utf-8-sig", newline="")  # type: ignore[type-var]
    head: list[str] = []
    for line in text:
        head.append(line)
        if len(head) == 5:
            break
    if not head:
        return
    delimiter = max(",;\t|", key=head[-1].count)
    reader = csv.reader(_lines(head, text), delimiter=delimiter, strict=False)
    names: tuple[str, ...] | None = None
    width = 0
    cells: list[list[str]] = []
    rows: list[int] = []
    malformed: list[tuple[int, str]] = []

    def table() -> Table:
        columns = tuple(_csv_column([row[place] for row in cells]) for place in range(width))
        return Table(names, columns, np.array(rows, np.int64), tuple(malformed))

    for number, row in _numbered(reader):
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        if width == 0:
            if len(row) == 1:  # a line of advertisement or a comment above the header
                continue
            width = len(row)
            if _is_header(row):
                names = tuple(cell.strip() for cell in row)
                continue
        if len(row) != width:
            malformed.append((number, delimiter.join(row)))
            continue
        cells.append(row)
        rows.append(number)
        if len(cells) == piece:
            yield table()
            cells, rows, malformed = [], [], []
    if cells or malformed:
        yield table()


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        yield reader.line_num, row


def _lines(head: list[str], rest: io.TextIOWrapper) -> Iterator[str]:
    yield from head
    yield from rest


def _is_header(row: list[str]) -> bool:
    """A header has words; a row of data has at most a few (a symbol, a side, booleans)."""
    numeric = sum(any(ch.isdigit() for ch in cell) and not any(ch.isalpha() for ch in cell.strip()) for cell in row)
    return numeric == 0 or (numeric < 2 and sum(cell.strip().isalpha() for cell in row) > len(row) // 2)


def _csv_column(cells: list[str]) -> Column:
    out = np.empty(len(cells), object)
    out[:] = [cell.strip() or None for cell in cells]
    return Column("text", out)


# -- JSON ----------------------------------------------------------------------------------------------------------


def _json(data: bytes, piece: int) -> Iterator[Table]:
    value = msgspec.json.Decoder(float_hook=str).decode(data)
    if isinstance(value, dict):
        value = _inside(value)
    if isinstance(value, dict):  # columns by name
        names = tuple(value)
        count = min((len(cells) for cells in value.values()), default=0)
        for first in range(0, count, piece):
            last = min(first + piece, count)
            columns = tuple(from_cells(value[name][first:last]) for name in names)
            yield Table(names, columns, np.arange(first + 1, last + 1))
        return
    if not isinstance(value, list):
        raise FileDamaged("a JSON file of market data holds a list of rows or an object of columns")
    for first in range(0, len(value), piece):
        yield _of_rows(value[first : first + piece], first + 1)


def _inside(value: dict[str, Any]) -> Any:
    """The list of rows inside a reply of an exchange, or the object itself when its values are columns."""
    lists = {name: each for name, each in value.items() if isinstance(each, list)}
    for name in _JSON_LISTS:
        for key, each in lists.items():
            if key.lower() == name and each and isinstance(each[0], list | dict):
                return each
    nested = [each for each in value.values() if isinstance(each, dict)]
    if not lists and len(nested) == 1:
        return _inside(nested[0])
    if len(lists) == 1:
        return next(iter(lists.values()))
    return lists or value


def _of_rows(rows: list[Any], first: int) -> Table:
    numbers = np.arange(first, first + len(rows))
    malformed: list[tuple[int, str]] = []
    if isinstance(rows[0], dict):
        names = tuple(rows[0])
        good = [isinstance(row, dict) for row in rows]
        kept = [row for row in rows if isinstance(row, dict)]
        columns = tuple(from_cells([row.get(name) for row in kept]) for name in names)
    elif isinstance(rows[0], list):
        names, width = None, len(rows[0])
        good = [isinstance(row, list) and len(row) == width for row in rows]
        kept = [row for row, fits in zip(rows, good, strict=True) if fits]
        columns = tuple(from_cells([row[place] for row in kept]) for place in range(width))
    else:
        raise FileDamaged(f"rows of JSON market data are lists or objects, was {str(rows[0])[:80]!r}")
    malformed = [(int(n), str(row)) for n, row, fits in zip(numbers, rows, good, strict=True) if not fits]
    return Table(names, columns, numbers[np.array(good)], tuple(malformed))


# -- Arrow ---------------------------------------------------------------------------------------------------------


def _parquet(path: Path, piece: int) -> Iterator[Table]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            first = 1
            for batch in file.iter_batches(batch_size=piece):
                yield _of_arrow(pa.Table.from_batches([batch]), first)
                first += batch.num_rows
    except pa.ArrowException as error:
        raise FileDamaged(f"{path.name} is not readable Parquet: {error}") from None


def _feather(path: Path, piece: int) -> Iterator[Table]:
    import pyarrow as pa
    from pyarrow import feather

    try:
        whole = feather.read_table(path, memory_map=True)
    except pa.ArrowException as error:
        raise FileDamaged(f"{path.name} is not readable Feather: {error}") from None
    for first in range(0, whole.num_rows, piece):
        yield _of_arrow(whole.slice(first, piece), first + 1)


def _of_arrow(table: Any, first: int) -> Table:
    columns = tuple(_arrow_column(table.column(place)) for place in range(table.num_columns))
    return Table(tuple(table.column_names), columns, np.arange(first, first + table.num_rows))


def _arrow_column(column: Any) -> Column:
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if types.is_timestamp(kind) or types.is_date(kind):
        exact = column.cast(pa.timestamp("ns", getattr(kind, "tz", None))).cast(pa.int64())
        return Column("time", exact.fill_null(int(NO_TIME)).to_numpy())
    if types.is_floating(kind):
        return Column("float", column.cast(pa.float64()).to_numpy())
    if types.is_integer(kind) and column.null_count == 0:
        return Column("int", column.cast(pa.int64()).to_numpy())
    if types.is_decimal(kind):
        column = column.cast(pa.string())
    return from_cells(column.to_pylist())
