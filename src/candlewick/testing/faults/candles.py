"""Candle stores that break one law each."""

from typing import Any

import msgspec
import numpy as np

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.stream import FINAL, GAPPED, CandleColumns
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.candles import CandleStore, SeriesInfo
from candlewick.testing.conformance.candles import ARRAYS, rows
from candlewick.testing.conformance.harness import Fault


class _Around:
    """Everything as the sound store does it."""

    def __init__(self, sound: CandleStore) -> None:
        self.sound = sound

    async def open(self) -> None:
        await self.sound.open()

    async def close(self) -> None:
        await self.sound.close()

    async def append(self, exchange: str, symbol: str, rows: CandleColumns) -> int:
        return await self.append_many([(exchange, symbol, rows)])

    async def append_many(
        self, batches: list[tuple[str, str, CandleColumns]], *, mark: dict[str, int] | None = None
    ) -> int:
        return await self.sound.append_many(batches, mark=mark)

    async def marks(self) -> dict[str, int]:
        return await self.sound.marks()

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        return await self.sound.range(*args, **named)

    async def last(self, *args: Any, **named: Any) -> CandleColumns:
        return await self.sound.last(*args, **named)

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        return await self.sound.drop_before(timeframe_s, before_ns)

    async def fold(self, now_ns: int) -> int:
        return await self.sound.fold(now_ns)

    async def series(self) -> list[SeriesInfo]:
        return await self.sound.series()

    async def check(self) -> str | None:
        return await self.sound.check()


Batches = list[tuple[str, str, CandleColumns]]


class SumsAsFloats(_Around):
    """Volumes pass through float64."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        rounded = [
            (e, s, msgspec.structs.replace(c, volume_lo=frozen((c.volume_lo >> np.uint64(12)) << np.uint64(12))))
            for e, s, c in batches
        ]
        return await self.sound.append_many(rounded, mark=mark)


class KeepsInMemory(_Around):
    """Says kept while it only remembers."""

    def __init__(self, sound: CandleStore) -> None:
        super().__init__(sound)
        self._waiting: Batches = []

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        await self.sound.append_many(self._waiting, mark=mark)
        self._waiting = batches
        return sum(len(batch[2].open_time) for batch in batches)


class CommitsEachBatch(_Around):
    """One transaction a symbol, the mark apart."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        await self.sound.append_many([], mark=mark)
        return sum([await self.sound.append_many([batch]) for batch in batches])


class Overwrites(_Around):
    """A row of a known identity replaces the old one."""

    def __init__(self, sound: CandleStore) -> None:
        super().__init__(sound)
        self._newest: dict[tuple[str, int], dict[str, Any]] = {}

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        new = await self.sound.append_many(batches, mark=mark)
        for _, symbol, columns in batches:
            for i, time in enumerate(columns.open_time.tolist()):
                self._newest[symbol, time] = {name: getattr(columns, name)[i] for name in ARRAYS}
        return new

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        found = await self.sound.range(*args, **named)
        if found.price_scale == 0:
            return found
        changed = {name: getattr(found, name).copy() for name in ARRAYS}
        for i, time in enumerate(found.open_time.tolist()):
            for name, value in self._newest[args[1], time].items():
                changed[name][i] = value
        return msgspec.structs.replace(found, **{name: frozen(column) for name, column in changed.items()})


class KeepsTheFirstRevision(_Around):
    """Later revisions are dropped."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        first = [(e, s, rows(c, c.revision == 0)) for e, s, c in batches]
        await self.sound.append_many(first, mark=mark)
        return sum(len(c.open_time) for _, _, c in batches)


class PrefersGapped(_Around):
    """Does not look whether a row is gapped."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        blind = [(e, s, msgspec.structs.replace(c, flags=frozen(c.flags & FINAL))) for e, s, c in batches]
        return await self.sound.append_many(blind, mark=mark)

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        found = await self.sound.range(*args, **named)
        flags = np.where(found.revision == 9, found.flags | GAPPED, found.flags)
        return msgspec.structs.replace(found, flags=frozen(flags))


class PrefersFetched(_Around):
    """Ranks what the venue says over what was repaired."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        swap = np.arange(256, dtype=np.uint8)
        swap[Origin.FETCHED], swap[Origin.REPAIRED] = Origin.REPAIRED, Origin.FETCHED
        swapped = [(e, s, msgspec.structs.replace(c, origin=frozen(swap[c.origin]))) for e, s, c in batches]
        return await self.sound.append_many(swapped, mark=mark)

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        found = await self.sound.range(*args, **named)
        swap = np.arange(256, dtype=np.uint8)
        swap[Origin.FETCHED], swap[Origin.REPAIRED] = Origin.REPAIRED, Origin.FETCHED
        return msgspec.structs.replace(found, origin=frozen(swap[found.origin]))


class LeaksTheFuture(_Around):
    """Reads what is known now, whatever was asked."""

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        as_of_ns = named.pop("as_of_ns", None)
        found = await self.sound.range(*args, **named)
        return found if as_of_ns is None else rows(found, found.open_time < as_of_ns)


class ForgetsRevised(_Around):
    """As of an earlier instant a revised row is not there at all."""

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        as_of_ns = named.pop("as_of_ns", None)
        found = await self.sound.range(*args, **named)
        return found if as_of_ns is None else rows(found, found.known_at <= as_of_ns)


class IncludesTheEnd(_Around):
    """[start, end]."""

    async def range(
        self, exchange: str, symbol: str, timeframe_s: int, start_ns: int, end_ns: int, **named: Any
    ) -> CandleColumns:
        return await self.sound.range(exchange, symbol, timeframe_s, start_ns, end_ns + 1, **named)


class LimitsToTheNewest(_Around):
    """``limit`` leaves the newest."""

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        limit = named.pop("limit", None)
        found = await self.sound.range(*args, **named)
        return found if limit is None else rows(found, slice(-limit, None))


class NewestFirst(_Around):
    """``last`` goes backwards."""

    async def last(self, *args: Any, **named: Any) -> CandleColumns:
        return rows(await self.sound.last(*args, **named), slice(None, None, -1))


class FoldLosesARow(_Around):
    """The last row of what is folded falls off."""

    async def fold(self, now_ns: int) -> int:
        moved = await self.sound.fold(now_ns)
        for one in await self.sound.series():
            kept = await self.sound.range(one.exchange, one.symbol, one.timeframe_s, 0, one.last_ns)
            if len(kept.open_time) and moved:
                await self.sound.drop_before(one.timeframe_s, one.last_ns + 1)
                await self.sound.append(one.exchange, one.symbol, kept)
        return moved


class FoldForgetsLateRows(_Around):
    """Folding a day again keeps the old blob alone."""

    def __init__(self, sound: CandleStore) -> None:
        super().__init__(sound)
        self._folded = False

    async def fold(self, now_ns: int) -> int:
        self._folded = True
        return await self.sound.fold(now_ns)

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        new = sum(len(c.open_time) for _, _, c in batches)
        return new if self._folded else await self.sound.append_many(batches, mark=mark)


class TakesOpenRows(_Around):
    """Calls every row final."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        final = [(e, s, msgspec.structs.replace(c, flags=frozen(c.flags | FINAL))) for e, s, c in batches]
        return await self.sound.append_many(final, mark=mark)


class DropsOneDayLess(_Around):
    """Retention by whole days only."""

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        day_ns = 86_400 * 10**9
        return await self.sound.drop_before(timeframe_s, before_ns // day_ns * day_ns)


class IgnoresScales(_Around):
    """Mantissas as they are, whatever the scale."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        same = [(e, s, msgspec.structs.replace(c, price_scale=4, size_scale=8)) for e, s, c in batches]
        return await self.sound.append_many(same, mark=mark)


class MixesExchanges(_Around):
    """One exchange is as good as another."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        return await self.sound.append_many([("binance", s, c) for _, s, c in batches], mark=mark)

    async def range(self, exchange: str, *args: Any, **named: Any) -> CandleColumns:
        return await self.sound.range("binance", *args, **named)


class ReadsWhatItRemembers(_Around):
    """Never looks again at what it once read."""

    def __init__(self, sound: CandleStore) -> None:
        super().__init__(sound)
        self._seen: dict[Any, CandleColumns] = {}

    async def range(self, *args: Any, **named: Any) -> CandleColumns:
        if args not in self._seen:
            self._seen[args] = await self.sound.range(*args, **named)
        return self._seen[args]


class CutsToTheShortest(_Around):
    """Unequal columns lose what does not match."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        cut = [(e, s, rows(c, slice(0, min(len(getattr(c, name)) for name in ARRAYS)))) for e, s, c in batches]
        return await self.sound.append_many(cut, mark=mark)


class KeepsHalfOfARefusal(_Around):
    """Keeps what comes before the row it refuses."""

    async def append_many(self, batches: Batches, *, mark: dict[str, int] | None = None) -> int:
        try:
            return await self.sound.append_many(batches, mark=mark)
        except CandlewickError:
            await self.sound.append_many([(e, s, rows(c, (c.flags & FINAL) > 0)) for e, s, c in batches])
            raise


class AlwaysComplains(_Around):
    """Is never well."""

    async def check(self) -> str | None:
        return "something may be wrong"


FAULTS = [
    Fault("test_01_rows_come_back_exactly", "volumes as floats", SumsAsFloats),
    Fault("test_02_an_append_survives_a_kill", "lost write", KeepsInMemory),
    Fault("test_02_an_append_survives_a_kill", "half of a refusal", KeepsHalfOfARefusal),
    Fault("test_03_append_many_is_all_or_nothing_with_its_marks", "partial transaction", CommitsEachBatch),
    Fault("test_04_appending_again_changes_nothing", "overwritten row", Overwrites),
    Fault("test_05_the_newest_revision_is_read", "dropped revision", KeepsTheFirstRevision),
    Fault("test_05_the_newest_revision_is_read", "overwritten revision", Overwrites),
    Fault("test_06_the_best_row_of_an_open_time", "gapped preferred", PrefersGapped),
    Fault("test_06_the_best_row_of_an_open_time", "fetched preferred", PrefersFetched),
    Fault("test_07_as_of_gives_what_was_known_then", "leaked future", LeaksTheFuture),
    Fault("test_07_as_of_gives_what_was_known_then", "forgotten past", ForgetsRevised),
    Fault("test_08_ranges", "end included", IncludesTheEnd),
    Fault("test_08_ranges", "newest instead of oldest", LimitsToTheNewest),
    Fault("test_09_the_last_rows", "newest first", NewestFirst),
    Fault("test_10_folding_changes_no_read", "row lost in folding", FoldLosesARow),
    Fault("test_11_a_late_row_of_a_folded_day", "late row lost", FoldForgetsLateRows),
    Fault("test_12_open_rows_are_refused", "open row kept", TakesOpenRows),
    Fault("test_12_open_rows_are_refused", "half of a refusal", KeepsHalfOfARefusal),
    Fault("test_13_retention", "whole days only", DropsOneDayLess),
    Fault("test_14_scales_may_change", "scales ignored", IgnoresScales),
    Fault("test_15_series_are_apart", "exchanges mixed", MixesExchanges),
    Fault("test_16_processes_share_a_store", "stale read", ReadsWhatItRemembers),
    Fault("test_17_unequal_columns_are_refused", "columns cut", CutsToTheShortest),
    Fault("test_18_a_healthy_store_has_nothing_to_say", "always complains", AlwaysComplains),
]
