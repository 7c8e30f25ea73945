"""All timeframes of one symbol: final candles in rings, and the candle that is still open."""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import ORIGIN_NAMES
from candlewick.contracts.stream import FINAL, GAPPED, CandleColumns
from candlewick.contracts.timeframes import NAMES, SECONDS, open_of
from candlewick.quant.candles.merge import take
from candlewick.quant.candles.values import CandleArrays, to_arrays
from candlewick.quant.windows.ring import FIELDS, Ring

Rows = dict[str, NDArray[Any]]
_MINUTE = SECONDS["1m"]
_DAY = SECONDS["1d"]
_WEEK = SECONDS["1w"]
_OPEN_KEPT = 3


class SymbolWindows:
    """Rings of every timeframe and the open candle of each. Times are ms unless a name says otherwise."""

    def __init__(self, capacity: int) -> None:
        self.rings: dict[int, Ring] = {seconds: Ring(capacity) for seconds in NAMES}
        self._open: dict[int, dict[int, Rows]] = {seconds: {} for seconds in NAMES}
        self._shown: dict[int, Rows | None] = {}  # ``open_rows`` as last asked for, until anything changes
        self.version = 0
        """Another number after every change."""

    def apply(self, columns: CandleColumns) -> Mapping[int, list[int]]:
        """Final rows of any timeframes; returns the open times (ms) that changed, by timeframe in seconds."""
        changed: dict[int, list[int]] = {}
        self._change()
        for seconds in np.unique(columns.timeframe):
            rows = to_arrays(take(columns, np.flatnonzero(columns.timeframe == seconds)))
            times = self.rings[int(seconds)].apply(rows)
            if times:
                changed[int(seconds)] = times
        return changed

    def apply_views(self, seconds: int, views: Sequence[Mapping[str, Any]]) -> None:
        """Rows of one timeframe as readers see them (``encoding.CandleView``); the open one goes to the open candle."""
        self._change()
        origins = {name: code for code, name in ORIGIN_NAMES.items()}
        values = {
            "open_time_ms": [v["open_time"] for v in views],
            "trades": [-1 if v["trades"] is None else v["trades"] for v in views],
            "flags": [FINAL * v["final"] | GAPPED * (v["quality"] == "gapped") for v in views],
            "origin": [origins[v["origin"]] for v in views],
        }
        rows = {name: np.array(values.get(name) or [v[name] for v in views], dtype) for name, dtype in FIELDS}
        final = np.flatnonzero(rows["flags"] & FINAL)
        self.rings[seconds].apply(CandleArrays(**{name: array[final] for name, array in rows.items()}))
        if len(final) < len(views):
            self._keep_open(seconds, {name: array[-1:] for name, array in rows.items()})

    def apply_open(self, columns: CandleColumns) -> list[int]:
        """Rows of candles that are still open; returns the timeframes (seconds) that moved."""
        arrays = to_arrays(columns)
        moved = []
        for i, seconds in enumerate(columns.timeframe.tolist()):
            self._keep_open(seconds, _row(arrays, i))
            moved.append(seconds)
        return moved

    def _change(self) -> None:
        self._shown.clear()
        self.version += 1

    def _keep_open(self, seconds: int, row: Rows) -> None:
        """Beside the newest open candle, the one before it is kept until its final row comes."""
        self._change()
        rows = self._open[seconds]
        rows[int(row["open_time_ms"][0])] = row
        last = self.rings[seconds].last_open_ms
        for when in sorted(rows):
            if when <= last or len(rows) > _OPEN_KEPT:
                del rows[when]

    def _waiting(self, seconds: int) -> list[Rows]:
        """The stream's own rows behind the newest final one, oldest first."""
        last = self.rings[seconds].last_open_ms
        return [row for when, row in sorted(self._open[seconds].items()) if when > last]

    def open_rows(self, seconds: int) -> Rows | None:
        """Every candle behind the newest final one, oldest first: one that has closed and waits to become final, and
        the one still open. None when there is none. Not to be written to."""
        if seconds not in self._shown:
            self._shown[seconds] = self._open_rows(seconds)
        return self._shown[seconds]

    def _open_rows(self, seconds: int) -> Rows | None:
        newest = self.open_row(seconds)
        if newest is None:
            return None
        before = [r for r in self._waiting(seconds) if r["open_time_ms"][0] < newest["open_time_ms"][0]]
        parts = [*before, newest]
        return {name: np.concatenate([part[name] for part in parts]) for name, _ in FIELDS}

    def open_row(self, seconds: int) -> Rows | None:
        """The candle still open, arrays of shape (1,); None when nothing is known behind the newest final one.

        The stream's own row is taken where it saw the candle from its open; a candle that began before this feed did is
        put together from the finals inside it and the open minutes (sums in float64: provisional, never stored).
        """
        waiting = self._waiting(seconds)
        own = waiting[-1] if waiting else None
        if seconds <= _MINUTE or (own is not None and not own["flags"][0] & GAPPED):
            return own
        composed = self._compose(seconds)
        last = self.rings[seconds].last_open_ms
        return composed if composed is not None and composed["open_time_ms"][0] > last else own

    def _compose(self, seconds: int) -> Rows | None:
        minutes, now = self.rings[_MINUTE], self._waiting(_MINUTE)
        newest_ms = int(now[-1]["open_time_ms"][0]) if now else minutes.last_open_ms
        if newest_ms < 0:
            return None
        start_ms = open_of(newest_ms * 1_000_000, seconds) // 1_000_000
        parts: list[Rows] = []
        since_ms = start_ms
        if seconds == _WEEK:
            today_ms = open_of(newest_ms * 1_000_000, _DAY) // 1_000_000
            days = self.rings[_DAY]
            parts.append(days.slice(*days.between(start_ms, today_ms)))
            since_ms = today_ms
        parts.append(minutes.slice(*minutes.between(since_ms, newest_ms + 1)))
        parts += [row for row in now if row["open_time_ms"][0] >= since_ms]
        rows = {name: np.concatenate([part[name] for part in parts]) for name, _ in FIELDS}
        if len(rows["open"]) == 0:
            return None
        covered = rows["open_time_ms"][0] == start_ms and not np.any(rows["flags"] & GAPPED)
        trades = rows["trades"]
        known = not np.any(trades < 0)
        return {
            "open_time_ms": np.array([start_ms], np.int64),
            "open": rows["open"][:1],
            "high": np.array([rows["high"].max()]),
            "low": np.array([rows["low"].min()]),
            "close": rows["close"][-1:],
            "volume": np.array([fsum(rows["volume"].tolist())]),
            "quote_volume": np.array([fsum(rows["quote_volume"].tolist())]),
            "taker_buy_volume": np.array([fsum(rows["taker_buy_volume"].tolist())]),
            "trades": np.array([trades.sum() if known else -1], np.int64),
            "flags": np.array([0 if covered else GAPPED], np.uint8),
            "revision": np.zeros(1, np.int32),
            "origin": rows["origin"][-1:],
        }


def _row(arrays: CandleArrays, i: int) -> Rows:
    row = {name: np.ascontiguousarray(getattr(arrays, name)[i : i + 1]) for name, _ in FIELDS}
    row["flags"] = row["flags"] & np.uint8(~FINAL & 0xFF)
    return row
