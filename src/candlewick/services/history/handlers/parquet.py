"""Candles and ledger entries as Parquet bytes, every integer as it is."""

import io
from typing import Any

import msgspec
import numpy as np

from candlewick.contracts.base import frozen
from candlewick.contracts.stream import CandleColumns
from candlewick.services.history.domain.gaps import Gap
from candlewick.services.history.domain.rows import ARRAYS
from candlewick.services.history.errors import BackupDamaged

_SCALES = ("price_scale", "size_scale")


def encode_candles(columns: CandleColumns) -> bytes:
    """Blocks; for a thread."""
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


def encode_gaps(gaps: list[Gap]) -> bytes:
    """Blocks; for a thread."""
    import pyarrow as pa

    rows = [msgspec.structs.asdict(gap) for gap in gaps]
    types = {str: pa.string(), int: pa.int64()}
    fields: list[Any] = [
        pa.field(field.name, types[str if field.type is str else int]) for field in msgspec.structs.fields(Gap)
    ]
    return _bytes(pa.Table.from_pylist(rows, schema=pa.schema(fields)))


def decode_gaps(data: bytes) -> list[Gap]:
    """What ``encode_gaps`` wrote. Raises BackupDamaged."""
    try:
        return [msgspec.convert(row, Gap) for row in _table(data).to_pylist()]
    except msgspec.ValidationError as error:
        raise BackupDamaged(f"a file of gaps must hold the ledger's fields: {error}") from None


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
