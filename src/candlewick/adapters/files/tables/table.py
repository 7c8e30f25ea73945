"""A piece of a file as columns, before anything is known of their meaning."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["int", "float", "text", "time"]


@dataclass(frozen=True, slots=True)
class Column:
    """``int``: int64. ``float``: float64, NaN where missing. ``text``: str or None (digits as the file has them).
    ``time``: int64 ns UTC, ``NO_TIME`` where missing."""

    kind: Kind
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: NDArray[Any]) -> "Column":
        return Column(self.kind, self.values[index])


NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file. ``names`` is None when the file has no header; ``rows`` are the numbers of the rows in the file,
    from 1 (in a CSV the header counts). ``malformed`` are rows of a wrong width as (row, text)."""

    names: tuple[str, ...] | None
    columns: tuple[Column, ...]
    rows: NDArray[np.int64]
    malformed: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def from_cells(cells: list[Any]) -> Column:
    """The narrowest kind that holds the cells exactly; numbers written with a point stay text, so no digit is lost."""
    if all(type(cell) is int for cell in cells):
        try:
            return Column("int", np.array(cells, np.int64))
        except OverflowError:
            pass
    out = np.empty(len(cells), object)
    out[:] = [
        None
        if cell is None or cell == ""
        else cell
        if isinstance(cell, str)
        else ("true" if cell else "false")
        if isinstance(cell, bool)
        else repr(cell)
        for cell in cells
    ]
    return Column("text", out)


def joined(tables: list[Table]) -> Table:
    """One table of several pieces of one file. A column of mixed kinds becomes text."""
    if len(tables) == 1:
        return tables[0]
    width = min(len(table.columns) for table in tables)
    columns = []
    for place in range(width):
        pieces = [table.columns[place] for table in tables]
        if len({piece.kind for piece in pieces}) == 1:
            columns.append(Column(pieces[0].kind, np.concatenate([piece.values for piece in pieces])))
        else:
            columns.append(Column("text", np.concatenate([_as_text(piece) for piece in pieces])))
    rows = np.concatenate([table.rows for table in tables])
    malformed = tuple(each for table in tables for each in table.malformed)
    return Table(tables[0].names, tuple(columns), rows, malformed)


def _as_text(column: Column) -> NDArray[Any]:
    if column.kind == "text":
        return column.values
    out = np.empty(len(column), object)
    out[:] = [repr(value) for value in column.values.tolist()]
    return out
