"""Stores of windows that break one law each."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from candlewick.ports.log import Position
from candlewick.ports.windows import Place, Rows, Window, Windows
from candlewick.testing.conformance.harness import Fault


class _Around:
    """Everything as the sound store does it."""

    def __init__(self, sound: Windows) -> None:
        self.sound = sound

    @property
    def capacity(self) -> int:
        return self.sound.capacity

    async def seed(self, exchange: str, symbol: str, rows: Mapping[int, Rows], at: Mapping[Place, Position]) -> None:
        await self.sound.seed(exchange, symbol, rows, at)

    async def apply(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], place: Place, *, after: Position, at: Position
    ) -> bool:
        return await self.sound.apply(exchange, symbol, rows, place, after=after, at=at)

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        return await self.sound.last(exchange, symbol, seconds, n)

    async def forget(self, exchange: str, symbol: str) -> None:
        await self.sound.forget(exchange, symbol)

    async def close(self) -> None:
        await self.sound.close()


class OnlyAppends(_Around):
    """What is older than the newest row is passed over."""

    async def apply(self, exchange: str, symbol: str, rows: Mapping[int, Rows], *rest: Any, **more: Any) -> bool:
        kept = {}
        for seconds, some in rows.items():
            window = await self.sound.last(exchange, symbol, seconds, 1)
            newest = window.rows["open_time_ms"].max(initial=0) if window is not None else 0
            late = some["open_time_ms"] >= newest
            kept[seconds] = {name: array[late] for name, array in some.items()}
        return await self.sound.apply(exchange, symbol, kept, *rest, **more)


class TheLastWins(_Around):
    """Every row claims to be whole and newest."""

    def __init__(self, sound: Windows) -> None:
        super().__init__(sound)
        self._count = 0

    async def apply(self, exchange: str, symbol: str, rows: Mapping[int, Rows], *rest: Any, **more: Any) -> bool:
        self._count += 1
        claimed = {
            seconds: {**some, "revision": np.full_like(some["revision"], self._count)} for seconds, some in rows.items()
        }
        return await self.sound.apply(exchange, symbol, claimed, *rest, **more)


class RoundsToFloat32(_Around):
    """Saves half of the bytes."""

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        window = await self.sound.last(exchange, symbol, seconds, n)
        if window is None:
            return None
        rounded = {
            name: array.astype(np.float32).astype(np.float64) if array.dtype == np.float64 else array
            for name, array in window.rows.items()
        }
        return Window(rounded, window.at)


class TakesWhatDoesNotFollow(_Around):
    """A hole is not noticed."""

    async def apply(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], place: Place, *, after: Position, at: Position
    ) -> bool:
        return await self.sound.apply(exchange, symbol, rows, place, after=Position(0, 0), at=at)


class GoesBack(_Around):
    """Says the position of whatever was taken last."""

    def __init__(self, sound: Windows) -> None:
        super().__init__(sound)
        self._at: dict[Place, Position] = {}

    async def apply(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], place: Place, *, after: Position, at: Position
    ) -> bool:
        self._at[place] = at
        return await self.sound.apply(exchange, symbol, rows, place, after=after, at=at)

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        window = await self.sound.last(exchange, symbol, seconds, n)
        return window and Window(window.rows, {**window.at, **self._at})


class SeedsAnew(_Around):
    """A seed throws away what is there."""

    async def seed(self, exchange: str, symbol: str, rows: Mapping[int, Rows], at: Mapping[Place, Position]) -> None:
        await self.sound.forget(exchange, symbol)
        await self.sound.seed(exchange, symbol, rows, at)


class StepByStep(_Around):
    """The position first, then one timeframe after the other."""

    async def apply(self, exchange: str, symbol: str, rows: Mapping[int, Rows], *rest: Any, **more: Any) -> bool:
        taken = await self.sound.apply(exchange, symbol, {}, *rest, **more)
        for seconds, some in rows.items():
            await _a_moment()
            await self.sound.apply(exchange, symbol, {seconds: some}, *rest, **more)
        return taken


class NeverVanishes(_Around):
    """Serves the last it read when there is nothing."""

    def __init__(self, sound: Windows) -> None:
        super().__init__(sound)
        self._read: dict[tuple[str, str, int], Window] = {}

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        window = await self.sound.last(exchange, symbol, seconds, n)
        if window is not None:
            self._read[exchange, symbol, seconds] = window
        return self._read.get((exchange, symbol, seconds))


class SharesItsArrays(_Around):
    """What was read moves with what is kept."""

    def __init__(self, sound: Windows) -> None:
        super().__init__(sound)
        self._given: list[tuple[tuple[str, str, int, int], Window]] = []

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        window = await self.sound.last(exchange, symbol, seconds, n)
        if window is not None:
            self._given.append(((exchange, symbol, seconds, n), window))
        return window

    async def apply(self, *rest: Any, **more: Any) -> bool:
        taken = await self.sound.apply(*rest, **more)
        for asked, window in self._given:
            now = await self.sound.last(*asked)
            for name, array in window.rows.items():
                if now is not None and len(now.rows[name]) == len(array):
                    array[:] = now.rows[name]
        return taken


class MixesExchanges(_Around):
    """A symbol is a symbol."""

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        return await self.sound.last("kraken", symbol, seconds, n) or await self.sound.last(
            exchange, symbol, seconds, n
        )


class GivesWhatItHas(_Around):
    """At least one row, asked for or not."""

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        return await self.sound.last(exchange, symbol, seconds, max(1, n))


async def _a_moment() -> None:
    """Others run."""
    for _ in range(3):
        await asyncio.sleep(0)


FAULTS = (
    Fault("test_law_1_the_newest_of_each_open_time", "only appends", OnlyAppends),
    Fault("test_law_2_the_higher_rank_stands", "the last wins", TheLastWins),
    Fault("test_law_3_reads_are_those_of_a_ring", "rounds", RoundsToFloat32),
    Fault("test_law_4_what_does_not_follow_is_refused", "takes what does not follow", TakesWhatDoesNotFollow),
    Fault("test_law_5_positions_do_not_go_back", "goes back", GoesBack),
    Fault("test_law_6_repeats_change_nothing", "the last wins", TheLastWins),
    Fault("test_law_7_a_seed_merges", "seeds anew", SeedsAnew),
    Fault("test_law_8_timeframes_change_in_one_step", "step by step", StepByStep),
    Fault("test_law_9_a_symbol_s_windows_vanish_together", "never vanishes", NeverVanishes),
    Fault("test_law_10_what_was_read_stays", "shares its arrays", SharesItsArrays),
    Fault("test_law_11_symbols_are_apart", "mixes exchanges", MixesExchanges),
    Fault("test_law_12_what_is_not_there_has_no_rows", "gives what it has", GivesWhatItHas),
)
