"""Protobuf schemas as text: what they declare, and what of it a reader of older data would miss.

Reads proto3 as far as schemas of messages go (https://protobuf.dev/reference/protobuf/proto3-spec/); services and
options are passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from candlewick.kernel.errors import Rejected

_TOKENS: Final = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\w.]+|[^\s\w]""", re.DOTALL)
_LABELS: Final = ("optional", "repeated", "required")
# As the schema checker of the build has it: a change of a column layout is a new message under a new number.
_LAYOUT: Final = re.compile(r"(ColumnsV\d+|\.Column)$")
_MOST: Final = 536_870_911


class BadSchemaText(Rejected):
    """A text that is no protobuf schema."""

    code = "BAD_SCHEMA_TEXT"


@dataclass(frozen=True, slots=True)
class Field:
    """``type`` is a scalar or, as far as the text tells, a full name; ``label`` is empty for a plain field."""

    name: str
    number: int
    type: str
    label: str = ""
    oneof: str = ""

    def __str__(self) -> str:
        kind = f"{self.label} {self.type}".strip()
        return f"{kind} in the oneof {self.oneof}" if self.oneof else kind


@dataclass(frozen=True, slots=True)
class MessageText:
    fields: tuple[Field, ...]
    reserved_numbers: tuple[tuple[int, int], ...] = ()
    """First and last, both included."""
    reserved_names: frozenset[str] = frozenset()

    def is_reserved(self, one: Field) -> bool:
        return one.name in self.reserved_names or any(a <= one.number <= z for a, z in self.reserved_numbers)


@dataclass(frozen=True, slots=True)
class SchemaText:
    """One file: its messages and enums by full name, in the order of the text."""

    package: str = ""
    imports: tuple[str, ...] = ()
    messages: dict[str, MessageText] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    outermost: tuple[str, ...] = ()
    """Full names of the messages that stand in no other."""


def parse(text: str) -> SchemaText:
    """What a schema's text declares. Raises BadSchemaText."""
    reader = _Reader(text)
    try:
        return reader.file()
    except (StopIteration, ValueError, IndexError):
        raise BadSchemaText(
            f"a schema must be proto3 text, was {reader.nearby!r} where something else was due"
        ) from None


def faults(old: SchemaText, new: SchemaText) -> list[str]:
    """Why a reader of ``new`` would not read what was written by ``old``; empty when it would.

    Allowed: new messages, new fields and enum values under new numbers, fields gone whose number and name are reserved.
    """
    return [*_message_faults(old, new), *_enum_faults(old, new)]


def _message_faults(old: SchemaText, new: SchemaText) -> Iterator[str]:
    for name, was in old.messages.items():
        becomes = new.messages.get(name)
        if becomes is None:
            yield f"message {name} was removed"
            continue
        by_name = {one.name: one for one in becomes.fields}
        by_number = {one.number: one for one in becomes.fields}
        for one in was.fields:
            now = by_name.get(one.name)
            if now is None and (other := by_number.get(one.number)) is not None:
                yield f"{name}: number {one.number} was {one.name} and is put to a new use as {other.name}"
            elif now is None:
                if not becomes.is_reserved(one):
                    yield f"{name}.{one.name} ({one.number}) was removed without being reserved"
            elif now.number != one.number:
                yield f"{name}.{one.name} was renumbered from {one.number} to {now.number}"
            elif str(now) != str(one):
                yield f"{name}.{one.name} ({one.number}) was {one} and is {now}"
        taken = {one.name for one in was.fields}
        for one in becomes.fields:
            if one.name not in taken and was.is_reserved(one):
                yield f"{name}: {one.name} ({one.number}) is reserved"
            elif one.name not in taken and _LAYOUT.search(name):
                yield f"{name} is a column layout and {one.name} was added: make a new layout message"


def _enum_faults(old: SchemaText, new: SchemaText) -> Iterator[str]:
    for name, was in old.enums.items():
        becomes = new.enums.get(name)
        if becomes is None:
            yield f"enum {name} was removed"
            continue
        for value, number in was.items():
            if value not in becomes:
                yield f"{name}.{value} ({number}) was removed"
            elif becomes[value] != number:
                yield f"{name}.{value} was renumbered from {number} to {becomes[value]}"


class _Reader:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = [token for token in _TOKENS.findall(text) if not token.startswith(("//", "/*"))]
        self._at = 0
        self._messages: dict[str, MessageText] = {}
        self._enums: dict[str, dict[str, int]] = {}

    @property
    def nearby(self) -> str:
        return " ".join(self._tokens[max(0, self._at - 3) : self._at + 3])

    def file(self) -> SchemaText:
        package, imports, outermost = "", [], []
        while self._at < len(self._tokens):
            match self._next():
                case "package":
                    package = self._next()
                    self._expect(";")
                case "import":
                    name = self._next()
                    imports.append((self._next() if name in ("public", "weak") else name).strip("\"'"))
                    self._expect(";")
                case "message":
                    outermost.append(self._message(package))
                case "enum":
                    self._enum(package)
                case "syntax" | "option":
                    self._statement()
                case "service":
                    self._skip_block()
                case ";":
                    continue
                case _:
                    raise ValueError
        found = SchemaText(package, tuple(imports), self._messages, self._enums, tuple(outermost))
        return replace(found, messages={n: _resolved(n, m, found) for n, m in found.messages.items()})

    def _message(self, scope: str) -> str:
        name = f"{scope}.{self._next()}".lstrip(".")
        self._messages[name] = MessageText(())  # its place in the order; what it holds follows
        fields: list[Field] = []
        numbers: list[tuple[int, int]] = []
        names: set[str] = set()
        self._expect("{")
        while (token := self._next()) != "}":
            match token:
                case "message":
                    self._message(name)
                case "enum":
                    self._enum(name)
                case "oneof":
                    fields += self._oneof()
                case "reserved":
                    self._reserved(numbers, names)
                case "option":
                    self._statement()
                case ";":
                    continue
                case _:
                    fields.append(self._field(token))
        self._messages[name] = MessageText(tuple(fields), tuple(numbers), frozenset(names))
        return name

    def _field(self, token: str, oneof: str = "") -> Field:
        label = token if token in _LABELS else ""
        kind = self._next() if label else token
        if kind == "." or not re.match(r"[\w.]", kind):
            raise ValueError
        if kind == "map" and self._tokens[self._at] == "<":
            while not kind.endswith(">"):
                kind += self._next()
        name = self._next()
        self._expect("=")
        number = int(self._next(), 0)
        self._statement()  # options, if any
        return Field(name, number, kind, label, oneof)

    def _oneof(self) -> Iterator[Field]:
        name = self._next()
        self._expect("{")
        while (token := self._next()) != "}":
            if token == "option":
                self._statement()
            elif token != ";":
                yield self._field(token, name)

    def _enum(self, scope: str) -> None:
        name = f"{scope}.{self._next()}".lstrip(".")
        values: dict[str, int] = {}
        self._expect("{")
        while (token := self._next()) != "}":
            if token in ("option", "reserved"):
                self._statement()
            elif token != ";":
                self._expect("=")
                sign = -1 if self._tokens[self._at] == "-" and self._next() else 1
                values[token] = sign * int(self._next(), 0)
                self._statement()
        self._enums[name] = values

    def _reserved(self, numbers: list[tuple[int, int]], names: set[str]) -> None:
        while (token := self._next()) != ";":
            if token == ",":
                continue
            if token[0] in "\"'":
                names.add(token.strip("\"'"))
                continue
            first = last = int(token, 0)
            if self._tokens[self._at] == "to":
                self._next()
                last = _MOST if (end := self._next()) == "max" else int(end, 0)
            numbers.append((first, last))

    def _statement(self) -> None:
        """To the end of the statement, whatever it holds."""
        depth = 0
        while (token := self._next()) != ";" or depth:
            depth += (token in "{[") - (token in "}]")

    def _skip_block(self) -> None:
        while self._next() != "{":
            continue
        depth = 1
        while depth:
            token = self._next()
            depth += (token == "{") - (token == "}")

    def _expect(self, wanted: str) -> None:
        if self._next() != wanted:
            raise ValueError

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token


def _resolved(name: str, message: MessageText, file: SchemaText) -> MessageText:
    """Types that the file declares get their full names, looked for from the innermost scope outwards."""

    def full(kind: str) -> str:
        if kind.startswith("."):
            return kind[1:]
        scope = name
        while scope:
            if (found := f"{scope}.{kind}") in file.messages or found in file.enums:
                return found
            scope = scope.rpartition(".")[0]
        return kind

    return replace(message, fields=tuple(replace(one, type=full(one.type)) for one in message.fields))
