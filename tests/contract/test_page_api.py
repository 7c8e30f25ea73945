"""What the page believes of the API is what the product serves: every path, field and type it was built against."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = json.loads((ROOT / "web/openapi.json").read_text())
SERVED = json.loads((ROOT / "docs/reference/openapi.json").read_text())
NUMBERS = {"integer", "number"}


def resolved(document, schema):
    while "$ref" in schema:
        place = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        schema = place
    return schema


def choices(document, schema):
    """Type name -> schema of everything a value may be."""
    if not isinstance(schema, dict):
        return {}
    schema = resolved(document, schema)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return {t: s for one in schema[word] for t, s in choices(document, one).items()}
    types = schema.get("type")
    if types is None:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        types = "string" if values and all(isinstance(v, str) for v in values) else "object"
    return dict.fromkeys(types if isinstance(types, list) else [types], schema)


def faults(page, served, where, depth=0):
    """Where a served value could be something the page does not expect, or lacks something that it reads."""
    expected, given = choices(PAGE, page), choices(SERVED, served)
    found = []
    for kind, schema in given.items():
        allowed = expected.get(kind) or (kind in NUMBERS and expected.get("number"))
        if not allowed:
            found.append(f"{where} may be {kind}, the page expects {sorted(expected)}")
        elif kind == "object" and depth < 8:
            here = schema.get("properties", {})
            for name in allowed.get("required", ()):
                if name not in here:
                    found.append(f"{where}.{name} is not served")
                elif name not in schema.get("required", ()):
                    found.append(f"{where}.{name} may be missing")
            for name in allowed.get("properties", {}).keys() & here.keys():
                found += faults(allowed["properties"][name], here[name], f"{where}.{name}", depth + 1)
        elif kind == "array" and "items" in allowed and "items" in schema:
            found += faults(allowed["items"], schema["items"], f"{where}[]", depth + 1)
        elif kind == "string" and "enum" in allowed and not set(schema.get("enum", ())) <= set(allowed["enum"]):
            found.append(f"{where} may be one of {schema.get('enum')}, the page expects {allowed['enum']}")
    return found


def answer(document, operation):
    for status in ("200", "201"):
        reply = operation["responses"].get(status)
        if reply is not None:
            return resolved(document, reply).get("content", {}).get("application/json", {}).get("schema")
    return None


# strict: the entry must go once page and product agree
DISAGREED: dict[tuple[str, str], str] = {}
ROUTES = [
    pytest.param(path, method, marks=[pytest.mark.xfail(reason=why)] if (why := DISAGREED.get((path, method))) else [])
    for path, item in PAGE["paths"].items()
    for method in item
]


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_the_page_s_view_of_a_route_is_the_served_one(path, method):
    assert path in SERVED["paths"]
    page, served = PAGE["paths"][path][method], SERVED["paths"][path].get(method)
    assert served is not None
    expected = answer(PAGE, page)
    if expected is not None:
        assert faults(expected, answer(SERVED, served), path) == []
    known = {parameter["name"] for parameter in served.get("parameters", ())}
    assert {resolved(PAGE, parameter)["name"] for parameter in page.get("parameters", ())} <= known
