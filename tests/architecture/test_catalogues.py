"""Closed vocabularies: topics, services, error codes, metrics, each listed once and consistent with the others."""

import importlib
import pkgutil
import re

import pytest

import candlewick
from candlewick.app import registry
from candlewick.contracts import topics
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.metrics import CATALOGUE as METRICS


@pytest.fixture(scope="module")
def specs():
    return {name: registry.load(name) for name in registry.SERVICES}


def every_error():
    for module in pkgutil.walk_packages(candlewick.__path__, "candlewick."):
        if not module.name.endswith("__main__") and ".versions." not in module.name:
            importlib.import_module(module.name)
    found, queue = [], [CandlewickError]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__.startswith("candlewick.")]


def test_an_error_code_means_one_thing():
    owners = {}
    for kind in set(every_error()):
        if "code" in vars(kind):
            owners.setdefault(kind.code, []).append(kind.__qualname__)
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


def test_error_codes_are_upper_snake_and_say_what_they_mean():
    for kind in every_error():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", kind.code), kind
        assert kind.__doc__, f"{kind.__qualname__} has no meaning written down"


def test_a_topic_has_one_producer_and_that_is_a_service(specs):
    names = [topic.name for topic in topics.CATALOGUE]
    assert len(names) == len(set(names))
    for topic in topics.CATALOGUE:
        producers = [name for name, spec in specs.items() if topic.name in spec.produces]
        assert producers == [topic.producer], topic.name


def test_what_a_service_consumes_and_produces_is_in_the_catalogue(specs):
    for name, spec in specs.items():
        assert set(spec.produces) <= topics.BY_NAME.keys(), name
        assert {subscription.topic for subscription in spec.consumes} <= topics.BY_NAME.keys(), name


def test_a_topic_says_what_it_carries():
    for topic in topics.CATALOGUE:
        assert topic.meaning.endswith(".")
        assert topic.messages
        assert topic.partitions > 0
        assert topic.retention_s > 0 or topic.cleanup == "compact"


def test_calls_between_services_make_no_circle(specs):
    for name, spec in specs.items():
        assert set(spec.calls) <= specs.keys(), name
    waiting = {name: set(spec.calls) for name, spec in specs.items()}
    while waiting:
        free = {name for name, calls in waiting.items() if not calls & waiting.keys()}
        assert free, f"these call each other in a circle: {sorted(waiting)}"
        waiting = {name: calls for name, calls in waiting.items() if name not in free}


def test_services_have_places_and_names_of_their_own(specs):
    assert [spec.name for spec in specs.values()] == list(specs)
    places = [spec.place for spec in specs.values()]
    assert len(places) == len(set(places))
    for spec in specs.values():
        assert re.fullmatch(r"[a-z][a-z0-9]*", spec.name)
        assert spec.purpose.endswith(".")
        if spec.schema is not None:
            assert list(spec.schema.glob("versions/*.py")), f"{spec.name} has a schema without a step"


def test_metrics_are_named_once_with_their_unit():
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert metric.meaning.endswith(".")
        assert metric.kind != "counter" or metric.name.endswith("_total")
