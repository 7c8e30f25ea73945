"""The laws of ``ports.windows``, for every adapter.

 1 A window holds the newest ``capacity`` candles, one row an open time, oldest first, in whatever order they came.
 2 Of two rows of one candle the higher rank stands: whole over gapped, then the revision, then the origin [6, 8].
 3 Reads are those of a ring of ``quant.windows``, bit for bit, whatever comes.
 4 Windows begin with a seed; what does not follow on what is kept is refused and changes nothing [13].
 5 The positions are those of the newest record taken; they do not go back.
 6 To take a record again, late, or by several writers changes nothing.
 7 A seed merges with what is kept.
 8 All timeframes of a symbol change in one step with its position.
 9 A symbol's windows vanish together, ``ttl_s`` after their last change, and never serve part of themselves.
10 What was read stays as it was read; arrays are contiguous and of the ring's types.
11 Symbols are apart; one that is forgotten is gone.
12 What is not there has no rows: other timeframes, none asked for.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from candlewick.contracts.base import Origin
from candlewick.contracts.stream import FINAL, GAPPED
from candlewick.ports.log import Position
from candlewick.ports.windows import Place, Window, Windows
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.ring import FIELDS, Ring
from candlewick.testing.conformance.harness import Harness

PLACE: Place = ("normalized.ohlcv", 7)
OTHER: Place = ("history.candles", 3)
BTC = ("binance", "BTC-USDT")
_MINUTE, _HOUR = 60, 3600
_START_MS = 1_700_000_000_000

Rows = dict[str, NDArray[Any]]


class WindowsHarness(Harness[Windows], Protocol):
    """Handles of a small capacity whose time to live is short."""

    @property
    def capacity(self) -> int: ...

    @property
    def ttl_s(self) -> float: ...

    async def pass_time(self, seconds: float) -> None:
        """Let the store's clock move on by this much."""
        ...


def rows(*candles: tuple[int, float, int, Origin, int]) -> Rows:
    """Candles as (number of the minute, close, revision, origin, flags)."""
    made: Rows = {name: np.zeros(len(candles), dtype) for name, dtype in FIELDS}
    for i, (minute, close, revision, origin, flags) in enumerate(candles):
        made["open_time_ms"][i] = _START_MS + minute * 60_000
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"):
            made[name][i] = close
        made["trades"][i] = -1 if origin is Origin.FETCHED else minute
        made["revision"][i], made["origin"][i], made["flags"][i] = revision, origin, flags
    return made


def plain(*minutes: int, close: float = 1.0) -> Rows:
    return rows(*[(minute, close + minute / 7, 0, Origin.BUILT, FINAL) for minute in minutes])


def at(offset: int, epoch: int = 1) -> Position:
    return Position(epoch, offset)


def minutes_of(window: Window | None) -> list[int]:
    assert window is not None
    return [(int(when) - _START_MS) // 60_000 for when in window.rows["open_time_ms"]]


def assert_same(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    for name, dtype in FIELDS:
        assert found[name].dtype == dtype
        assert found[name].tobytes() == expected[name].tobytes(), name


class WindowsConformance:
    @pytest.fixture
    def harness(self) -> WindowsHarness:
        raise NotImplementedError("the binding gives the harness")

    async def _seeded(self, harness: WindowsHarness, *minutes: int) -> Windows:
        windows = await harness.handle()
        await windows.seed(*BTC, {_MINUTE: plain(*minutes)}, {PLACE: at(10)})
        return windows

    async def test_law_1_the_newest_of_each_open_time(self, harness: WindowsHarness) -> None:
        windows = await self._seeded(harness, 5)
        assert windows.capacity == harness.capacity
        wanted = [5]
        order = [m for m in range(harness.capacity + 20) if m != 5]
        random.Random(1).shuffle(order)
        for i, minute in enumerate(order):
            assert await windows.apply(*BTC, {_MINUTE: plain(minute)}, PLACE, after=at(10 + i), at=at(11 + i))
            wanted = sorted([*wanted, minute])[-harness.capacity :]
            if i % 5 == 0:
                assert minutes_of(await windows.last(*BTC, _MINUTE, 1000)) == wanted
        assert minutes_of(await windows.last(*BTC, _MINUTE, 1000)) == wanted
        assert minutes_of(await windows.last(*BTC, _MINUTE, 3)) == wanted[-3:]

    async def test_law_2_the_higher_rank_stands(self, harness: WindowsHarness) -> None:
        ladder = [
            (3, Origin.REPAIRED, FINAL | GAPPED), (0, Origin.FETCHED, FINAL), (0, Origin.BUILT, FINAL),
            (0, Origin.REPAIRED, FINAL), (1, Origin.FETCHED, FINAL), (300, Origin.SIMULATED, FINAL),
        ]  # fmt: skip
        windows = await self._seeded(harness, 1)
        offset = 10
        for lower, (revision, origin, flags) in enumerate(ladder):
            for higher in range(len(ladder)):
                minute = 10 + lower * 10 + higher
                first = rows((minute, 2.0, revision, origin, flags))
                then = rows((minute, 3.0, ladder[higher][0], ladder[higher][1], ladder[higher][2]))
                for some in (first, then):
                    assert await windows.apply(*BTC, {_MINUTE: some}, PLACE, after=at(offset), at=at(offset + 1))
                    offset += 1
                window = await windows.last(*BTC, _MINUTE, 1)
                assert window is not None
                assert window.rows["close"][0] == (3.0 if higher > lower else 2.0), (lower, higher)

    async def test_law_3_reads_are_those_of_a_ring(self, harness: WindowsHarness) -> None:
        windows, ring = await self._seeded(harness), Ring(harness.capacity)
        draw = random.Random(3)
        origins, flags = list(Origin), (FINAL, FINAL | GAPPED)
        for offset in range(10, 90):
            now = offset // 2
            some = rows(*[
                (draw.randint(max(0, now - 30), now), draw.random() * 1e5, draw.randint(0, 2), draw.choice(origins),
                 draw.choice(flags))
                for _ in range(draw.randint(1, 6))
            ])  # fmt: skip
            ring.apply(CandleArrays(**some))
            assert await windows.apply(*BTC, {_MINUTE: some}, PLACE, after=at(offset), at=at(offset + 1))
            for n in (1, 7, 1000):
                window = await windows.last(*BTC, _MINUTE, n)
                assert window is not None
                assert_same(window.rows, ring.view(n))

    async def test_law_4_what_does_not_follow_is_refused(self, harness: WindowsHarness) -> None:
        windows = await harness.handle()
        assert not await windows.apply(*BTC, {_MINUTE: plain(1)}, PLACE, after=at(0, 0), at=at(11))
        assert await windows.last(*BTC, _MINUTE, 5) is None
        await windows.seed(*BTC, {_MINUTE: plain(1)}, {PLACE: at(10)})
        for place, after in ((PLACE, at(11)), (PLACE, at(1, 2)), (OTHER, at(10)), (OTHER, at(0, 0))):
            assert not await windows.apply(*BTC, {_MINUTE: plain(2)}, place, after=after, at=at(99, 9))
        window = await windows.last(*BTC, _MINUTE, 5)
        assert minutes_of(window) == [1]
        assert window is not None
        assert window.at == {PLACE: at(10)}
        assert await windows.apply(*BTC, {_MINUTE: plain(2)}, PLACE, after=at(10), at=at(11))
        # Epochs come before offsets [12].
        assert await windows.apply(*BTC, {_MINUTE: plain(3)}, PLACE, after=at(11), at=at(2, 2))
        assert await windows.apply(*BTC, {_MINUTE: plain(4)}, PLACE, after=at(500, 1), at=at(3, 2))
        assert not await windows.apply(*BTC, {_MINUTE: plain(5)}, PLACE, after=at(4, 2), at=at(5, 2))

    async def test_law_5_positions_do_not_go_back(self, harness: WindowsHarness) -> None:
        windows = await harness.handle()
        large = Position(1_763_700_000, (1 << 53) - 9)
        await windows.seed(*BTC, {_MINUTE: plain(1)}, {PLACE: at(10), OTHER: large})
        for after, now in ((10, 15), (14, 15), (10, 11)):
            assert await windows.apply(*BTC, {_MINUTE: plain(2)}, PLACE, after=at(after), at=at(now))
        await windows.seed(*BTC, {}, {PLACE: at(12), OTHER: at(5)})
        window = await windows.last(*BTC, _MINUTE, 5)
        assert window is not None
        assert window.at == {PLACE: at(15), OTHER: large}

    async def test_law_6_repeats_change_nothing(self, harness: WindowsHarness) -> None:
        writers = [await self._seeded(harness, 1), await harness.handle()]
        draw = random.Random(6)
        batches = [
            rows(*[(draw.randint(0, 25), draw.random(), draw.randint(0, 3), Origin.BUILT, FINAL) for _ in range(3)])
            for _ in range(30)
        ]
        ring = Ring(harness.capacity)
        ring.apply(CandleArrays(**plain(1)))
        for batch in batches:
            ring.apply(CandleArrays(**batch))

        async def write(writer: Windows) -> None:
            for i, batch in enumerate(batches):
                assert await writer.apply(*BTC, {_MINUTE: batch}, PLACE, after=at(10 + i), at=at(11 + i))

        await asyncio.gather(*(write(writer) for writer in writers))
        await write(writers[0])
        window = await writers[1].last(*BTC, _MINUTE, 1000)
        assert window is not None
        assert_same(window.rows, ring.view(1000))
        assert window.at == {PLACE: at(40)}

    async def test_law_7_a_seed_merges(self, harness: WindowsHarness) -> None:
        windows = await self._seeded(harness, 1, 2, 3)
        newer = rows((2, 9.0, 1, Origin.BUILT, FINAL), (4, 9.0, 0, Origin.BUILT, FINAL))
        await windows.seed(*BTC, {_MINUTE: newer, _HOUR: plain(0)}, {OTHER: at(1)})
        window = await windows.last(*BTC, _MINUTE, 10)
        assert minutes_of(window) == [1, 2, 3, 4]
        assert window is not None
        assert window.rows["close"][1] == 9.0
        assert window.at == {PLACE: at(10), OTHER: at(1)}
        assert minutes_of(await windows.last(*BTC, _HOUR, 10)) == [0]

    async def test_law_8_timeframes_change_in_one_step(self, harness: WindowsHarness) -> None:
        """A reader that knows a position finds every row of it in every timeframe."""
        windows, reader = await self._seeded(harness, 0), await harness.handle()
        done = False

        async def read() -> None:
            while not done:
                for seconds in (_HOUR, _MINUTE):
                    window = await reader.last(*BTC, seconds, 1)
                    assert window is not None
                    reached = window.at[PLACE].offset - 10
                    if reached or seconds == _MINUTE:
                        assert minutes_of(window) == [reached]
                await asyncio.sleep(0)

        reading = asyncio.create_task(read())
        for i in range(1, 60):
            some = {_MINUTE: plain(i), _HOUR: plain(i)}
            assert await windows.apply(*BTC, some, PLACE, after=at(9 + i), at=at(10 + i))
            await asyncio.sleep(0)
        done = True
        await reading

    async def test_law_9_a_symbol_s_windows_vanish_together(self, harness: WindowsHarness) -> None:
        windows = await harness.handle()
        await windows.seed(*BTC, {_MINUTE: plain(1), _HOUR: plain(0)}, {PLACE: at(10)})
        await harness.pass_time(harness.ttl_s * 0.6)
        assert await windows.apply(*BTC, {_MINUTE: plain(2)}, PLACE, after=at(10), at=at(11))
        await harness.pass_time(harness.ttl_s * 0.6)
        assert minutes_of(await windows.last(*BTC, _HOUR, 5)) == [0], "a change of one prolongs all"
        await harness.pass_time(harness.ttl_s * 0.6)
        for seconds in (_MINUTE, _HOUR):
            assert await windows.last(*BTC, seconds, 5) is None
        assert not await windows.apply(*BTC, {_MINUTE: plain(3)}, PLACE, after=at(11), at=at(12))
        await windows.seed(*BTC, {_MINUTE: plain(3)}, {PLACE: at(12)})
        assert minutes_of(await windows.last(*BTC, _MINUTE, 5)) == [3]

    async def test_law_10_what_was_read_stays(self, harness: WindowsHarness) -> None:
        windows = await self._seeded(harness, 1, 2, 3)
        window = await windows.last(*BTC, _MINUTE, 3)
        assert window is not None
        await windows.apply(*BTC, {_MINUTE: rows((2, 9.0, 5, Origin.BUILT, FINAL))}, PLACE, after=at(10), at=at(11))
        assert_same(window.rows, plain(1, 2, 3))
        assert window.at == {PLACE: at(10)}
        window.rows["close"][0] = 7.0
        again = await windows.last(*BTC, _MINUTE, 3)
        assert again is not None
        assert again.rows["close"][0] == plain(1)["close"][0]
        for name, dtype in FIELDS:
            assert again.rows[name].flags.c_contiguous
            assert again.rows[name].dtype == dtype

    async def test_law_11_symbols_are_apart(self, harness: WindowsHarness) -> None:
        windows = await self._seeded(harness, 1)
        await windows.seed("kraken", "BTC-USDT", {_MINUTE: plain(2)}, {PLACE: at(10)})
        await windows.forget(*BTC)
        await windows.forget(*BTC)
        assert await windows.last(*BTC, _MINUTE, 5) is None
        assert minutes_of(await windows.last("kraken", "BTC-USDT", _MINUTE, 5)) == [2]

    async def test_law_12_what_is_not_there_has_no_rows(self, harness: WindowsHarness) -> None:
        windows = await self._seeded(harness, 1, 2)
        for seconds, n in ((_HOUR, 5), (_MINUTE, 0)):
            window = await windows.last(*BTC, seconds, n)
            assert window is not None
            assert {len(array) for array in window.rows.values()} == {0}
            assert window.at == {PLACE: at(10)}
        assert await windows.apply(*BTC, {_HOUR: plain()}, PLACE, after=at(10), at=at(11))
        assert minutes_of(await windows.last(*BTC, _HOUR, 5)) == []
