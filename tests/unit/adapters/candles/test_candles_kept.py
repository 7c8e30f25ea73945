"""What the candle store keeps: over kill -9 while it appends and folds, with a full disk, with a damaged blob."""
# ruff: noqa: PT012 (the disk fills up inside a loop)

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.contracts.base import Origin
from candlewick.kernel.errors import StorageFull
from candlewick.ports.candles import CandlesCorrupt
from candlewick.testing.conformance.candles import START_S, assert_same, candles, joined, rows
from candlewick.testing.killing import killed_child, seeds

_EVER = 1 << 62
_CHILD = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.testing.conformance.candles import START_S, candles, rows

async def main():
    store = SqliteCandleStore(Path(sys.argv[1]))
    await store.open()
    sent = candles(40_000)
    at = (await store.marks()).get("in", 0)
    print("ready", flush=True)
    while at + 480 <= 40_000:
        # The last part of each day is large enough to be written into its blob directly.
        step = 480 if at % 1440 == 960 else 96
        await store.append_many([("binance", "BTC-USDT", rows(sent, slice(at, at + step)))], mark={"in": at + step})
        at += step
        print(at, flush=True)
        if at % 480 == 0:
            await store.fold((START_S + at * 60) * 10**9)
            late = rows(candles(40_000, seed=2, revision=1), slice(at - 480, at - 478))
            await store.append_many([("binance", "BTC-USDT", late)], mark={"late": at})
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.kill
async def test_killed_appends_and_folds_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "candles.db"
    sent, late = candles(40_000), candles(40_000, seed=2, revision=1)
    for seed in seeds(6):
        printed = killed_child(_CHILD, [str(path)], seed=seed, least_s=0.0, most_s=0.35)
        store = SqliteCandleStore(path)
        await store.open()
        marks = await store.marks()
        at, late_at = marks.get("in", 0), marks.get("late", 0)
        assert at >= max([0, *map(int, printed)]), f"seed {seed}"
        # A kill between the two appends of one step leaves that step without its late rows for good.
        found = await store.range("binance", "BTC-USDT", 60, 0, _EVER)
        assert len(found.open_time) == at, f"seed {seed}"
        revised = found.revision == 1
        place = np.arange(at)
        assert set(place[revised]) <= {i for i in place if i % 480 < 2}, f"seed {seed}"
        assert all(revised[i] for i in (late_at - 480, late_at - 479) if 0 <= i < at), f"seed {seed}"
        both = joined(rows(rows(sent, slice(0, at)), ~revised), rows(rows(late, slice(0, at)), revised))
        expected = rows(both, np.argsort(both.open_time))
        assert_same(found, expected)
        await store.fold(_EVER)
        assert_same(await store.range("binance", "BTC-USDT", 60, 0, _EVER), expected)
        await store.close()


async def _opened(path: Path, max_pages: int | None = None) -> SqliteCandleStore:
    store = SqliteCandleStore(path, max_pages=max_pages)
    await store.open()
    return store


async def test_a_full_disk_loses_nothing_accepted(tmp_path: Path) -> None:
    store = await _opened(tmp_path / "candles.db", max_pages=60)
    sent = candles(100_000)
    at = 0
    with pytest.raises(StorageFull):
        while True:
            part = rows(sent, slice(at, at + 200))
            await store.append_many([("binance", "BTC-USDT", part)], mark={"in": at + 200})
            at += 200
    assert at > 200
    assert await store.marks() == {"in": at}
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, _EVER), rows(sent, slice(0, at)))
    await store.drop_before(60, int(sent.open_time[at // 2]))
    assert await store.append("binance", "BTC-USDT", rows(sent, slice(at, at + 200))) == 200
    found = await store.range("binance", "BTC-USDT", 60, 0, _EVER)
    assert_same(found, rows(sent, slice(at // 2, at + 200)))
    await store.close()


async def test_a_damaged_blob_is_named_and_the_others_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "candles.db"
    store = await _opened(path)
    sent = candles(3 * 1440)
    await store.append("binance", "BTC-USDT", sent)
    await store.close()
    day_ns = 86_400 * 10**9
    start = START_S * 10**9
    random = np.random.default_rng(7)
    connection = sqlite3.connect(path)
    (data,) = connection.execute("SELECT data FROM blob WHERE start = ?", (start + day_ns,)).fetchone()
    for at in (0, 5, 60, *random.integers(0, len(data), 20).tolist()):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(random.integers(0, 8))
        with connection:
            connection.execute("UPDATE blob SET data = ? WHERE start = ?", (bytes(flipped), start + day_ns))
        store = await _opened(path)
        for read in (
            store.range("binance", "BTC-USDT", 60, 0, _EVER),
            store.range("binance", "BTC-USDT", 60, start + day_ns, start + day_ns + 1),
            store.last("binance", "BTC-USDT", 60, 1500),
        ):
            with pytest.raises(CandlesCorrupt) as damaged:
                await read
            assert damaged.value.code == "CANDLES_CORRUPT"
            assert "binance:BTC-USDT 1m on 2023-11-21" in str(damaged.value)
        for day in (0, 2):
            found = await store.range("binance", "BTC-USDT", 60, start + day * day_ns, start + (day + 1) * day_ns)
            assert_same(found, rows(sent, slice(day * 1440, day * 1440 + 1440)))
        await store.close()
    connection.close()
    # What arrives for the damaged day is kept, and the day can be given up and fetched again.
    store = await _opened(path)
    late = rows(candles(3 * 1440, seed=2, revision=1), slice(1500, 1510))
    assert await store.append("binance", "BTC-USDT", late) == 10
    with pytest.raises(CandlesCorrupt):
        await store.fold(_EVER)
    assert not await store.discard_damaged("binance", "BTC-USDT", 60, start)
    assert await store.discard_damaged("binance", "BTC-USDT", 60, start + day_ns + 5)
    assert await store.append("binance", "BTC-USDT", rows(sent, slice(1440, 2880))) == 1440
    found = await store.range("binance", "BTC-USDT", 60, start + day_ns, start + 2 * day_ns)
    assert_same(rows(found, slice(60, 70)), late)
    assert len(found.open_time) == 1440
    await store.close()


async def test_a_truncated_blob_is_told(tmp_path: Path) -> None:
    path = tmp_path / "candles.db"
    store = await _opened(path)
    await store.append("binance", "BTC-USDT", candles(1440))
    await store.close()
    for size in (20_000, 300, 3, 1):
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("UPDATE blob SET data = substr(data, 1, ?)", (size,))
        connection.close()
        store = await _opened(path)
        with pytest.raises(CandlesCorrupt):
            await store.range("binance", "BTC-USDT", 60, 0, _EVER)
        await store.close()


async def test_a_file_of_a_newer_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "candles.db"
    await (await _opened(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Exception, match="newer version") as newer:
        await _opened(path)
    assert getattr(newer.value, "code", None) == "DATABASE_UNAVAILABLE"


async def test_every_timeframe_folds_and_reads(tmp_path: Path) -> None:
    store = await _opened(tmp_path / "candles.db")
    for timeframe_s, n in ((1, 90_000), (180, 3000), (900, 5000), (14_400, 4000), (86_400, 3000), (604_800, 500)):
        sent = candles(n, timeframe_s=timeframe_s, origin=Origin.FETCHED)
        for at in range(0, n, 1000):
            await store.append("binance", "BTC-USDT", rows(sent, slice(at, at + 200)))
            await store.append("binance", "BTC-USDT", rows(sent, slice(at + 200, at + 1000)))
        await store.fold(_EVER)
        assert_same(await store.range("binance", "BTC-USDT", timeframe_s, 0, _EVER), sent)
        assert_same(await store.last("binance", "BTC-USDT", timeframe_s, 300), rows(sent, slice(n - 300, None)))
    assert all(one.bytes < one.rows * 112 for one in await store.series())
    await store.close()
