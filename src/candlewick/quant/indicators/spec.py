"""What an indicator is: parameters, outputs, look-back and one kernel that carries its state from bar to bar."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candlewick.quant.compiled import Kernel
from candlewick.quant.indicators.errors import BadParameter

Floats: TypeAlias = NDArray[np.float64]
Millis: TypeAlias = NDArray[np.int64]
Pane: TypeAlias = Literal["price", "own"]
Source: TypeAlias = Literal["open_time", "open", "high", "low", "close", "volume"]
Line: TypeAlias = Literal["line", "histogram"]

ADVANCE = ("f8[:]", "const f8[:]", "const i8[:]", *["const f8[:]"] * 5, "f8[:,:]")
"""Arguments of every indicator's kernel: ``state, params, open_time, open, high, low, close, volume, out``.

``state`` is read and written; all zeros is the state before the first bar. ``out[j, i]`` is output ``j`` at bar ``i``
and is always written. Feeding bars one at a time or all at once gives the same bits, because it is the same loop."""

MAX_WINDOW = 5_000


class CandleArrays(Protocol):
    """Candles as columns of one length, oldest first: ``open_time`` int64 ms UTC, the others float64."""

    @property
    def open_time(self) -> Millis: ...
    @property
    def open(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def close(self) -> Floats: ...
    @property
    def volume(self) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter with its default and its inclusive range; ``kind`` is ``int`` or ``float``."""

    name: str
    default: float
    minimum: float
    maximum: float
    kind: Literal["int", "float"] = "int"
    title: str = ""

    def check(self, value: float) -> float:
        """The value as a float; ``BadParameter`` unless it is finite, in range and, for ``int``, whole."""
        number = float(value)
        if not self.minimum <= number <= self.maximum:  # also catches NaN
            raise BadParameter(
                f"{self.name} must lie between {self.text(self.minimum)} and {self.text(self.maximum)}, was {value!r}"
            )
        if self.kind == "int" and number != int(number):
            raise BadParameter(f"{self.name} must be a whole number, was {value!r}")
        return number

    def text(self, value: float) -> str:
        """The shortest text of a value: ``21`` for an int, ``2`` or ``2.5`` for a float."""
        return str(int(value)) if value == int(value) else repr(float(value))


@dataclass(frozen=True, slots=True)
class Output:
    """One series that an indicator draws."""

    name: str
    title: str
    line: Line = "line"


@dataclass(frozen=True, slots=True, eq=False)
class IndicatorSpec:
    """One indicator, as data and one kernel.

    ``lookback(*params)`` gives for every output the number of bars before its first value: output ``j`` is NaN at the
    first ``lookback[j]`` bars after a start or a gap, and a value at the next. ``memory(*params)`` is the number of
    further bars after which the choice of the first bar is below 1e-9 of the value; 0 where a value depends on its
    look-back alone. ``anchored`` says that values count from 00:00 UTC, whatever the look-back.
    """

    name: str
    title: str
    pane: Pane
    params: tuple[Param, ...]
    inputs: tuple[Source, ...]
    outputs: tuple[Output, ...]
    lookback: Callable[..., tuple[int, ...]]
    state_size: Callable[..., int]
    advance: Kernel[Any]
    gap: str
    memory: Callable[..., int] = lambda *_: 0
    check: Callable[..., None] = lambda *_: None
    anchored: bool = False
    aliases: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()

    def bind(self, *values: float, **named: float) -> "BoundIndicator":
        """The indicator with its parameters set, by place or by name; the rest take their defaults."""
        if len(values) > len(self.params):
            raise BadParameter(f"{self.name} takes {len(self.params)} parameters, was given {values!r}")
        known = {p.name for p in self.params}
        given = dict(zip((p.name for p in self.params), values, strict=False))
        for name, value in named.items():
            if name not in known:
                raise BadParameter(f"{self.name} has no parameter of this name, was {name!r}")
            if name in given:
                raise BadParameter(f"{self.name} was given {name} twice, was {value!r}")
            given[name] = value
        chosen = tuple(p.check(given.get(p.name, p.default)) for p in self.params)
        typed = tuple(int(v) if p.kind == "int" else v for p, v in zip(self.params, chosen, strict=True))
        self.check(*typed)
        return BoundIndicator(self, typed)

    def describe(self) -> dict[str, Any]:
        """The specification as plain data, for catalogues and forms."""
        return {
            "name": self.name,
            "title": self.title,
            "pane": self.pane,
            "aliases": list(self.aliases),
            "inputs": list(self.inputs),
            "outputs": [{"name": o.name, "title": o.title, "line": o.line} for o in self.outputs],
            "params": [
                {
                    "name": p.name,
                    "title": p.title or p.name.replace("_", " "),
                    "type": p.kind,
                    "default": int(p.default) if p.kind == "int" else p.default,
                    "min": int(p.minimum) if p.kind == "int" else p.minimum,
                    "max": int(p.maximum) if p.kind == "int" else p.maximum,
                }
                for p in self.params
            ],
            "levels": list(self.levels),
            "lookback": self.bind().lookback,
            "anchored": self.anchored,
            "gap": self.gap,
        }


@dataclass(frozen=True, slots=True)
class BoundIndicator:
    """An indicator with its parameters: what a chart asks for and a strategy node holds."""

    spec: IndicatorSpec
    values: tuple[float, ...]

    @property
    def key(self) -> str:
        """Canonical text, equal for equal indicators: ``ema:21``, ``bollinger:20:2``; ``parse(key)`` gives it back."""
        texts = (p.text(v) for p, v in zip(self.spec.params, self.values, strict=True))
        return ":".join((self.spec.name, *texts))

    @property
    def lookbacks(self) -> dict[str, int]:
        """Bars before the first value, for each output."""
        names = (o.name for o in self.spec.outputs)
        return dict(zip(names, self.spec.lookback(*self.values), strict=True))

    @property
    def lookback(self) -> int:
        """Bars before every output has its first value."""
        return max(self.spec.lookback(*self.values))

    def history_from(self, open_time_ms: int, interval_ms: int) -> int:
        """Open time of the earliest bar to load so that values from ``open_time_ms`` on do not depend on the load."""
        bars = self.lookback + self.spec.memory(*self.values)
        first = open_time_ms - bars * interval_ms
        return first - first % 86_400_000 if self.spec.anchored else first
