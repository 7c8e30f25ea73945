"""Candles in the binary form of COPY: every field has a fixed width, so a year is one numpy array of records.

PGCOPY: a header of 19 bytes, a record as int16 field count and (int32 length, value) a field, a trailer of 2 bytes, all
big-endian (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters._candles.rows import DTYPES, FIELDS, UNSIGNED, WIDE, Table

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

#: Column types of the candle tables, widest first so that a row holds no padding.
TYPES: dict[str, str] = {
    **dict.fromkeys(WIDE, "bigint"),
    "series": "integer",
    "revision": "integer",
    **dict.fromkeys(("flags", "origin", "price_scale", "size_scale"), "smallint"),
}
COLUMNS = tuple(TYPES)
# Some 400 kB of records: each column's pass over them finds them in the cache of a core.
_BLOCK_ROWS = 2048
_WIDTHS = {"bigint": 8, "integer": 4, "smallint": 2}


def _record(names: tuple[str, ...]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name in names:
        width = _WIDTHS[TYPES[name]]
        fields += [(f"{name}.length", ">i4"), (name, f">i{width}")]
    return np.dtype(fields)


#: What goes in, and what comes out (the series is known then).
INTO = _record(COLUMNS)
OUT_OF = _record(FIELDS)


class NotCopy(ValueError):
    """The bytes are not what COPY sends of a candle table."""


def encoded(table: Table, series: NDArray[Any], rows: slice) -> bytes:
    """Records of some rows, without header and trailer."""
    n = len(series[rows])
    records = np.zeros(n, INTO)
    records["fields"] = len(COLUMNS)
    for name in COLUMNS:
        records[f"{name}.length"] = _WIDTHS[TYPES[name]]
        column = series if name == "series" else table[name]
        records[name] = column[rows].view(np.int64) if name in UNSIGNED else column[rows]
    return records.tobytes()


def decoded(parts: list[bytes]) -> Table:
    """The rows of one COPY. Raises NotCopy."""
    data = b"".join(parts)
    n, rest = divmod(len(data) - len(HEADER) - len(TRAILER), OUT_OF.itemsize)
    if rest or not data.startswith(HEADER) or not data.endswith(TRAILER):
        raise NotCopy(f"whole records expected between header and trailer, was {len(data)!r} bytes")
    records = np.frombuffer(data, OUT_OF, n, len(HEADER))
    table: Table = {name: np.empty(n, DTYPES[name]) for name in FIELDS}
    into = {name: column.view("<i8") if name in UNSIGNED else column for name, column in table.items()}
    for at in range(0, n, _BLOCK_ROWS):
        block = records[at : at + _BLOCK_ROWS]
        if (block["fields"] != len(FIELDS)).any():
            raise NotCopy(f"{len(FIELDS)} fields a record expected, was {int(block['fields'][0])!r}")
        for name, column in into.items():
            column[at : at + _BLOCK_ROWS] = block[name]
    return table
