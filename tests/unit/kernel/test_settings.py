"""Settings: default < profile < file < environment < flag, and every value's source is known."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from candlewick.kernel.settings import BadSettings, Layer, environment_layer, flag_layer, load


class Settings(msgspec.Struct, frozen=True):
    size: Annotated[int, Meta(ge=1)] = 10
    names: tuple[str, ...] = ("a",)
    ratio: float = 0.5


def test_the_strongest_layer_wins_and_is_named():
    layers = [
        Layer("profile", {"x": {"size": 11, "ratio": 0.1}}),
        Layer("file", {"x": {"size": 12}}),
        environment_layer({"CANDLEWICK_X__SIZE": "13", "CANDLEWICK_X__NAMES": "b, c", "CANDLEWICK_DATA_DIR": "/d"}),
        flag_layer(["x.size=14"]),
    ]
    settings, loaded = load(Settings, "x", layers)
    assert settings == Settings(14, ("b", "c"), 0.1)
    assert loaded.sources == {"size": "flag", "names": "environment", "ratio": "profile"}


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Layer("file", {"x": {"sise": 1}}), "was 'sise'"),
        (Layer("file", {"x": {"size": "many"}}), "x.size"),
        (flag_layer(["x.size=0"]), "was '0'"),
    ],
)
def test_what_is_wrong_names_source_and_setting(layer, words):
    with pytest.raises(BadSettings, match=words) as caught:
        load(Settings, "x", [layer])
    assert str(caught.value).startswith(layer.source)


@pytest.mark.parametrize("text", ["size=1", "x.size", "nonsense"])
def test_a_flag_has_a_section_a_name_and_a_value(text):
    with pytest.raises(BadSettings, match=r"section\.name=value"):
        flag_layer([text])
