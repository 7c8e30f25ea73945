"""The API's documents are those the product serves, and the page's types are made from them."""

import json

import pytest

from tools import openapi

pytestmark = pytest.mark.e2e
ROOT = openapi.ROOT


@pytest.fixture(scope="module")
def served():
    return openapi.served()


@pytest.mark.parametrize("path", [openapi.OPENAPI, openapi.ASYNCAPI], ids=str)
def test_what_is_kept_is_what_is_served(served, path):
    assert json.loads((ROOT / path).read_text()) == json.loads(served[path]), f"{path} is stale: run ./dev gen"


def test_every_reference_in_the_documents_leads_somewhere(served):
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for text in served.values():
        document = json.loads(text)
        for reference in set(references(document)):
            place = document
            for part in reference.removeprefix("#/").split("/"):
                place = place[part.replace("~1", "/").replace("~0", "~")]
            assert place
