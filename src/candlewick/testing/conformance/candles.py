"""The laws of ``ports.candles``, for every adapter.

 1 Rows come back exactly as they went in: prices, 128-bit volumes, trades, flags, origin, revision, known_at.
 2 After ``append`` returned a killed process loses nothing; of an append that was refused nothing is kept.
 3 ``append_many`` is all or nothing, together with its marks.
 4 Appending the same row again changes nothing and counts nothing; a stored row is never replaced by another one of
   its identity.
 5 A new revision adds to what is known: reads give the newest one.
 6 The best row of an open time: not gapped first, then the larger revision, then repaired > built = simulated >
   fetched.
 7 ``as_of_ns`` gives the best of what was known then, and nothing that became known later.
 8 ``range`` is [start, end), sorted by open time, each open time once; ``limit`` gives the oldest.
 9 ``last`` gives the newest n before an instant, oldest first.
10 Folding changes no read, says how many rows moved, and a second time moves none.
11 A late row of a folded day is read at once, and stays after the next folding.
12 Rows that are not final are refused with code NOT_FINAL, and nothing of the call is kept.
13 ``drop_before`` forgets one timeframe's rows before an instant and counts the open times; the others stay.
14 Scales of a series may change: every row is given, exactly, at the largest scale the series has had.
15 Exchange, symbol and timeframe keep series apart; ``series`` says what is stored.
16 What one process appended another reads.
17 Columns of unequal length are refused with code BAD_CANDLES.
18 A healthy store's ``check`` is None.
"""

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, CandleColumns
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.ports.candles import BadCandles, CandleStore, NotFinal, SeriesInfo
from candlewick.testing.conformance.harness import Harness

DAY_S = 86_400
# A Monday, 00:00 UTC.
START_S = 1_700_438_400
_EVER = 1 << 62
ARRAYS = tuple(name for name in CandleColumns.__struct_fields__ if not name.endswith("_scale"))


def candles(
    n: int,
    *,
    start_s: int = START_S,
    timeframe_s: int = 60,
    seed: int = 1,
    revision: int = 0,
    origin: int = Origin.BUILT,
    flags: int = FINAL,
    known_after_s: float = 2.0,
    price_scale: int = 2,
    size_scale: int = 5,
) -> CandleColumns:
    """n neighbouring candles with random prices and volumes; known some time after their close."""
    random = np.random.default_rng(seed)
    open_time = (start_s + np.arange(n, dtype=np.int64) * timeframe_s) * NS_PER_SECOND
    close = 3_000_000 + np.cumsum(random.integers(-500, 501, n))
    opened = close + random.integers(-500, 501, n)
    limbs = {
        f"{name}_{limb}": frozen(
            random.integers(0, 1 << 20, n) if limb == "hi" else random.integers(0, 1 << 64, n, dtype=np.uint64)
        )
        for name in ("volume", "taker", "quote")
        for limb in ("hi", "lo")
    }
    return CandleColumns(
        timeframe=frozen(np.full(n, timeframe_s, np.int32)),
        open_time=frozen(open_time),
        open=frozen(opened),
        high=frozen(np.maximum(opened, close) + 7),
        low=frozen(np.minimum(opened, close) - 7),
        close=frozen(close),
        **limbs,
        trades=frozen(random.integers(-1, 9000, n)),
        revision=frozen(np.full(n, revision, np.int32)),
        flags=frozen(np.full(n, flags, np.uint8)),
        origin=frozen(np.full(n, origin, np.uint8)),
        known_at=frozen(open_time + int((timeframe_s + known_after_s) * NS_PER_SECOND)),
        price_scale=price_scale,
        size_scale=size_scale,
    )


def rows(columns: CandleColumns, which: Any) -> CandleColumns:
    """The rows of an index array, a mask or a slice."""
    return msgspec.structs.replace(columns, **{name: frozen(getattr(columns, name)[which]) for name in ARRAYS})


def joined(*parts: CandleColumns) -> CandleColumns:
    """One behind the other."""
    return msgspec.structs.replace(
        parts[0], **{name: frozen(np.concatenate([getattr(part, name) for part in parts])) for name in ARRAYS}
    )


def assert_same(found: CandleColumns, expected: CandleColumns) -> None:
    """Bit for bit, types and scales included."""
    assert (found.price_scale, found.size_scale) == (expected.price_scale, expected.size_scale)
    for name in ARRAYS:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype, name
        assert ours.shape == theirs.shape, name
        assert np.array_equal(ours, theirs), name


async def _all(store: CandleStore, timeframe_s: int = 60, symbol: str = "BTC-USDT") -> CandleColumns:
    return await store.range("binance", symbol, timeframe_s, 0, _EVER)


async def _append(store: CandleStore, columns: CandleColumns, symbol: str = "BTC-USDT") -> int:
    return await store.append("binance", symbol, columns)


def _ns(seconds: float) -> int:
    return int((START_S + seconds) * NS_PER_SECOND)


class CandleStoreConformance:
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> Harness[CandleStore]:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_rows_come_back_exactly(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        for n, symbol in ((1, "A-USDT"), (50, "B-USDT"), (4000, "C-USDT")):
            sent = candles(n, seed=n, flags=FINAL | EMPTY, revision=3, origin=Origin.REPAIRED)
            assert await _append(store, sent, symbol) == n
            found = await _all(store, symbol=symbol)
            assert_same(found, sent)
            assert not any(getattr(found, name).flags.writeable for name in ARRAYS)

    async def test_02_an_append_survives_a_kill(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(3000)
        for at in range(0, 60, 10):
            await _append(store, rows(sent, slice(at, at + 10)))
        await _append(store, rows(sent, slice(60, None)))
        with pytest.raises(NotFinal):
            await _append(store, joined(candles(5, start_s=START_S + 9 * DAY_S), candles(1, flags=0)))
        await harness.kill()
        assert_same(await _all(await harness.handle()), sent)

    async def test_03_append_many_is_all_or_nothing_with_its_marks(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(10)
        assert await store.append_many([("binance", "A-USDT", sent), ("binance", "B-USDT", sent)], mark={"in": 7}) == 20
        assert await store.marks() == {"in": 7}
        late = candles(3, start_s=START_S + 3600)
        bad = [("binance", "A-USDT", late), ("binance", "B-USDT", candles(1, start_s=START_S + 7200, flags=0))]
        with pytest.raises(NotFinal):
            await store.append_many(bad, mark={"in": 8})
        assert await store.append_many([], mark={"other": 1}) == 0
        await harness.kill()
        store = await harness.handle()
        assert await store.marks() == {"in": 7, "other": 1}
        for symbol in ("A-USDT", "B-USDT"):
            assert_same(await _all(store, symbol=symbol), sent)

    async def test_04_appending_again_changes_nothing(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(2000)
        assert await _append(store, rows(sent, slice(0, 30))) == 30
        assert await _append(store, rows(sent, slice(20, 40))) == 10
        assert await _append(store, sent) == 1960
        await store.fold(_EVER)
        for part in (sent, rows(sent, slice(5, 8)), candles(2000, seed=2), candles(3, seed=3)):
            assert await _append(store, part) == 0
        assert await _append(store, joined(candles(2, start_s=START_S - 600), candles(2, start_s=START_S - 600))) == 2
        assert_same(await store.range("binance", "BTC-USDT", 60, _ns(0), _EVER), sent)

    async def test_05_the_newest_revision_is_read(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        first, second = candles(100), candles(100, seed=2, revision=1)
        await _append(store, first)
        assert await _append(store, rows(second, slice(10, 20))) == 10
        expected = joined(rows(first, slice(0, 10)), rows(second, slice(10, 20)), rows(first, slice(20, None)))
        assert_same(await _all(store), expected)
        assert await _append(store, candles(100, seed=3)) == 0
        assert_same(await _all(store), expected)

    async def test_06_the_best_row_of_an_open_time(self, harness: Harness[CandleStore]) -> None:
        ranked = [
            {"revision": 9, "origin": Origin.REPAIRED, "flags": FINAL | GAPPED},
            {"revision": 0, "origin": Origin.FETCHED},
            {"revision": 0, "origin": Origin.SIMULATED},
            {"revision": 0, "origin": Origin.REPAIRED},
            {"revision": 1, "origin": Origin.FETCHED},
            {"revision": 1, "origin": Origin.BUILT},
            {"revision": 1, "origin": Origin.REPAIRED},
            {"revision": 2, "origin": Origin.FETCHED},
        ]
        store = await harness.handle()
        made = [candles(1, seed=i, **row) for i, row in enumerate(ranked)]
        for symbol, order in (("UP-USDT", made), ("DOWN-USDT", made[::-1])):
            best = -1
            for i, row in enumerate(order):
                await _append(store, row, symbol)
                best = i if symbol == "UP-USDT" else 0
                assert_same(await _all(store, symbol=symbol), order[best])

    async def test_07_as_of_gives_what_was_known_then(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        first = candles(100)
        second = candles(100, seed=2, revision=1, known_after_s=7200)
        await _append(store, first)
        await _append(store, rows(second, slice(10, 20)))
        for _ in range(2):
            for now_s in (0, 62, 63, 3000, 8000, 9000, 20_000):
                now_ns = _ns(now_s)
                late = second.known_at[10:20] <= now_ns
                known = first.known_at <= now_ns
                known[10:20] &= ~late
                parts = joined(rows(first, known), rows(rows(second, slice(10, 20)), late))
                expected = rows(parts, np.argsort(parts.open_time))
                assert_same(await store.range("binance", "BTC-USDT", 60, 0, _EVER, as_of_ns=now_ns), expected)
                found = await store.range("binance", "BTC-USDT", 60, 0, _EVER, as_of_ns=now_ns, limit=15)
                assert_same(found, rows(expected, slice(0, 15)))
            await store.fold(_EVER)

    async def test_08_ranges(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(5000)
        shuffled = rows(sent, np.random.default_rng(4).permutation(4900))
        await _append(store, shuffled)
        await _append(store, rows(sent, slice(4900, None)))
        for start, end in ((0, 5000), (0, 0), (7, 8), (1439, 1441), (100, 4950), (4899, 4901), (4999, 9999)):
            found = await store.range("binance", "BTC-USDT", 60, _ns(start * 60), _ns(end * 60))
            assert_same(found, rows(sent, slice(start, end)))
            for limit in (1, 100, 2000, 9000):
                found = await store.range("binance", "BTC-USDT", 60, _ns(start * 60), _ns(end * 60), limit=limit)
                assert_same(found, rows(sent, slice(start, min(end, start + limit))))
        found = await store.range("binance", "BTC-USDT", 60, _ns(0) + 1, _ns(60) + 1)
        assert_same(found, rows(sent, slice(1, 2)))
        nothing = await store.range("binance", "NONE-USDT", 60, 0, _EVER)
        assert len(nothing.open_time) == 0
        assert nothing.open_time.dtype == np.int64

    async def test_09_the_last_rows(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent, revised = candles(5000), candles(5000, seed=2, revision=1)
        await _append(store, rows(sent, slice(0, 4500)))
        for at in range(4500, 5000, 100):
            await _append(store, rows(sent, slice(at, at + 100)))
        best = joined(rows(sent, slice(0, 4000)), rows(revised, slice(4000, None)))
        await _append(store, rows(revised, slice(4000, None)))
        for n in (1, 7, 500, 1500, 4999, 9000):
            assert_same(await store.last("binance", "BTC-USDT", 60, n), rows(best, slice(max(0, 5000 - n), None)))
            for before in (4700, 1440, 3, 0):
                found = await store.last("binance", "BTC-USDT", 60, n, before_ns=_ns(before * 60))
                assert_same(found, rows(best, slice(max(0, before - n), before)))

    async def test_10_folding_changes_no_read(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(3 * 1440)
        for at in range(0, len(sent.open_time), 120):
            await _append(store, rows(sent, slice(at, at + 120)))
        hours = candles(72, timeframe_s=3600)
        await _append(store, hours)
        moved = await store.fold(_ns(2 * DAY_S + 3600))
        assert moved in {2 * 1440 + 48, 0}, "all rows of finished days, or none where there is no tail"
        assert await store.fold(_ns(2 * DAY_S + 3600)) == 0
        assert_same(await _all(store), sent)
        assert_same(await _all(store, 3600), hours)
        assert await store.fold(_EVER) in {1440 + 24, 0}
        await harness.kill()
        store = await harness.handle()
        assert_same(await _all(store), sent)
        assert_same(await _all(store, 3600), hours)
        assert (await store.series())[0].rows == len(sent.open_time)

    async def test_11_a_late_row_of_a_folded_day(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(1440)
        late = rows(candles(1440, seed=2, revision=1), [5, 700, 1439])
        hole = rows(sent, np.arange(1440) != 30)
        await _append(store, hole)
        await store.fold(_EVER)
        assert await _append(store, late) == 3
        assert await _append(store, rows(sent, [30])) == 1
        both = joined(rows(sent, ~np.isin(np.arange(1440), [5, 700, 1439])), late)
        expected = rows(both, np.argsort(both.open_time))
        for _ in range(2):
            assert_same(await _all(store), expected)
            before = await store.range("binance", "BTC-USDT", 60, 0, _EVER, as_of_ns=int(sent.known_at[-1]))
            # The late rows were known no later than their first revisions.
            assert_same(before, expected)
            await store.fold(_EVER)

    async def test_12_open_rows_are_refused(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        with pytest.raises(NotFinal) as refused:
            await _append(store, joined(candles(5), candles(1, start_s=START_S + 600, flags=GAPPED)))
        assert refused.value.code == "NOT_FINAL"
        assert len((await _all(store)).open_time) == 0

    async def test_13_retention(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent, hours = candles(3000), candles(50, timeframe_s=3600)
        await _append(store, rows(sent, slice(0, 2900)))
        await _append(store, rows(sent, slice(2900, None)))
        await _append(store, rows(candles(3000, seed=2, revision=1), slice(100, 110)))
        await _append(store, hours)
        assert await store.drop_before(60, _ns(1600 * 60)) == 1600
        assert await store.drop_before(60, _ns(1600 * 60)) == 0
        assert_same(await _all(store), rows(sent, slice(1600, None)))
        assert_same(await _all(store, 3600), hours)
        assert await store.drop_before(60, _EVER) == 1400
        assert len((await _all(store)).open_time) == 0
        assert_same(await _all(store, 3600), hours)

    async def test_14_scales_may_change(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        parts = [
            candles(300, price_scale=2, size_scale=5),
            candles(40, start_s=START_S + 300 * 60, price_scale=4, size_scale=3),
            candles(300, start_s=START_S + 340 * 60, price_scale=1, size_scale=8),
        ]
        # Limbs that leave room for what the larger scales multiply by.
        parts = [
            msgspec.structs.replace(part, **{f"{n}_hi": part.trades for n in ("volume", "quote")}) for part in parts
        ]
        for part in parts:
            await _append(store, part)
        for _ in range(2):
            found = await _all(store)
            assert (found.price_scale, found.size_scale) == (4, 8)
            at = 0
            for part in parts:
                n = len(part.open_time)
                by_price, by_size = 10 ** (4 - part.price_scale), 10 ** (8 - part.size_scale)
                for name in ("open", "high", "low", "close"):
                    assert np.array_equal(getattr(found, name)[at : at + n], getattr(part, name) * by_price)
                for name, by in (("volume", by_size), ("taker", by_size), ("quote", by_price * by_size)):
                    assert _wide(found, name)[at : at + n] == [value * by for value in _wide(part, name)]
                at += n
            await store.fold(_EVER)

    async def test_15_series_are_apart(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        minutes, hours = candles(120), candles(2, timeframe_s=3600)
        await _append(store, joined(minutes, hours))
        other = candles(10, seed=5)
        await store.append("kraken", "BTC-USDT", other)
        await _append(store, rows(other, slice(0, 4)), "ETH-USDT")
        assert_same(await _all(store), minutes)
        assert_same(await _all(store, 3600), hours)
        assert_same(await store.range("kraken", "BTC-USDT", 60, 0, _EVER), other)
        found = sorted(await store.series(), key=lambda one: (one.exchange, one.symbol, one.timeframe_s))
        assert [msgspec.structs.replace(one, bytes=0) for one in found] == [
            SeriesInfo("binance", "BTC-USDT", 60, _ns(0), _ns(119 * 60), 120, 0),
            SeriesInfo("binance", "BTC-USDT", 3600, _ns(0), _ns(3600), 2, 0),
            SeriesInfo("binance", "ETH-USDT", 60, _ns(0), _ns(180), 4, 0),
            SeriesInfo("kraken", "BTC-USDT", 60, _ns(0), _ns(540), 10, 0),
        ]
        assert all(one.bytes > 0 for one in found)

    async def test_16_processes_share_a_store(self, harness: Harness[CandleStore]) -> None:
        writer, reader = await harness.handle(), await harness.handle()
        sent = candles(2000)
        for at in range(0, 100, 20):
            await _append(writer if at % 40 else reader, rows(sent, slice(at, at + 20)))
            assert_same(await _all(reader if at % 40 else writer), rows(sent, slice(0, at + 20)))
        await _append(writer, sent)
        await reader.fold(_EVER)
        assert_same(await _all(reader), sent)

    async def test_17_unequal_columns_are_refused(self, harness: Harness[CandleStore]) -> None:
        store = await harness.handle()
        sent = candles(5)
        with pytest.raises(BadCandles) as refused:
            await _append(store, msgspec.structs.replace(sent, trades=frozen(sent.trades[:4])))
        assert refused.value.code == "BAD_CANDLES"
        assert len((await _all(store)).open_time) == 0

    async def test_18_a_healthy_store_has_nothing_to_say(self, harness: Harness[CandleStore]) -> None:
        assert await (await harness.handle()).check() is None


def _wide(columns: CandleColumns, name: str) -> list[int]:
    high: NDArray[np.int64] = getattr(columns, f"{name}_hi")
    low: NDArray[np.uint64] = getattr(columns, f"{name}_lo")
    return [(h << 64) + lo for h, lo in zip(high.tolist(), low.tolist(), strict=True)]
