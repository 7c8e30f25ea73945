"""Rows of a dialect's catalogue as ``ports.database.Table``, in an order in which they can be filled."""

from collections.abc import Iterable, Mapping
from typing import Literal

from candlewick.ports.database import Column, StatementRefused, Table

Kind = Literal["integer", "real", "text", "blob", "truth"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("bigint", "integer", "smallint", "int"), "integer"),
    **dict.fromkeys(("double precision", "double", "real", "float"), "real"),
    **dict.fromkeys(("text", "varchar", "character varying", "char", "character"), "text"),
    **dict.fromkeys(("bytea", "blob"), "blob"),
    **dict.fromkeys(("boolean", "bool"), "truth"),
}


def table(name: str, columns: Iterable[tuple[str, str]], key: Iterable[str]) -> Table:
    """``columns`` are names and declared types. Raises StatementRefused."""
    return Table(name, tuple(Column(column, _kind(name, column, declared)) for column, declared in columns), tuple(key))


def _kind(name: str, column: str, declared: str) -> Kind:
    kind = _KINDS.get(declared.partition("(")[0].strip().lower())
    if kind is None:
        raise StatementRefused(f"{name}.{column} must have a type that SQLite and PostgreSQL share, was {declared!r}")
    return kind


def in_order(tables: Mapping[str, Table], references: Iterable[tuple[str, str]]) -> list[Table]:
    """Those that others refer to first, else by name. ``references`` are (table, table that it refers to). Raises
    StatementRefused when they go round in a circle."""
    waits = {(one, other) for one, other in references if one != other}
    left, ordered = sorted(tables), list[Table]()
    while left:
        free = [name for name in left if not any(one == name and other in left for one, other in waits)]
        if not free:
            raise StatementRefused(f"tables must not refer to one another in a circle, was {left!r}")
        ordered += [tables[name] for name in free]
        left = [name for name in left if name not in free]
    return ordered
