"""The port's statements in PostgreSQL's form: ``:name`` becomes ``$1``, typed by the value it is given.

PostgreSQL wants to know a parameter's type where SQLite looks at the value. So the value's type is written behind the
place (``$1::bigint``), which assigns to every column that can hold it, and a None is the word NULL.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from candlewick.ports.database import StatementRefused, Value

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | (\$(?:[A-Za-z_]\w*)?\$).*?\1 | ::
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION|"
    r"SET\s+(LOCAL\s+|SESSION\s+CHARACTERISTICS\s+AS\s+)?TRANSACTION)\b",
    re.IGNORECASE,
)
_TYPES: dict[type, str] = {int: "bigint", float: "double precision", str: "text", bytes: "bytea"}
_INT64 = range(-(1 << 63), 1 << 63)


def bound(sql: str, params: Mapping[str, Value]) -> tuple[str, list[Any]]:
    """Text and arguments for one execution. Raises StatementRefused."""
    names = _names(sql)
    given = [_given(params, name) for name in names]
    text = _text(sql, tuple(None if value is None else type(value) for value in given))
    return text, [value for value in given if value is not None]


def bound_many(sql: str, rows: Sequence[Mapping[str, Value]]) -> tuple[str, list[list[Any]]] | None:
    """Text and arguments for one execution a row, or None where a name has values of several types, so that each row
    is a statement of its own. Raises StatementRefused."""
    names = _names(sql)
    given = [[_given(row, name) for name in names] for row in rows]
    kinds: list[type | None] = []
    for column in zip(*given, strict=True):
        found = {type(value) for value in column if value is not None}
        if len(found) > 1:
            return None
        kinds.append(found.pop() if found else None)
    kept = [at for at, kind in enumerate(kinds) if kind is not None]
    return _text(sql, tuple(kinds)), [[row[at] for at in kept] for row in given]


def refuse_control(sql: str) -> None:
    """The context begins and ends the transaction, nobody else. Raises StatementRefused."""
    if _CONTROL.match(sql):
        raise StatementRefused(f"a statement must not end the transaction; leave that to the context, was {sql!r}")


@lru_cache(maxsize=2048)
def _names(sql: str) -> tuple[str, ...]:
    """The parameters in the order in which they first appear."""
    return tuple(dict.fromkeys(found["name"] for found in _TOKEN.finditer(sql) if found["name"]))


@lru_cache(maxsize=4096)
def _text(sql: str, kinds: tuple[type | None, ...]) -> str:
    places: dict[str, str] = {}
    number = 0
    for name, kind in zip(_names(sql), kinds, strict=True):
        if kind is None:
            places[name] = "NULL"
            continue
        number += 1
        places[name] = f"${number}::{_TYPES[kind]}"
    return _TOKEN.sub(lambda found: places[found["name"]] if found["name"] else found[0], sql)


def _given(params: Mapping[str, Value], name: str) -> Value:
    try:
        value: Any = params[name]
    except KeyError:
        raise StatementRefused(f"a parameter is missing, was :{name}") from None
    if value is None:
        return None
    if type(value) not in _TYPES:
        # bool, enums of int and str, views of bytes: what SQLite takes, as what it keeps.
        base = next((base for base in (int, float, str) if isinstance(value, base)), bytes)
        if base is bytes and not isinstance(value, bytes | bytearray | memoryview):
            raise StatementRefused(f"a parameter must be int, float, str, bytes or None, was {value!r}")
        value = base(value)
    if type(value) is int and value not in _INT64:
        raise StatementRefused(f"a parameter must be an integer of 64 bits, was {value!r}")
    known: Value = value
    return known
