"""The candle store on TimescaleDB's hypertables keeps the same laws as on PostgreSQL's own partitions.

It runs against the server named in CANDLEWICK_TEST_TIMESCALE_URL (compressing and dropping chunks, continuous
aggregates: TimescaleDB's own licence), and skips where there is none: ``./dev servers`` cannot bring one up.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import numpy as np
import pytest

from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.testing import servers
from candlewick.testing.conformance.candles import (
    DAY_S,
    START_S,
    CandleStoreConformance,
    assert_same,
    candles,
    rows,
)
from candlewick.testing.conformance.harness import Fault, must_see
from candlewick.testing.faults.candles import FAULTS
from tests.postgres import url_of

URL = servers.address("timescale")
pytestmark = pytest.mark.skipif(URL is None, reason=servers.why_not("timescale") or "there")

_DAY_NS = DAY_S * 10**9
_START_NS = START_S * 10**9


class HypertablesHarness:
    """candlewick.testing.conformance.harness.Harness on a database with the extension, one a test."""

    def __init__(self, root: Path, url: str) -> None:
        self.url = url
        self._handles: list[PostgresCandleStore] = []
        self.scratch = root / "scratch"
        self.scratch.mkdir()

    async def handle(self) -> PostgresCandleStore:
        store = PostgresCandleStore(self.url)
        self._handles.append(store)
        await store.open()
        return store

    async def kill(self) -> None:
        while self._handles:
            self._handles.pop().abandon()
        await asyncio.sleep(0)

    async def close(self) -> None:
        while self._handles:
            await self._handles.pop().close()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[HypertablesHarness]:
    name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(str(URL))
    await admin.execute(f"CREATE DATABASE {name}")
    inside = await asyncpg.connect(url_of(name, URL))
    await inside.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    await inside.close()
    made = HypertablesHarness(tmp_path, url_of(name, URL))
    yield made
    await made.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


class TestHypertables(CandleStoreConformance):
    @pytest.fixture
    def harness(self, harness: HypertablesHarness) -> HypertablesHarness:
        return harness


_NO_TAIL = pytest.mark.xfail(strict=True, reason="rows lie in their chunk from the first, so folding moves none")


@pytest.mark.parametrize(
    "fault", [pytest.param(f, id=str(f), marks=[_NO_TAIL] if f.name == "row lost in folding" else []) for f in FAULTS]
)
async def test_the_law_sees_its_fault(fault: Fault, harness: HypertablesHarness) -> None:
    await must_see(CandleStoreConformance, fault, harness)


async def _ask(harness: HypertablesHarness, query: str) -> list[Any]:
    connection = await asyncpg.connect(harness.url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_chunks_are_days_and_the_server_has_its_orders(harness: HypertablesHarness) -> None:
    store = await harness.handle()
    assert store.layout == "hypertables"
    await store.append("binance", "BTC-USDT", candles(3 * 1440))
    chunks = await _ask(
        harness,
        "SELECT range_start_integer, range_end_integer - range_start_integer FROM timescaledb_information.chunks "
        "WHERE hypertable_name = 'candle_60' ORDER BY 1",
    )
    assert chunks == [(_START_NS + day * _DAY_NS, _DAY_NS) for day in range(3)]
    await store.drop_before(60, _START_NS)
    orders = await _ask(harness, "SELECT DISTINCT proc_name FROM timescaledb_information.jobs ORDER BY 1")
    wanted = {"policy_compression", "policy_retention", "policy_refresh_continuous_aggregate"}
    assert wanted <= {name for (name,) in orders}


async def test_a_compressed_day_is_read_and_takes_late_rows(harness: HypertablesHarness) -> None:
    store = await harness.handle()
    sent = candles(2 * 1440)
    await store.append("binance", "BTC-USDT", rows(sent, np.arange(2880) != 30))
    await _ask(harness, "SELECT compress_chunk(c, if_not_compressed => true) FROM show_chunks('candles.candle_60') c")
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, 1 << 62), rows(sent, np.arange(2880) != 30))
    assert await store.append("binance", "BTC-USDT", rows(sent, slice(0, 40))) == 1
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, 1 << 62), sent)
    assert await store.drop_before(60, _START_NS + _DAY_NS + 60 * 10**9) == 1441
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, 1 << 62), rows(sent, slice(1441, None)))


async def test_what_the_server_dropped_is_held_no_longer(harness: HypertablesHarness) -> None:
    store = await harness.handle()
    sent = candles(3 * 1440)
    await store.append("binance", "BTC-USDT", sent)
    await store.fold(1 << 62)
    await _ask(harness, f"SELECT drop_chunks('candles.candle_60', older_than => {_START_NS + _DAY_NS}::bigint)")
    await store.fold(1 << 62)
    assert (await store.series())[0].rows == 2 * 1440
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, 1 << 62), rows(sent, slice(1440, None)))


async def test_the_daily_sums_say_what_came(harness: HypertablesHarness) -> None:
    store = await harness.handle()
    await store.append("binance", "BTC-USDT", candles(2 * 1440))
    await store.append("binance", "BTC-USDT", candles(5, seed=2, revision=1))
    connection = await asyncpg.connect(harness.url)
    await connection.execute("CALL refresh_continuous_aggregate('candles.daily_60', NULL, NULL)")
    await connection.close()
    found = await _ask(harness, "SELECT day, records, revised FROM candles.daily_60 ORDER BY day")
    assert found == [(_START_NS, 1445, 5), (_START_NS + _DAY_NS, 1440, 0)]
