"""Refuse a schema change that an older reader or an older recording would not survive.

Compares proto/ with the last released schema in proto/released: ``v1.binpb``, a descriptor set, and
``v1.layouts.json``, the item type of every column (protobuf sees only bytes there). Allowed: new messages, new fields
under new numbers, new enum values. Refused: anything removed, renumbered, renamed or retyped, a number put to a new
use, and any change at all of a column layout, which gets a new message (``...ColumnsV2``) under a new number [11].

``--release`` writes the schema as it stands as the released one; it refuses what the check refuses.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from candlewick.contracts.base import ColumnOf
from candlewick.contracts.codec import PROTO_OF
from tools.gen_proto import PROTO, compile_protos

RELEASED = PROTO / "released/v1.binpb"
LAYOUTS = PROTO / "released/v1.layouts.json"
LAYOUT = re.compile(r"(ColumnsV\d+|\.Column)$")

Layouts = dict[str, dict[str, str]]


def descriptor_set(root: Path = PROTO) -> FileDescriptorSet:
    """What protoc makes of the schemas under ``root``."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        compile_protos("--include_imports", f"--descriptor_set_out={out.name}", root=root)
        return FileDescriptorSet.FromString(Path(out.name).read_bytes())


def layouts() -> Layouts:
    """Item type of every column by protobuf message and field, from the structs."""
    found: Layouts = {}
    for struct, proto in PROTO_OF.items():
        _collect(struct, proto.DESCRIPTOR, found)
    return dict(sorted(found.items()))


def _collect(struct: Any, descriptor: Any, found: Layouts) -> None:
    for name, hint in get_type_hints(struct, include_extras=True).items():
        for column in (m for m in getattr(hint, "__metadata__", ()) if isinstance(m, ColumnOf)):
            scale = " + ".join(column.scale)
            text = column.dtype.__name__ + (f" at {scale}" if scale else "")
            found.setdefault(descriptor.full_name, {})[name] = text
        field = descriptor.fields_by_name.get(name)
        if field is not None and isinstance(hint, type) and hasattr(hint, "__struct_fields__"):
            _collect(hint, field.message_type, found)


def _messages(files: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    def inside(prefix: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
        name = f"{prefix}.{message.name}"
        yield name, message
        for nested in message.nested_type:
            yield from inside(name, nested)

    for file in files.file:
        for message in file.message_type:
            yield from inside(file.package, message)


def _enums(files: FileDescriptorSet) -> Iterator[tuple[str, EnumDescriptorProto]]:
    def of(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
        for enum in file.enum_type:
            yield f"{file.package}.{enum.name}", enum

    for file in files.file:
        yield from of(file)
    for name, message in _messages(files):
        for enum in message.enum_type:
            yield f"{name}.{enum.name}", enum


def _kind(field: FieldDescriptorProto) -> str:
    kind = field.type_name.removeprefix(".") or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    presence = " with presence" if field.proto3_optional else ""
    group = f" in a oneof ({field.oneof_index})" if field.HasField("oneof_index") else ""
    return f"{label} {kind}{presence}{group}"


def _message_faults(name: str, was: DescriptorProto, now: DescriptorProto) -> Iterator[str]:
    old, new = {f.number: f for f in was.field}, {f.number: f for f in now.field}
    numbers = {f.name: f.number for f in now.field}
    for number, field in old.items():
        here = new.get(number)
        moved = numbers.get(field.name)
        if moved is not None and moved != number:
            yield f"{name}.{field.name} was renumbered from {number} to {moved}"
        if here is None:
            if moved is None:
                yield f"{name}.{field.name} ({number}) was removed"
        elif here.name != field.name:
            yield f"{name}: number {number} was {field.name} and is put to a new use as {here.name}"
        elif _kind(here) != _kind(field):
            yield f"{name}.{field.name} was {_kind(field)} and is {_kind(here)}"
    for span in was.reserved_range:
        for number in range(span.start, span.end):
            if number in new:
                yield f"{name}: number {number} is reserved and is used again by {new[number].name}"
    if LAYOUT.search(name):
        for number in new.keys() - old.keys():
            yield f"{name} is a column layout and {new[number].name} was added: make a new layout message instead"


def _enum_faults(name: str, was: EnumDescriptorProto, now: EnumDescriptorProto) -> Iterator[str]:
    new = {v.number: v.name for v in now.value}
    for value in was.value:
        if value.number not in new:
            yield f"{name}.{value.name} ({value.number}) was removed"
        elif new[value.number] != value.name:
            yield f"{name}: {value.number} was {value.name} and is put to a new use as {new[value.number]}"


def faults(was: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """What in ``now`` breaks readers or recordings of ``was``; empty when nothing does."""
    found: list[str] = []
    messages, enums = dict(_messages(now)), dict(_enums(now))
    for name, message in _messages(was):
        if name in messages:
            found += _message_faults(name, message, messages[name])
        else:
            found.append(f"message {name} was removed")
    for name, enum in _enums(was):
        if name in enums:
            found += _enum_faults(name, enum, enums[name])
        else:
            found.append(f"enum {name} was removed")
    return found


def layout_faults(was: Layouts, now: Layouts) -> list[str]:
    """Columns whose item type or scale differs from the released layout."""
    return [
        f"{message}.{column} was {item} and is {now.get(message, {}).get(column, 'gone')}: make a new layout message"
        for message, columns in was.items()
        for column, item in columns.items()
        if now.get(message, {}).get(column) != item
    ]


def check(root: Path = PROTO) -> list[str]:
    """Faults of the schemas under ``root`` against the released ones."""
    was = FileDescriptorSet.FromString(RELEASED.read_bytes())
    return faults(was, descriptor_set(root)) + layout_faults(json.loads(LAYOUTS.read_text()), layouts())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.check_proto", description=__doc__)
    parser.add_argument("--release", action="store_true", help="write the schema as the released one")
    args = parser.parse_args()
    found = check() if RELEASED.is_file() else []
    for fault in found:
        print(fault)
    if found:
        print(
            "The released schema is in proto/released; only a version that nobody has run may delete it and start over."
        )
        return 1
    if args.release:
        now = descriptor_set()
        for file in now.file:
            file.ClearField("source_code_info")
        RELEASED.parent.mkdir(exist_ok=True)
        RELEASED.write_bytes(now.SerializeToString(deterministic=True))
        LAYOUTS.write_text(json.dumps(layouts(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
