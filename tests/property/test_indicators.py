"""Batch, stream, any chunking, snapshots and the uncompiled function: the same bits for every indicator."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from candlewick.quant.indicators.registry import catalogue, compute
from candlewick.quant.indicators.stream import IndicatorStream

SPECS = catalogue()
IDS = [spec.name for spec in SPECS]


@dataclass(frozen=True)
class Candles:
    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def part(self, start, stop):
        return Candles(*(getattr(self, name)[start:stop].copy() for name in self.__dataclass_fields__))

    def bars(self):
        return zip(*(getattr(self, name).tolist() for name in self.__dataclass_fields__), strict=True)


@st.composite
def markets(draw):
    """Up to 120 bars: walks, flat stretches, wild values, zero volumes, gaps in one or all columns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(0, 120))
    scale = draw(st.sampled_from([1e-8, 1.0, 6e4, 1e12]))
    close = scale * np.exp(np.cumsum(rng.normal(0.0, draw(st.sampled_from([0.0, 0.01, 1.0])), size)))
    opened = close * np.exp(rng.normal(0.0, 0.01, size))
    high = np.maximum(opened, close) * (1.0 + rng.random(size) * 0.01)
    low = np.minimum(opened, close) * (1.0 - rng.random(size) * 0.01)
    volume = np.where(rng.random(size) < 0.2, 0.0, rng.gamma(0.3, 100.0, size))
    for column in (close, high, low, volume):
        column[rng.random(size) < draw(st.sampled_from([0.0, 0.0, 0.03, 0.3]))] = draw(
            st.sampled_from([np.nan, np.inf, -np.inf])
        )
    start = draw(st.integers(-(10**12), 2 * 10**12))
    step = draw(st.sampled_from([1_000, 60_000, 3_600_000]))
    return Candles(start + step * np.arange(size, dtype=np.int64), opened, high, low, close, volume)


@st.composite
def bound_to(draw, spec):
    if spec.name == "macd":
        fast = draw(st.integers(1, 10))
        return spec.bind(fast, draw(st.integers(fast + 1, 20)), draw(st.integers(1, 10)))
    values = [
        draw(st.integers(int(p.minimum), int(min(p.maximum, p.minimum + 20))))
        if p.kind == "int"
        else draw(st.floats(p.minimum, p.maximum))
        for p in spec.params
    ]
    return spec.bind(*values)


def bits(outputs):
    return np.array(list(outputs)).tobytes()


def streamed(stream, candles):
    values = [stream.update(*bar) for bar in candles.bars()]
    return np.array(values).reshape(len(values), len(stream.bound.spec.outputs)).T


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data(), candles=markets())
def test_batch_equals_stream(spec, data, candles):
    bound = data.draw(bound_to(spec))
    batch = compute(bound, candles)
    assert streamed(IndicatorStream(bound), candles).tobytes() == bits(batch.values())


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
@settings(deadline=None, max_examples=30)
@given(data=st.data(), candles=markets())
def test_snapshots_and_peeks_change_nothing(spec, data, candles):
    bound = data.draw(bound_to(spec))
    cut = data.draw(st.integers(0, candles.close.size))
    first, second = IndicatorStream(bound), IndicatorStream(bound)
    head = streamed(first, candles.part(0, cut))
    open_bar = (0, 1.0, 2.0, 0.5, data.draw(st.sampled_from([1.5, np.nan])), 3.0)
    seen = first.peek(*open_bar)
    assert np.array(seen).tobytes() == np.array(first.peek(*open_bar)).tobytes()
    second.restore(first.snapshot())
    tail = streamed(second, candles.part(cut, None))
    whole = np.concatenate((head, tail), axis=1)
    assert whole.tobytes() == bits(compute(bound, candles).values())
    assert np.array(seen).tobytes() == np.array(first.update(*open_bar)).tobytes()


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
@settings(deadline=None, max_examples=15)
@given(data=st.data(), candles=markets())
def test_compiled_equals_plain_python(spec, data, candles):
    bound = data.draw(bound_to(spec))
    out = np.empty((len(spec.outputs), candles.close.size))
    columns = [getattr(candles, name) for name in candles.__dataclass_fields__]
    with np.errstate(all="ignore"):
        spec.advance.function(np.zeros(spec.state_size(*bound.values)), np.array(bound.values), *columns, out)
    np.testing.assert_array_equal(out, np.array(list(compute(bound, candles).values())))


@pytest.mark.parametrize("spec", [s for s in SPECS if s.bind().spec.memory(*s.bind().values) == 0 and not s.anchored])
@settings(deadline=None, max_examples=30)
@given(data=st.data(), candles=markets())
def test_window_indicators_depend_on_their_window_alone(spec, data, candles):
    bound = data.draw(bound_to(spec))
    cut = data.draw(st.integers(0, candles.close.size))
    late = compute(bound, candles.part(cut, None))
    for name, values in compute(bound, candles).items():
        lookback = bound.lookbacks[name]
        assert late[name][lookback:].tobytes() == values[cut:][lookback:].tobytes()


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
@settings(deadline=None, max_examples=30)
@given(data=st.data(), candles=markets())
def test_nothing_looks_ahead(spec, data, candles):
    bound = data.draw(bound_to(spec))
    cut = data.draw(st.integers(0, candles.close.size))
    known = compute(bound, candles.part(0, cut))
    for name, values in compute(bound, candles).items():
        assert known[name].tobytes() == values[:cut].tobytes()


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
@settings(deadline=None, max_examples=30)
@given(data=st.data(), candles=markets())
def test_a_gap_has_no_value(spec, data, candles):
    bound = data.draw(bound_to(spec))
    read = [getattr(candles, name) for name in spec.inputs]
    gap = ~np.logical_and.reduce([np.isfinite(column) for column in read])
    for values in compute(bound, candles).values():
        assert np.isnan(values[gap]).all()
