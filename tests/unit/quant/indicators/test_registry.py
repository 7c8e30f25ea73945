"""The catalogue, the texts that name indicators, and what bad input is told."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from candlewick.kernel.errors import Rejected
from candlewick.quant.indicators.errors import BadIndicator, BadInput, BadParameter, UnknownIndicator
from candlewick.quant.indicators.registry import catalogue, compute, parse, parse_list, warm
from candlewick.quant.indicators.stream import IndicatorStream

SPECS = {spec.name: spec for spec in catalogue()}


def test_the_catalogue_names_each_file_once():
    assert {"sma", "ema", "rsi", "bollinger", "vwap", "vwap_rolling", "atr", "macd", "stddev", "true_range"} <= set(
        SPECS
    )
    names = [name for spec in catalogue() for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))
    assert list(SPECS) == sorted(SPECS)


@pytest.mark.parametrize("spec", catalogue(), ids=list(SPECS))
def test_a_specification_is_complete(spec):
    bound = spec.bind()
    assert parse(bound.key) == bound
    assert set(bound.lookbacks) == {o.name for o in spec.outputs}
    assert spec.pane in {"price", "own"}
    assert spec.title
    assert spec.gap.endswith(".")
    described = json.loads(json.dumps(spec.describe()))
    for param in described["params"]:
        assert param["min"] <= param["default"] <= param["max"]
        assert isinstance(param["default"], int) or param["type"] == "float"


@pytest.mark.parametrize("spec", catalogue(), ids=list(SPECS))
def test_the_first_value_comes_right_after_the_lookback(spec, walk):
    bound = spec.bind()
    for name, values in compute(bound, walk).items():
        first = int(np.isfinite(values).argmax())
        assert first == bound.lookbacks[name]
        assert np.isnan(values[:first]).all()
        assert np.isfinite(values[first:]).all()
        assert values.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ema:21", "ema:21"),
        ("EMA", "ema:20"),
        (" sma:5 ", "sma:5"),
        ("bb", "bollinger:20:2"),
        ("bollinger:20:2.5", "bollinger:20:2.5"),
        ("bollinger:deviations=3", "bollinger:20:3"),
        ("macd:8:slow=21", "macd:8:21:9"),
        ("vwap", "vwap"),
        ("sma:1e1", "sma:10"),
    ],
)
def test_texts(text, key):
    assert parse(text).key == key


def test_a_list_keeps_its_order_and_drops_repeats():
    assert [b.key for b in parse_list("rsi, ema:21,ema:window=21,,vwap")] == ["rsi:14", "ema:21", "vwap"]
    assert parse_list("") == ()


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("", UnknownIndicator, "INDICATOR_UNKNOWN"),
        ("emma:3", UnknownIndicator, "INDICATOR_UNKNOWN"),
        ("library", UnknownIndicator, "INDICATOR_UNKNOWN"),
        ("ema:", BadIndicator, "INDICATOR_SYNTAX"),
        ("ema:x", BadIndicator, "INDICATOR_SYNTAX"),
        ("macd:fast=3:8", BadIndicator, "INDICATOR_SYNTAX"),
        ("macd:fast=3:fast=4", BadIndicator, "INDICATOR_SYNTAX"),
        ("macd:3:fast=3", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:0", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:-1", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:2.5", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:nan", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:inf", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:5001", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:1:2", BadParameter, "INDICATOR_PARAMETER"),
        ("ema:length=3", BadParameter, "INDICATOR_PARAMETER"),
        ("macd:26:12", BadParameter, "INDICATOR_PARAMETER"),
        ("macd:12:12", BadParameter, "INDICATOR_PARAMETER"),
    ],
)
def test_bad_texts_have_codes(text, error, code):
    with pytest.raises(error, match="was ") as caught:
        parse(text)
    assert isinstance(caught.value, Rejected)
    assert caught.value.code == code


def test_columns_of_different_lengths_are_refused(walk):
    object.__setattr__(walk, "volume", walk.volume[:-1])
    with pytest.raises(BadInput, match="equally long") as caught:
        compute(parse("vwap"), walk)
    assert caught.value.code == "INDICATOR_INPUT"


def test_a_foreign_snapshot_is_refused():
    with pytest.raises(BadInput, match="was 3"):
        IndicatorStream(parse("ema:21")).restore(b"abc")


def test_no_candles_give_no_values(make_candles):
    empty = make_candles({"close": np.empty(0)})
    for spec in catalogue():
        assert all(values.size == 0 for values in compute(spec.bind(), empty).values())


def test_strided_foreign_and_read_only_columns_are_taken(walk, make_candles):
    expected = compute(parse("ema:5"), walk)["ema"]
    doubled = np.repeat(walk.close, 2)[::2]
    swapped = walk.close.astype(">f8")
    frozen = walk.close.copy()
    frozen.setflags(write=False)
    for close in (doubled, swapped, frozen):
        assert compute(parse("ema:5"), make_candles({"close": close}))["ema"].tobytes() == expected.tobytes()


def test_nothing_compiles_once_warm(walk):
    from numba.core import event

    warm()
    with event.install_recorder("numba:compile") as recorder:
        for spec in catalogue():
            compute(spec.bind(), walk)
            IndicatorStream(spec.bind()).update(0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert recorder.buffer == []


def test_importing_and_listing_does_not_load_the_compiler():
    program = (
        "import sys; from candlewick.quant.indicators import registry, stream; registry.parse('ema:21');"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.slow
def test_kernels_contain_no_contracted_arithmetic():
    from numba import njit, types

    written, times = types.float64[::1], types.Array(types.int64, 1, "C", readonly=True)
    read = types.Array(types.float64, 1, "C", readonly=True)
    signature = types.void(written, read, times, *[read] * 5, types.float64[:, ::1])
    warm()  # registers what kernels call
    for spec in catalogue():  # compiled anew: code from the cache cannot be inspected
        dispatcher = njit(signature, error_model="numpy")(spec.advance.function)
        (assembly,) = dispatcher.inspect_asm().values()
        assert len(assembly) > 1_000
        assert "vfm" not in assembly
        assert "fmla" not in assembly


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path):
    program = (
        "from candlewick.quant.indicators.registry import parse;"
        "from candlewick.quant.indicators.stream import IndicatorStream;"
        "s = IndicatorStream(parse('sma:2')); s.update(0, 1, 1, 1, 1.0, 1);"
        "assert s.update(1, 1, 1, 1, 2.0, 1) == (1.5,)"
    )
    (tmp_path / "file").write_text("")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
