"""What the PostgreSQL candle store adds to the port's laws: partitions, bulk loads, writers at once, a read replica."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import numpy as np
import pytest

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.adapters.candles.postgres.replica import Replica
from candlewick.testing.conformance.candles import DAY_S, START_S, assert_same, candles, rows
from tests.postgres import (
    ADMIN_URL,
    REPLICA_URL,
    as_admin,
    needs_postgres,
    needs_replica,
    url_of,
)
from tests.postgres_candles import DAY_NS, EVER, START_NS, ask, first, held_is_true
from tests.relay import relayed

pytestmark = needs_postgres


async def test_days_are_partitions_with_brin_and_retention_drops_them(name: str, store: PostgresCandleStore) -> None:
    sent = candles(5 * 1440)
    await store.append("binance", "BTC-USDT", sent)
    partitions = [
        "candle_60_20231120", "candle_60_20231121", "candle_60_20231122", "candle_60_20231123", "candle_60_20231124",
    ]  # fmt: skip
    listed = "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
    listed += "WHERE inhparent = 'candles.candle_60'::regclass ORDER BY 1"
    assert await ask(name, listed) == [(f"candles.{one}",) for one in partitions]
    indexes = await ask(
        name,
        "SELECT DISTINCT amname FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am am ON am.oid = c.relam "
        "WHERE indrelid = 'candles.candle_60_20231120'::regclass ORDER BY 1",
    )
    assert indexes == [("brin",), ("btree",)]
    assert await store.drop_before(60, START_NS + 2 * DAY_NS + 60 * 10**9) == 2 * 1440 + 1
    assert await ask(name, listed) == [(f"candles.{one}",) for one in partitions[2:]]
    await held_is_true(name)
    # Of what is gone new rows may come, and its partition with them, also from a store that saw it last.
    assert await store.append("binance", "BTC-USDT", rows(sent, slice(0, 10))) == 10
    other = PostgresCandleStore(url_of(name))
    await other.open()
    assert await other.drop_before(60, START_NS + DAY_NS) == 10
    assert await store.append("binance", "BTC-USDT", rows(sent, slice(0, 20))) == 20
    await other.close()
    await held_is_true(name)
    assert (await store.series())[0].rows == 20 + 3 * 1440 - 1


async def test_a_window_touches_only_its_partitions(name: str, store: PostgresCandleStore) -> None:
    await store.append("binance", "BTC-USDT", candles(10 * 1440))
    plan = await ask(
        name,
        f"EXPLAIN SELECT open FROM candles.candle_60 WHERE series = 1 AND open_time >= {START_NS + DAY_NS} "
        f"AND open_time < {START_NS + 2 * DAY_NS}",
    )
    touched = {word for (line,) in plan for word in line.split() if word.startswith("candle_60_2023")}
    assert {one.split("_pkey")[0].split("_series")[0] for one in touched} == {"candle_60_20231121"}


@pytest.mark.parametrize("sizes", [(10, 4000, 10), (4000, 10, 4000), (499, 501), (3000, 3000)], ids=str)
async def test_however_rows_come_they_are_the_same(
    name: str, store: PostgresCandleStore, sizes: tuple[int, ...]
) -> None:
    """By arrays, by COPY on new ground, by COPY beside what is there."""
    sent = candles(sum(sizes))
    at = 0
    for n in sizes:
        # What came before comes again with it.
        assert await store.append("binance", "BTC-USDT", rows(sent, slice(max(0, at - 700), at + n))) == n
        at += n
    doubled = rows(sent, np.repeat(np.arange(at), 2))
    assert await store.append("binance", "ETH-USDT", doubled) == at
    for symbol in ("BTC-USDT", "ETH-USDT"):
        assert_same(await store.range("binance", symbol, 60, 0, EVER), sent)
    await held_is_true(name)


async def test_many_writers_of_the_same_rows_keep_each_once(name: str) -> None:
    stores = [PostgresCandleStore(url_of(name)) for _ in range(3)]
    await asyncio.gather(*(one.open() for one in stores))
    sent = candles(3000)
    pieces = [slice(at, at + 500) for at in range(0, 3000, 250)] + [slice(0, 3000)]

    async def write(at: int) -> int:
        order = np.random.default_rng(at).permutation(len(pieces))
        made = [(f"X{i % 2}", f"S{i % 3}-USDT", rows(sent, pieces[i])) for i in order.tolist()]
        counts = [await stores[at].append_many(made[i : i + 3]) for i in range(0, len(made), 3)]
        counts += [await stores[at].append("all", "BTC-USDT", sent)]
        return sum(counts)

    written = await asyncio.gather(*(write(at) for at in range(3)))
    found = await stores[0].series()
    assert sum(written) == sum(one.rows for one in found)
    assert_same(await stores[1].range("all", "BTC-USDT", 60, 0, EVER), sent)
    await held_is_true(name)
    await asyncio.gather(*(one.close() for one in stores))


async def test_a_series_with_holes_is_found_from_both_ends(store: PostgresCandleStore) -> None:
    days = [0, 1, 70, 71, 200, 500]
    for day in days:
        await store.append("binance", "BTC-USDT", candles(5, start_s=START_S + day * DAY_S + 600, seed=day))
    everything = await store.range("binance", "BTC-USDT", 60, 0, EVER)
    assert len(everything.open_time) == 30
    for n in (1, 5, 6, 14, 30, 99):
        assert_same(await store.last("binance", "BTC-USDT", 60, n), rows(everything, slice(max(0, 30 - n), None)))
        assert_same(await store.range("binance", "BTC-USDT", 60, 0, EVER, limit=n), rows(everything, slice(0, n)))
    before = int(everything.open_time[12])
    assert_same(await store.last("binance", "BTC-USDT", 60, 4, before_ns=before), rows(everything, slice(8, 12)))


async def test_one_open_time_with_more_revisions_than_asked_for(store: PostgresCandleStore) -> None:
    for revision in range(120):
        await store.append("binance", "BTC-USDT", candles(2, seed=revision, revision=revision))
    await store.append("binance", "BTC-USDT", candles(1, start_s=START_S + 120))
    newest = candles(2, seed=119, revision=119)
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, EVER, limit=1), rows(newest, [0]))
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, EVER, limit=2), newest)
    assert_same(rows(await store.last("binance", "BTC-USDT", 60, 3), slice(0, 2)), newest)


async def test_seconds_and_weeks_have_partitions_that_suit_them(name: str, store: PostgresCandleStore) -> None:
    seconds = candles(4000, timeframe_s=1, start_s=START_S + DAY_S - 2000)
    weeks = candles(300, timeframe_s=604_800)
    assert await store.append("binance", "BTC-USDT", seconds) == 4000
    assert await store.append("binance", "BTC-USDT", weeks) == 300
    assert await ask(name, "SELECT timeframe_s, count(*) FROM candles.partition GROUP BY 1 ORDER BY 1") == [
        (1, 2),
        (604_800, 1),
    ]
    assert_same(await store.range("binance", "BTC-USDT", 1, 0, EVER), seconds)
    assert_same(await store.last("binance", "BTC-USDT", 604_800, 300), weeks)


async def test_a_process_that_dies_inside_an_append_leaves_nothing(name: str, store: PostgresCandleStore) -> None:
    class Died(BaseException):
        pass

    def die(_step: str) -> None:
        raise Died

    dying = PostgresCandleStore(url_of(name), on_step=die)
    await dying.open()
    for n in (10, 3000):
        with pytest.raises(Died):
            await dying.append_many([("binance", "BTC-USDT", candles(n))], mark={"in": n})
    await dying.close()
    assert await store.marks() == {}
    assert len((await store.range("binance", "BTC-USDT", 60, 0, EVER)).open_time) == 0
    # The numbers of series that it made went with it.
    assert await store.append("binance", "BTC-USDT", candles(10)) == 10


async def test_an_append_whose_answer_was_lost_counts_what_it_kept(name: str, store: PostgresCandleStore) -> None:
    async with relayed(url_of(name)) as (relay, url):
        made = PostgresCandleStore(url)
        await made.open()
        await made.append("binance", "BTC-USDT", first(1))
        relay.swallow_after = b"COMMIT"
        assert await made.append("binance", "BTC-USDT", first(5)) == 4
        assert relay.cuts == 1
        await made.close()
    assert_same(await store.range("binance", "BTC-USDT", 60, 0, EVER), first(5))


async def test_reads_go_on_over_ended_backends(name: str, store: PostgresCandleStore) -> None:
    await store.append("binance", "BTC-USDT", first(100))
    for _ in range(3):
        await as_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert_same(await store.last("binance", "BTC-USDT", 60, 100), first(100))
        assert await store.check() is None


# -- the read replica -----------------------------------------------------------------------------------------------


@pytest.fixture
async def replica() -> AsyncIterator[None]:
    """The replica for this test alone, whatever processes run tests: one that another test pauses is of no use."""
    connection = await asyncpg.connect(str(ADMIN_URL))
    await connection.execute("SELECT pg_advisory_lock(7001)")
    yield
    await connection.close()


@pytest.fixture
async def beside(name: str, store: PostgresCandleStore, replica: None) -> AsyncIterator[PostgresCandleStore]:
    """A store that reads from the replica; ``store`` writes for another process."""
    made = PostgresCandleStore(url_of(name), replica_url=url_of(name, REPLICA_URL))
    await made.open()
    await store.append("binance", "BTC-USDT", first(10))
    yield made
    await made.close()


async def _paused(is_paused: bool) -> None:
    connection = await asyncpg.connect(str(REPLICA_URL))
    try:
        await connection.execute(f"SELECT pg_wal_replay_{'pause' if is_paused else 'resume'}()")
    finally:
        await connection.close()


async def _read_from(store: PostgresCandleStore) -> str:
    """Where the next read goes: 'replica' or 'primary'."""
    asked: list[str] = []

    async def read(connections: Connections) -> None:
        asked.append("primary" if connections is store._connections else "replica")

    await store._read(read)
    return asked[-1]


async def _until_from(store: PostgresCandleStore, where: str, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while await _read_from(store) != where:
            await asyncio.sleep(0.02)


@needs_replica
async def test_a_fresh_replica_is_read_and_a_stale_one_is_not(
    store: PostgresCandleStore, beside: PostgresCandleStore
) -> None:
    await _until_from(beside, "replica")
    assert_same(await beside.range("binance", "BTC-USDT", 60, 0, EVER), first(10))
    await _paused(True)
    try:
        began = asyncio.get_running_loop().time()
        await store.append("binance", "BTC-USDT", first(20))
        await _until_from(beside, "primary")
        waited = asyncio.get_running_loop().time() - began
        assert waited <= 2.6, "a replica more than 2 s behind was read"
        assert_same(await beside.range("binance", "BTC-USDT", 60, 0, EVER), first(20))
    finally:
        await _paused(False)
    await _until_from(beside, "replica")
    assert_same(await beside.range("binance", "BTC-USDT", 60, 0, EVER), first(20))


@needs_replica
async def test_a_process_always_reads_what_it_wrote(beside: PostgresCandleStore) -> None:
    await _until_from(beside, "replica")
    await _paused(True)
    try:
        for n in (20, 30):
            await beside.append("binance", "BTC-USDT", first(n))
            assert_same(await beside.range("binance", "BTC-USDT", 60, 0, EVER), first(n))
    finally:
        await _paused(False)
    for n in range(31, 60):
        await beside.append("binance", "BTC-USDT", first(n))
        assert len((await beside.last("binance", "BTC-USDT", 60, 99)).open_time) == n


@needs_replica
async def test_a_replica_that_is_away_or_breaks_off_costs_nothing_but_time(
    name: str, store: PostgresCandleStore, replica: None
) -> None:
    sent = first(10)
    await store.append("binance", "BTC-USDT", sent)
    async with relayed(url_of(name, REPLICA_URL)) as (relay, url):
        relay.is_down = True
        made = PostgresCandleStore(url_of(name), replica_url=url)
        await made.open()
        assert_same(await made.range("binance", "BTC-USDT", 60, 0, EVER), sent)
        assert await _read_from(made) == "primary"
        relay.is_down = False
        await _until_from(made, "replica")
        relay.is_down = True
        relay.cut()
        for _ in range(3):
            assert_same(await made.range("binance", "BTC-USDT", 60, 0, EVER), sent)
        assert await _read_from(made) == "primary"
        assert await made.check() is None
        await made.close()


async def test_a_primary_named_as_replica_is_not_believed(name: str, store: PostgresCandleStore) -> None:
    """It replays nothing, so nothing says that it shows the same."""
    primary, other = Connections(url_of(name), size=1), Connections(url_of(name), size=1)
    await primary.open()
    assert not await Replica(primary, other, 2.0).is_fresh()
    await primary.close()
    await other.close()


def test_the_wire_form_is_checked() -> None:
    from candlewick.adapters._candles.rows import checked, from_records
    from candlewick.adapters.candles.postgres.wire import HEADER, TRAILER, NotCopy, decoded

    assert len(decoded([HEADER, TRAILER])["open_time"]) == 0
    for bad in ([], [HEADER], [HEADER, b"x", TRAILER], [HEADER, bytes(500), TRAILER]):
        with pytest.raises(NotCopy):
            decoded(bad)
    table = from_records(checked(msgspec.structs.replace(candles(3))))
    assert table["volume_lo"].dtype == np.uint64


# -- copies of finished days ----------------------------------------------------------------------------------------
