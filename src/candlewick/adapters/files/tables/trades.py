"""Tables to trades. A row is taken as it stands or refused with a code; none is changed."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.files.tables import names, numbers
from candlewick.adapters.files.tables.candles import Reading
from candlewick.adapters.files.tables.columns import Meaning
from candlewick.adapters.files.tables.errors import Problems
from candlewick.adapters.files.tables.table import NO_TIME, Column, Table
from candlewick.adapters.files.tables.times import to_ns
from candlewick.contracts.base import frozen
from candlewick.contracts.collector import Side, TradeColumns, TradeIds
from candlewick.kernel.clock import NS_PER_SECOND

_SIDES = {"buy": Side.BUY, "b": Side.BUY, "bid": Side.BUY, "sell": Side.SELL, "s": Side.SELL, "ask": Side.SELL}
# A stream of trades by id may step back in time by this much; the processor's watermark allows the same [3].
_LATENESS_NS = 2 * NS_PER_SECOND


@dataclass(slots=True)
class TradeReader:
    """Reads the pieces of one file in their order. ``ids`` and ``is_aggregated`` are known after the first piece.

    Ids of a file are at best MONOTONIC: whether a hole in them is a hole in the market is for the user to say
    (``--complete``). Rows without an id, or with one that is no number, get a hash of themselves and their place among
    equal rows (OPAQUE), so that reading the file again gives the same ids.
    """

    reading: Reading
    meaning: Meaning
    problems: Problems
    ids: TradeIds = TradeIds.MONOTONIC
    is_aggregated: bool = False
    _newest_ns: int | None = None
    _newest_id: int | None = None
    _begun: bool = False
    _equal: dict[bytes, int] | None = None

    def read(self, table: Table) -> TradeColumns:
        """The good rows of the next piece, in the file's order."""
        for row, text in table.malformed:
            self.problems.add(row, "WRONG_WIDTH", text)
        refused = np.zeros(len(table), object)
        times = to_ns(self._column(table, "time"), day=names.day_in_name(self.reading.path))
        refused[times == NO_TIME] = "BAD_TIME"
        self._refuse(refused, times > self.reading.now_ns, "NOT_CLOSED")
        price = numbers.integers([self._column(table, "price")], round_to=self.reading.round_to)[0]
        size = numbers.integers([self._column(table, "size")], round_to=self.reading.round_to)[0]
        for each in (price, size):
            self.problems.note("numbers a rounding error away from a decimal were taken as that decimal", each.noisy)
            self.problems.note("numbers were rounded as asked", each.rounded)
            bad = (each.refused != 0) & (refused == 0)
            refused[bad] = each.refused[bad]
            self._refuse(refused, (each.mantissas <= 0).astype(bool), "NOT_POSITIVE")
            if each.mantissas.dtype == object:
                self._refuse(refused, (each.mantissas > np.iinfo(np.int64).max).astype(bool), "TOO_LARGE")
        sides = self._sides(table, refused)
        ids = self._ids(table, refused, times)
        self._check_order(refused, times, ids)
        for place in np.flatnonzero(refused != 0).tolist():
            cells = ", ".join(str(column.values[place]) for column in table.columns)
            self.problems.add(int(table.rows[place]), refused[place], cells)
        kept = np.flatnonzero(refused == 0)
        received = self.meaning.column(table, "received")
        ts_recv = to_ns(received)[kept] if received is not None else times[kept]
        return TradeColumns(
            trade_id=frozen(ids[kept]),
            price=frozen(price.mantissas[kept].astype(np.int64)),
            size=frozen(size.mantissas[kept].astype(np.int64)),
            ts_event=frozen(times[kept]),
            ts_recv=frozen(np.where(ts_recv == NO_TIME, times[kept], ts_recv)),
            side=frozen(sides[kept]),
            price_scale=price.scale,
            size_scale=size.scale,
        )

    def _column(self, table: Table, name: str) -> Column:
        column = self.meaning.column(table, name)
        assert column is not None
        return column

    @staticmethod
    def _refuse(refused: NDArray[Any], where: NDArray[np.bool_], code: str) -> None:
        refused[where & (refused == 0)] = code

    def _sides(self, table: Table, refused: NDArray[Any]) -> NDArray[np.uint8]:
        out = np.full(len(table), Side.UNKNOWN, np.uint8)
        named, maker = self.meaning.column(table, "side"), self.meaning.column(table, "buyer_maker")
        if named is not None:
            cells = [str(cell).lower() if cell is not None else "" for cell in named.values.tolist()]
            out[:] = [_SIDES.get(cell, Side.UNKNOWN) for cell in cells]
            self._refuse(refused, np.array([cell != "" and cell not in _SIDES for cell in cells], bool), "BAD_SIDE")
        elif maker is not None:
            cells = [str(cell).lower() for cell in maker.values.tolist()]
            # the buyer was the maker, so the seller took
            out[[cell in ("true", "1") for cell in cells]] = Side.SELL
            out[[cell in ("false", "0") for cell in cells]] = Side.BUY
        return out

    def _ids(self, table: Table, refused: NDArray[Any], times: NDArray[np.int64]) -> NDArray[np.int64]:
        column = self.meaning.column(table, "id")
        found = numbers.integers([column])[0] if column is not None else None
        if not self._begun:
            self._begun = True
            self.is_aggregated = "first_id" in self.meaning.places
            whole = found is not None and found.scale == 0 and not (found.refused != 0).any()
            self.ids = TradeIds.MONOTONIC if whole else TradeIds.OPAQUE
            self._equal = None if whole else {}
        if self.ids is TradeIds.MONOTONIC:
            assert found is not None
            self._refuse(refused, found.refused != 0, "BAD_NUMBER")
            return found.mantissas.astype(np.int64)
        return self._hashes(table, refused, times)

    def _hashes(self, table: Table, refused: NDArray[Any], times: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self._equal is not None
        out = np.zeros(len(table), np.int64)
        columns = [column.values.tolist() for column in table.columns]
        day: int | None = None
        for place in np.flatnonzero(refused == 0).tolist():
            if day is not None and times[place] > day + 86_400 * NS_PER_SECOND:
                self._equal.clear()
            day = int(times[place])
            digest = hashlib.blake2b(repr([cells[place] for cells in columns]).encode(), digest_size=8)
            key = digest.digest()
            again = self._equal.get(key, 0)
            self._equal[key] = again + 1
            if again:
                digest.update(again.to_bytes(4, "little"))
            out[place] = int.from_bytes(digest.digest(), "little") >> 1
        return out

    def _check_order(self, refused: NDArray[Any], times: NDArray[np.int64], ids: NDArray[np.int64]) -> None:
        by_id = self.ids is TradeIds.MONOTONIC
        places = np.flatnonzero(refused == 0)
        if len(places) == 0:
            return
        mine, named = times[places], ids[places]
        joined = mine if self._newest_ns is None else np.concatenate([[self._newest_ns], mine])
        numbered = named if self._newest_id is None else np.concatenate([[self._newest_id], named])
        if (np.diff(joined) >= 0).all() and (not by_id or (np.diff(numbered) > 0).all()):
            self._newest_ns = int(mine[-1])
            self._newest_id = int(named[-1])
            return
        for place, time, number in zip(places.tolist(), mine.tolist(), named.tolist(), strict=True):
            if by_id and self._newest_id is not None and number <= self._newest_id:
                refused[place] = "DUPLICATE_ID" if number == self._newest_id else "OUT_OF_ORDER"
            elif self._newest_ns is not None and time < self._newest_ns - _LATENESS_NS:
                refused[place] = "OUT_OF_ORDER"
            else:
                self._newest_ns = max(time, self._newest_ns or time)
                self._newest_id = number
