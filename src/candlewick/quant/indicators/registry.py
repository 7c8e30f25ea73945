"""The catalogue of indicators, read from the files of ``library``; texts like ``ema:21``; evaluation over candles."""

import functools
import importlib
import pkgutil

import numpy as np

from candlewick.quant.indicators import library
from candlewick.quant.indicators.errors import BadIndicator, BadInput, UnknownIndicator
from candlewick.quant.indicators.spec import BoundIndicator, CandleArrays, Floats, IndicatorSpec, Millis


@functools.cache
def catalogue() -> tuple[IndicatorSpec, ...]:
    """Every indicator, by name. A new one is a new file in ``library`` that defines ``SPEC``."""
    names = sorted(m.name for m in pkgutil.iter_modules(library.__path__))
    return tuple(importlib.import_module(f"{library.__name__}.{name}").SPEC for name in names)


@functools.cache
def _by_name() -> dict[str, IndicatorSpec]:
    return {name: spec for spec in catalogue() for name in (spec.name, *spec.aliases)}


def parse(text: str) -> BoundIndicator:
    """Read ``name[:value...]``: ``ema``, ``ema:21``, ``bollinger:20:2.5``, ``macd:fast=8:slow=21``. Case is ignored.

    Raises ``BadIndicator``, ``UnknownIndicator`` or ``BadParameter``.
    """
    name, *parts = text.strip().lower().split(":")
    spec = _by_name().get(name)
    if spec is None:
        known = ", ".join(s.name for s in catalogue())
        raise UnknownIndicator(f"no indicator has this name, was {name[:80]!r}", hint=f"Known are {known}.")
    placed: list[float] = []
    named: dict[str, float] = {}
    for part in parts:
        key, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise BadIndicator(
                f"{spec.name} takes numbers as name:value or name:key=value, was {part[:80]!r}"
            ) from None
        if not equals and named:
            raise BadIndicator(f"values without a name come before those with one, was {text[:80]!r}")
        if equals and key in named:
            raise BadIndicator(f"{spec.name} was given {key[:80]} twice, was {text[:80]!r}")
        if equals:
            named[key] = number
        else:
            placed.append(number)
    return spec.bind(*placed, **named)


def parse_list(text: str) -> tuple[BoundIndicator, ...]:
    """Read ``ema:21,rsi:14``: indicators between commas, each once, in order; empty text gives none."""
    bound = {b.key: b for b in (parse(part) for part in text.split(",") if part.strip())}
    return tuple(bound.values())


def compute(bound: BoundIndicator, candles: CandleArrays) -> dict[str, Floats]:
    """Every output of the indicator over the candles: float64 arrays as long as they are, NaN where there is no value.

    Each output is bit for bit what ``IndicatorStream`` gives bar by bar. Raises ``BadInput`` when the columns differ in
    length.
    """
    columns = _columns(candles)
    out = np.empty((len(bound.spec.outputs), columns[0].size))
    params = np.array(bound.values, dtype=np.float64)
    params.setflags(write=False)
    bound.spec.advance(np.zeros(bound.spec.state_size(*bound.values)), params, *columns, out)
    return {output.name: out[row] for row, output in enumerate(bound.spec.outputs)}


def warm() -> int:
    """Compile every indicator's kernel, or load it from the cache; return how many. Called by the start-up."""
    for spec in catalogue():
        spec.advance.warm()
    return len(catalogue())


def _columns(candles: CandleArrays) -> tuple[Millis | Floats, ...]:
    names = ("open_time", "open", "high", "low", "close", "volume")
    columns = tuple(_column(getattr(candles, name), np.int64 if name == "open_time" else np.float64) for name in names)
    lengths = {name: column.shape for name, column in zip(names, columns, strict=True)}
    if columns[0].ndim != 1 or len(set(lengths.values())) != 1:
        raise BadInput(f"candle columns must be one-dimensional and equally long, was {lengths!r}")
    return columns


def _column(values: object, dtype: type[np.int64] | type[np.float64]) -> Millis | Floats:
    column = np.require(values, dtype=dtype, requirements=["C", "A"])
    if column.flags.writeable:
        column = column.view()
        column.setflags(write=False)
    return column
