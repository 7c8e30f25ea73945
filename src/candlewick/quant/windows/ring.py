"""One series' newest final candles, contiguous in memory, so that a window is a view and costs no copy."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from candlewick.quant.candles.merge import ORIGIN_RANK, rank
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.encoding import encode_row

_GAPPED = 2
_FEW = 4  # rows that find their places one by one
FIELDS: tuple[tuple[str, type[np.generic]], ...] = (
    ("open_time_ms", np.int64),
    ("open", np.float64),
    ("high", np.float64),
    ("low", np.float64),
    ("close", np.float64),
    ("volume", np.float64),
    ("quote_volume", np.float64),
    ("taker_buy_volume", np.float64),
    ("trades", np.int64),
    ("flags", np.uint8),
    ("revision", np.int32),
    ("origin", np.uint8),
)


class Ring:
    """Holds the newest ``capacity`` candles of one timeframe, oldest first, one row an open time.

    Arrays are twice the capacity; when the end is reached the newest half moves to the front, so an append costs the
    same on average however long the ring is (measured: see ``benchmarks/spine``). Rows that come late find their
    place; rows older than the oldest kept are ignored. Views are valid until the next change.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._arrays: dict[str, NDArray[Any]] = {name: np.zeros(2 * capacity, dtype) for name, dtype in FIELDS}
        self._columns = tuple(self._arrays.values())
        self._json: list[bytes | None] = []
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def last_open_ms(self) -> int:
        """Open time of the newest row, ms; -1 when empty."""
        return int(self._arrays["open_time_ms"][self._end - 1]) if len(self) else -1

    @property
    def first_open_ms(self) -> int:
        return int(self._arrays["open_time_ms"][self._start]) if len(self) else -1

    def view(self, n: int) -> dict[str, NDArray[Any]]:
        """The newest ``n`` rows (fewer if there are not so many), each field as a view of shape (n,)."""
        return _cut(self._columns, slice(max(self._start, self._end - n), self._end))

    def column(self, name: str, n: int) -> NDArray[Any]:
        """One field of the newest ``n`` rows, as a view."""
        return self._arrays[name][max(self._start, self._end - n) : self._end]

    def between(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """Row numbers [first, last) of the open times in [start_ms, end_ms), counted from the oldest row."""
        times = self._arrays["open_time_ms"][self._start : self._end]
        return int(np.searchsorted(times, start_ms)), int(np.searchsorted(times, end_ms))

    def slice(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Rows [first, last) counted from the oldest, as views."""
        return _cut(self._columns, slice(self._start + first, self._start + last))

    def encoded(self, first: int, last: int) -> list[bytes]:
        """JSON objects of rows [first, last), each encoded once in its life."""
        rows = self._json[first:last]
        if None in rows:
            for i in range(first, last):
                if self._json[i] is None:
                    self._json[i] = encode_row(self.slice(i, i + 1), 0)
            rows = self._json[first:last]
        return rows  # type: ignore[return-value]

    def apply(self, rows: CandleArrays) -> list[int]:
        """Take final rows in any order; returns the open times (ms) that changed."""
        times = rows.open_time_ms
        if len(times) > 1 and times[0] > self.last_open_ms and bool(np.all(times[1:] > times[:-1])):
            return self._extend(rows)
        if len(times) > _FEW:
            return self._merge(rows)
        changed: list[int] = []
        for i in range(len(rows.open_time_ms)):
            when = int(rows.open_time_ms[i])
            if when > self.last_open_ms:
                self._append(rows, i)
                changed.append(when)
            elif when >= self.first_open_ms:
                place = self._start + int(np.searchsorted(self._arrays["open_time_ms"][self._start : self._end], when))
                if self._arrays["open_time_ms"][place] != when:
                    self._insert(place, rows, i)
                    changed.append(when)
                elif self._is_better(rows, i, place):
                    self._write(place, rows, i)
                    self._json[place - self._start] = None
                    changed.append(when)
            elif len(self) < self._capacity:
                self._insert(self._start, rows, i)
                changed.append(when)
        return changed

    def _is_better(self, rows: CandleArrays, i: int, place: int) -> bool:
        mine = _rank(self._arrays["flags"][place], self._arrays["revision"][place], self._arrays["origin"][place])
        return _rank(rows.flags[i], rows.revision[i], rows.origin[i]) > mine

    def _write(self, place: int, rows: CandleArrays, i: int) -> None:
        for name, array in self._arrays.items():
            array[place] = getattr(rows, name)[i]

    def _append(self, rows: CandleArrays, i: int) -> None:
        if self._end == 2 * self._capacity:
            for array in self._arrays.values():
                array[: self._capacity] = array[self._capacity :]
            self._end = self._capacity
            del self._json[: len(self._json) - self._capacity]
            self._start = 0
        self._write(self._end, rows, i)
        self._json.append(None)
        self._end += 1
        if len(self) > self._capacity:
            self._start += 1
            del self._json[0]

    def _extend(self, rows: CandleArrays) -> list[int]:
        """Many rows, each newer than the one before and than all that are here: a page of history."""
        count = min(len(rows.open_time_ms), self._capacity)
        kept = min(len(self), self._capacity - count)
        if self._end + count > 2 * self._capacity:
            for array in self._arrays.values():
                array[:kept] = array[self._end - kept : self._end].copy()
            self._end = kept
        for name, array in self._arrays.items():
            array[self._end : self._end + count] = getattr(rows, name)[-count:]
        self._json = [*self._json[len(self._json) - kept :], *[None] * count]
        self._end += count
        self._start = self._end - kept - count
        changed: list[int] = rows.open_time_ms[-count:].tolist()
        return changed

    def _merge(self, rows: CandleArrays) -> list[int]:
        """Many rows among or before those that are here: a page fetched backwards, or repaired candles."""
        count = len(rows.open_time_ms)
        # Of equal rank the row that was here stands, then the first that came: so the new ones lie backwards, in front.
        joined = {
            name: np.concatenate([getattr(rows, name)[::-1], array[self._start : self._end]])
            for name, array in self._arrays.items()
        }
        times = joined["open_time_ms"]
        order = np.lexsort((rank(CandleArrays(**joined)), times))
        last = np.append(times[order][1:] != times[order][:-1], True)
        chosen = order[last][-self._capacity :]
        json = [None] * count + self._json
        for name, array in self._arrays.items():
            array[: len(chosen)] = joined[name][chosen]
        self._json = [json[i] for i in chosen.tolist()]
        self._start, self._end = 0, len(chosen)
        changed: list[int] = times[chosen[chosen < count]].tolist()
        return changed

    def _insert(self, place: int, rows: CandleArrays, i: int) -> None:
        """A row that was missing: shift what is newer by one (rare: a repaired candle; many are merged)."""
        index = place - self._start
        kept = {name: array[self._start : self._end].copy() for name, array in self._arrays.items()}
        for name, array in self._arrays.items():
            row = np.insert(kept[name], index, getattr(rows, name)[i])[-self._capacity :]
            array[: len(row)] = row
        self._json.insert(index, None)
        self._json = self._json[-self._capacity :]
        self._start, self._end = 0, len(self._json)


def _cut(columns: tuple[NDArray[Any], ...], rows: slice) -> dict[str, NDArray[Any]]:
    """Views of the columns of ``FIELDS``, by name. Written out, because a comprehension takes half as long again."""
    times, opened, high, low, close, volume, quote, taker, trades, flags, revision, origin = columns
    return {
        "open_time_ms": times[rows],
        "open": opened[rows],
        "high": high[rows],
        "low": low[rows],
        "close": close[rows],
        "volume": volume[rows],
        "quote_volume": quote[rows],
        "taker_buy_volume": taker[rows],
        "trades": trades[rows],
        "flags": flags[rows],
        "revision": revision[rows],
        "origin": origin[rows],
    }


def _rank(flags: Any, revision: Any, origin: Any) -> tuple[bool, int, int]:
    return (not int(flags) & _GAPPED, int(revision), ORIGIN_RANK[int(origin)])


class Window(msgspec.Struct, frozen=True):
    """Some rows of a series and whether there are older ones in memory."""

    rows: dict[str, NDArray[Any]]
    has_older: bool
