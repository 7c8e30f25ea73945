"""Rows and candles as Parquet bytes, every integer as it is. Equal content gives equal bytes. All of it blocks."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from candlewick.contracts.base import frozen
from candlewick.contracts.stream import CandleColumns
from candlewick.ports.backups import BackupDamaged
from candlewick.ports.database import Column, Row
from candlewick.quant.candles.merge import ARRAYS

_SCALES = ("price_scale", "size_scale")


def encode_rows(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    import pyarrow as pa

    types = {
        "integer": pa.int64(), "truth": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary(),
    }  # fmt: skip
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    arrays = [pa.array(list(some), types[column.kind]) for column, some in zip(columns, values, strict=True)]
    return _bytes(pa.table(arrays, [column.name for column in columns]))


def decode_rows(columns: Sequence[Column], data: bytes) -> list[Row]:
    """What ``encode_rows`` wrote. Raises BackupDamaged."""
    table = _table(data)
    names = [column.name for column in columns]
    if table.column_names != names:
        raise BackupDamaged(f"a file of rows must hold the columns {names!r}, was {table.column_names!r}")
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def encode_candles(columns: CandleColumns) -> bytes:
    import pyarrow as pa

    table = pa.table({name: getattr(columns, name) for name in ARRAYS})
    return _bytes(table.replace_schema_metadata({name: str(getattr(columns, name)) for name in _SCALES}))


def decode_candles(data: bytes) -> CandleColumns:
    """What ``encode_candles`` wrote. Raises BackupDamaged."""
    table = _table(data)
    try:
        values: dict[str, Any] = {name: int((table.schema.metadata or {})[name.encode()]) for name in _SCALES}
        for name in ARRAYS:
            values[name] = frozen(np.asarray(table.column(name).to_numpy()))
    except (KeyError, ValueError) as error:
        raise BackupDamaged(f"a file of candles must hold {', '.join(ARRAYS)}: {error}") from None
    return CandleColumns(**values)


def same_candles(one: CandleColumns, other: CandleColumns) -> bool:
    """Whether all columns and scales are equal."""
    return all(getattr(one, name) == getattr(other, name) for name in _SCALES) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS
    )


def _bytes(table: Any) -> bytes:
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _table(data: bytes) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise BackupDamaged(f"a file of the backup is not readable Parquet: {error}") from None
