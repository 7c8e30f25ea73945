"""Candles to compute on, and reference values computed by other libraries (shared data, where present)."""

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candles:
    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


def candles_of(rows: dict[str, NDArray[np.float64]]) -> Candles:
    """Candles from columns; missing columns are the close, missing times are minutes, missing volumes are 1."""
    close = rows["close"]
    times = rows.get("open_time", np.arange(close.size) * 60_000)
    prices = (rows.get(name, close) for name in ("open", "high", "low"))
    return Candles(np.asarray(times, dtype=np.int64), *prices, close, rows.get("volume", np.ones(close.size)))


class References:
    """Files of reference values: columns as float64, empty cells as NaN."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables: dict[str, dict[str, NDArray[np.float64]]] = {}

    def table(self, path: str) -> dict[str, NDArray[np.float64]]:
        if path not in self._tables:
            self._tables[path] = self._read(path)
        return self._tables[path]

    def _read(self, path: str) -> dict[str, NDArray[np.float64]]:
        file = self.root / path
        text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text("utf-8-sig")
        head, *rows = csv.reader(text.splitlines())
        columns: Iterator[tuple[str, ...]] = zip(*rows, strict=True)
        return {name: _floats(column) for name, column in zip(head, columns, strict=True)}

    def stock_indicators(self, name: str) -> dict[str, NDArray[np.float64]]:
        rows = json.loads((self.root / f"stock_indicators/results/{name}.standard.json").read_text())
        return {
            key: np.array([np.nan if row[key] is None else row[key] for row in rows])
            for key in rows[0]
            if key != "timestamp"
        }

    def quotes(self, name: str = "default") -> Candles:
        return candles_of(self.table(f"stock_indicators/quotes/{name}.csv"))


def _floats(cells: tuple[str, ...]) -> NDArray[np.float64]:
    def number(cell: str) -> float:
        try:
            return float(cell) if cell else float("nan")
        except ValueError:
            return float("nan")

    return np.array([number(cell) for cell in cells])


@pytest.fixture(scope="session")
def references() -> References:
    shared = Path(os.environ.get("CANDLEWICK_SHARED", Path(__file__).parents[5] / "shared"))
    root = shared / "data" / "D_reference"
    if not root.is_dir():
        pytest.skip(f"reference values are not on this machine: no {root}")
    return References(root)


@pytest.fixture(scope="session")
def make_candles() -> Callable[[dict[str, NDArray[np.float64]]], Candles]:
    return candles_of


@pytest.fixture
def walk() -> Candles:
    """500 minutes of a random walk across a midnight."""
    rng = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.002, 500)))
    opened = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(opened, close) * 1.001
    low = np.minimum(opened, close) * 0.999
    times = 1_767_225_600_000 - 250 * 60_000 + np.arange(500, dtype=np.int64) * 60_000
    return Candles(times, opened, high, low, close, rng.gamma(1.0, 5.0, 500))
