"""Refuse a change of the API that a client of the last release would not survive.

Compares docs/reference/openapi.json and asyncapi.json with the documents of the last release in
tests/contract/released. Allowed: new paths, methods and sockets, new optional parameters and body fields, new fields in
answers, values that a request may have besides. Refused: whatever a client sends or reads being gone, renamed or of
another type, a field of an answer that may now be missing or null or have a value that was not among those told, a
request that must now say more.

``--release`` keeps the documents as they stand as the released ones; it refuses what the check refuses.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tools.openapi import ASYNCAPI, OPENAPI, ROOT

RELEASED: Final = Path("tests/contract/released")
_METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")
# Numbers that bound a value: how a bound may move where a client sends the value.
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_DEEPEST: Final = 12

Document = Mapping[str, Any]


class _Side:
    """One document, its references looked up."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def of(self, schema: Any) -> dict[str, Any]:
        """The schema that is meant; {} allows everything."""
        while isinstance(schema, dict) and "$ref" in schema:
            place: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                place = place[part.replace("~1", "/").replace("~0", "~")]
            schema = place
        return schema if isinstance(schema, dict) else {}

    def choices(self, schema: Any) -> dict[str, dict[str, Any]]:
        """Type -> schema of everything that a value may be; '' where it may be anything."""
        schema = self.of(schema)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return {kind: found for one in schema[word] for kind, found in self.choices(one).items()}
        kinds = schema.get("type")
        if kinds is None:
            values = schema.get("enum", [schema["const"]] if "const" in schema else [])
            if values and all(isinstance(value, str) for value in values):
                kinds = "string"
            else:
                kinds = "object" if "properties" in schema else ""
        return dict.fromkeys(kinds if isinstance(kinds, list) else [kinds], schema)


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found: list[Any] | None = schema.get("enum")
    return found


class _Compared:
    """The last release and what stands now."""

    def __init__(self, was: Document, now: Document) -> None:
        self.was, self.now = _Side(was), _Side(now)

    def given(self, was: Any, now: Any, where: str, depth: int = 0) -> Iterator[str]:
        """A value that clients read: everything that it may be now must be something that it could be before."""
        before, after = self.was.choices(was), self.now.choices(now)
        if "" in before or depth > _DEEPEST:
            return
        for kind, schema in after.items():
            known = before.get(kind) or (before.get("number") if kind == "integer" else None)
            if known is None:
                yield f"{where} may be {kind or 'anything'}, it was {' or '.join(before)}"
                continue
            told = _values(known)
            if told is not None and (new := [v for v in _values(schema) or ["anything"] if v not in told]):
                yield f"{where} may be {new[0]!r}, it was one of {told!r}"
            if kind == "object":
                yield from self._fields(known, schema, where, depth)
            elif kind == "array" and "items" in known:
                yield from self.given(known["items"], schema.get("items", {}), f"{where}[]", depth + 1)

    def _fields(self, was: Mapping[str, Any], now: Mapping[str, Any], where: str, depth: int) -> Iterator[str]:
        before, after = was.get("properties", {}), now.get("properties", {})
        for name, schema in before.items():
            if name not in after:
                yield f"{where}.{name} is gone"
            elif name in was.get("required", ()) and name not in now.get("required", ()):
                yield f"{where}.{name} may be missing"
            else:
                yield from self.given(schema, after[name], f"{where}.{name}", depth + 1)
        more = was.get("additionalProperties")
        if isinstance(more, dict):
            yield from self.given(more, now.get("additionalProperties", {}), f"{where}.*", depth + 1)

    def taken(self, was: Any, now: Any, where: str, depth: int = 0) -> Iterator[str]:
        """A value that clients send: everything that it could be before must still be taken."""
        before, after = self.was.choices(was), self.now.choices(now)
        if "" in after or depth > _DEEPEST:
            return
        for kind, schema in before.items():
            known = after.get(kind) or (after.get("number") if kind == "integer" else None)
            if known is None:
                yield f"{where} was {kind or 'anything'} and must be {' or '.join(after)}"
                continue
            allowed = _values(known)
            if allowed is not None and (lost := [v for v in _values(schema) or ["anything"] if v not in allowed]):
                yield f"{where} may no longer be {lost[0]!r}"
            yield from _bounds(schema, known, where)
            if kind == "object":
                after_fields = known.get("properties", {})
                for name in known.get("required", ()):
                    if name not in schema.get("required", ()):
                        yield f"{where}.{name} must be given now"
                for name, field in schema.get("properties", {}).items():
                    if name in after_fields:
                        yield from self.taken(field, after_fields[name], f"{where}.{name}", depth + 1)
                    elif known.get("additionalProperties") is False:
                        yield f"{where}.{name} is no longer taken"
            elif kind == "array" and "items" in known:
                yield from self.taken(schema.get("items", {}), known["items"], f"{where}[]", depth + 1)

    def operation(self, was: Any, now: Any, where: str) -> Iterator[str]:
        """One method of one path."""
        before, after = self._parameters(self.was, was), self._parameters(self.now, now)
        for key, parameter in before.items():
            place = f"{where}?{key[1]}"
            if key not in after:
                yield f"{place} ({key[0]}) is gone"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{place} must be given now"
            yield from self.taken(parameter.get("schema", {}), after[key].get("schema", {}), place)
        for key in after.keys() - before.keys():
            if after[key].get("required"):
                yield f"{where}?{key[1]} is new and must be given"
        yield from self._body(self.was.of(was.get("requestBody", {})), self.now.of(now.get("requestBody", {})), where)
        for status, answer in was.get("responses", {}).items():
            if not status.startswith("2"):
                continue
            if status not in now.get("responses", {}):
                yield f"{where} no longer answers {status}"
                continue
            here = self.now.of(now["responses"][status]).get("content", {})
            for kind, content in self.was.of(answer).get("content", {}).items():
                if kind not in here:
                    yield f"{where} no longer answers as {kind}"
                else:
                    yield from self.given(content.get("schema", {}), here[kind].get("schema", {}), where)

    @staticmethod
    def _parameters(side: _Side, operation: Any) -> dict[tuple[str, str], dict[str, Any]]:
        found = (side.of(parameter) for parameter in operation.get("parameters", ()))
        return {(parameter["in"], parameter["name"]): parameter for parameter in found}

    def _body(self, was: Mapping[str, Any], now: Mapping[str, Any], where: str) -> Iterator[str]:
        if now.get("required") and not was.get("required"):
            yield f"{where} must have a body now"
        for kind, content in was.get("content", {}).items():
            if kind not in now.get("content", {}):
                yield f"{where} no longer takes {kind}"
            else:
                there = now["content"][kind].get("schema", {})
                yield from self.taken(content.get("schema", {}), there, f"{where} body")


def _bounds(was: Mapping[str, Any], now: Mapping[str, Any], where: str) -> Iterator[str]:
    for word in _LOWER:
        if word in now and (word not in was or was[word] < now[word]):
            yield f"{where}: {word} was {was.get(word, 'open')} and is {now[word]}"
    for word in _UPPER:
        if word in now and (word not in was or was[word] > now[word]):
            yield f"{where}: {word} was {was.get(word, 'open')} and is {now[word]}"
    for word in ("pattern", "format", "multipleOf"):
        if word in now and was.get(word) != now[word]:
            yield f"{where}: {word} was {was.get(word, 'open')!r} and is {now[word]!r}"


def http_faults(was: Document, now: Document) -> list[str]:
    """What of two OpenAPI documents breaks the first one's clients."""
    found: list[str] = []
    compared = _Compared(was, now)
    for path, item in was["paths"].items():
        for method in (name for name in _METHODS if name in item):
            there = now["paths"].get(path, {}).get(method)
            where = f"{method.upper()} {path}"
            found += [f"{where} is gone"] if there is None else compared.operation(item[method], there, where)
    return found


def socket_faults(was: Document, now: Document) -> list[str]:
    """What of two AsyncAPI documents breaks the first one's clients."""
    found: list[str] = []
    compared = _Compared(was, now)
    for name, channel in was["channels"].items():
        where, there = f"WS {channel['address']}", now["channels"].get(name)
        if there is None or there["address"] != channel["address"]:
            found.append(f"{where} is gone")
            continue
        for parameter, values in channel.get("parameters", {}).items():
            here = there.get("parameters", {}).get(parameter, {})
            lost = [value for value in values.get("enum", ()) if value not in here.get("enum", (value,))]
            found += [f"{where} {parameter} may no longer be {lost[0]!r}"] if lost else []
        asked = channel.get("bindings", {}).get("ws", {}).get("query", {})
        found += compared.taken(asked, there.get("bindings", {}).get("ws", {}).get("query", {}), f"{where}?")
        gone = (
            asked.get("properties", {}).keys()
            - there.get("bindings", {}).get("ws", {}).get("query", {}).get("properties", {}).keys()
        )
        found += [f"{where}?{one} is gone" for one in sorted(gone)]
        for kind, message in channel["messages"].items():
            if kind not in there["messages"]:
                found.append(f"{where} no longer sends {kind}")
                continue
            payload = (
                compared.was.of(message).get("payload", {}),
                compared.now.of(there["messages"][kind]).get("payload", {}),
            )
            found += compared.given(*payload, where)
    return found


def check(root: Path = ROOT) -> list[str]:
    """Faults of the documents as they stand against the released ones."""
    found = []
    for path, faults in ((OPENAPI, http_faults), (ASYNCAPI, socket_faults)):
        kept = root / RELEASED / path.name
        found += faults(json.loads(kept.read_text()), json.loads((root / path).read_text()))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.check_api", description=__doc__)
    parser.add_argument("--release", action="store_true", help="keep the documents as the released ones")
    args = parser.parse_args()
    found = check()
    for fault in found:
        print(fault)
    if found:
        print(f"The released documents are in {RELEASED}; a client of the last release would not survive this.")
        return 1
    if args.release:
        for path in (OPENAPI, ASYNCAPI):
            (ROOT / RELEASED / path.name).write_text((ROOT / path).read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
