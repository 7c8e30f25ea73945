"""Days that are over, kept once more as one value each: read fast, and believed only while whole."""

import asyncio
from typing import Any

import numpy as np

from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.testing.conformance.candles import assert_same, candles, rows
from tests.postgres import as_admin, needs_postgres, url_of
from tests.postgres_candles import DAY_NS, EVER, START_NS, ask, held_is_true

pytestmark = needs_postgres


async def _packed(name: str) -> list[Any]:
    return await ask(name, "SELECT start_ns, records FROM candles.packed ORDER BY 1")


async def test_days_that_are_over_are_read_as_one_value(name: str, store: PostgresCandleStore) -> None:
    sent = candles(3 * 1440)
    await store.append("binance", "BTC-USDT", sent)
    await store.fold(START_NS + 2 * DAY_NS + 1)
    assert await _packed(name) == [(START_NS, 1440), (START_NS + DAY_NS, 1440)]
    # Rows that are nowhere but in the copies show that these are what is read.
    await as_admin("DELETE FROM candles.candle_60_20231120", database=name)
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, EVER), sent)
    assert_same(
        await store.range("binance", "BTC-USDT", 60, START_NS + 600 * 10**9, START_NS + DAY_NS),
        rows(sent, slice(10, 1440)),
    )
    early = int(sent.known_at[99])
    before = await store.range("binance", "BTC-USDT", 60, 0, EVER, as_of_ns=early)
    assert before.open_time.tolist() == sent.open_time[sent.known_at <= early].tolist()


async def test_a_copy_counts_only_while_it_is_whole(name: str, store: PostgresCandleStore) -> None:
    first, second = candles(1440), candles(1440, seed=2, revision=1)
    await store.append("binance", "BTC-USDT", first)
    await store.fold(EVER)
    await store.append("binance", "BTC-USDT", rows(second, slice(0, 3)))
    expected = [*second.close[:3].tolist(), *first.close[3:].tolist()]
    for _ in range(2):
        assert (await store.range("binance", "BTC-USDT", 60, 0, EVER)).close.tolist() == expected
        await store.fold(EVER)
    assert await _packed(name) == [(START_NS, 1443)]


async def test_rows_that_took_the_place_of_forgotten_ones_are_read(name: str, store: PostgresCandleStore) -> None:
    """As many as before, and others: the count alone would not tell."""
    first, second = candles(1440), candles(1440, seed=2)
    await store.append("binance", "BTC-USDT", first)
    await store.fold(EVER)
    assert await store.drop_before(60, START_NS + 100 * 60 * 10**9) == 100
    await store.append("binance", "BTC-USDT", rows(second, slice(0, 100)))
    found = await store.range("binance", "BTC-USDT", 60, 0, EVER)
    assert found.close.tolist() == [*second.close[:100].tolist(), *first.close[100:].tolist()]
    await store.drop_before(60, START_NS + DAY_NS)
    assert await _packed(name) == []


async def test_folding_beside_appends_and_retention_loses_no_row(name: str) -> None:
    stores = [PostgresCandleStore(url_of(name)) for _ in range(3)]
    for one in stores:
        await one.open()
    sent = candles(4 * 1440)

    async def write() -> None:
        for at in np.random.default_rng(3).permutation(96).tolist():
            await stores[0].append("binance", "BTC-USDT", rows(sent, slice(at * 60, at * 60 + 60)))

    async def fold() -> None:
        for _ in range(8):
            await stores[1].fold(EVER)

    async def drop() -> None:
        for _ in range(4):
            await stores[2].drop_before(60, START_NS + DAY_NS // 2)

    await asyncio.gather(write(), fold(), drop())
    await drop()
    await fold()
    assert_same(await stores[0].range("binance", "BTC-USDT", 60, 0, EVER), rows(sent, slice(720, None)))
    await held_is_true(name)
    assert sum(records for _, records in await _packed(name)) == 4 * 1440 - 720
    for one in stores:
        await one.close()
