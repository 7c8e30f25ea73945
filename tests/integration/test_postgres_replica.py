"""The cluster profile's reads on a primary and a replica of the test's own: at most 2 s stale, else the primary's."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.adapters.db.postgres.provisioning import provision
from candlewick.app.cluster.preparing import own_settings
from candlewick.app.configuration import AppSettings, ClusterSettings
from candlewick.app.profiles.cluster import ClusterResources
from candlewick.testing.conformance.candles import assert_same, candles, rows
from tests.e2e.server import free_port
from tests.postgres import needs_postgres
from tools.servers import fetch, supervise
from tools.servers.postgres import FOLDERS, Postgres

pytestmark = [
    needs_postgres,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(fetch.find("initdb", FOLDERS) is None, reason="initdb is not on this machine"),
]

_EVER = 1 << 62
_STALE_S = 2.0
# What a read itself may take on a busy machine.
_SLACK_S = 1.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Postgres]:
    """A primary and its replica that no other test knows of."""
    home = Path(tempfile.mkdtemp(prefix="candlewick-replica-"))
    home.chmod(0o755)
    made = Postgres({"postgres": free_port(), "postgres-replica": free_port()}, home)
    try:
        made.bring_up()
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def _on_replica(pair: Postgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(pair.addresses()["postgres_replica"])
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def stores(pair: Postgres, tmp_path: Path) -> AsyncIterator[tuple[PostgresCandleStore, PostgresCandleStore]]:
    """History's store as its process in the cluster has it, and another process's that writes."""
    named = pair.addresses()
    servers = ClusterSettings(
        kafka_brokers="127.0.0.1:1",
        redis_url="redis://127.0.0.1:1",
        s3_url="http://k:s@127.0.0.1:1/b",
        postgres_admin_url=named["postgres"],
        postgres_replica_url=named["postgres_replica"],
    )
    url = await provision(named["postgres"], "history", "w/ord")
    own = own_settings(servers, url)
    assert urlsplit(own.postgres_replica_url).username == "candlewick_history"
    assert urlsplit(own.postgres_replica_url).port == pair.ports["postgres-replica"]
    resources = ClusterResources(tmp_path, AppSettings(), own, services=["history"], mode="live")
    reader = await resources.own("candles", "history", "test")
    writer = PostgresCandleStore(url)
    await writer.open()
    await writer.drop_before(60, _EVER)
    yield reader, writer
    await reader.close()
    await writer.close()


async def _count(store: PostgresCandleStore) -> int:
    return len((await store.range("binance", "BTC-USDT", 60, 0, _EVER)).open_time)


async def _until_from(store: PostgresCandleStore, where: str) -> None:
    async def asked(connections: Any) -> str:
        return "primary" if connections is store._connections else "replica"

    async with asyncio.timeout(20):
        while await store._read(asked) != where:
            await asyncio.sleep(0.02)


async def test_a_stopped_replay_is_read_no_longer_than_two_seconds(
    pair: Postgres, stores: tuple[PostgresCandleStore, PostgresCandleStore]
) -> None:
    reader, writer = stores
    sent = candles(50)
    await writer.append("binance", "BTC-USDT", rows(sent, slice(0, 10)))
    await _until_from(reader, "replica")
    async with _on_replica(pair) as replica:
        await replica.execute("SELECT pg_wal_replay_pause()")
        try:
            await writer.append("binance", "BTC-USDT", sent)
            loop = asyncio.get_running_loop()
            wrote, old = loop.time(), 0
            while (began := loop.time()) - wrote < _STALE_S + 2 * _SLACK_S:
                found = await _count(reader)
                assert found in {10, 50}
                old += found == 10
                assert found == 50 or began - wrote <= _STALE_S + _SLACK_S, "a stale replica was read"
                await asyncio.sleep(0.05)
            assert old > 0, "the replica was not read at all"
            assert_same(await reader.range("binance", "BTC-USDT", 60, 0, _EVER), sent)
        finally:
            await replica.execute("SELECT pg_wal_replay_resume()")
    await _until_from(reader, "replica")
    assert_same(await reader.range("binance", "BTC-USDT", 60, 0, _EVER), sent)


async def test_a_killed_replica_costs_no_answer(
    pair: Postgres, stores: tuple[PostgresCandleStore, PostgresCandleStore]
) -> None:
    reader, writer = stores
    sent = candles(20)
    await writer.append("binance", "BTC-USDT", sent)
    await _until_from(reader, "replica")
    primary, replica = pair.processes()
    assert primary.name == "postgres"
    supervise.stop([replica])
    for _ in range(5):
        assert_same(await reader.range("binance", "BTC-USDT", 60, 0, _EVER), sent)
    supervise.spawn(replica)
    supervise.wait_ready(pair.why_not, [replica], 60)
    await _until_from(reader, "replica")
    assert_same(await reader.range("binance", "BTC-USDT", 60, 0, _EVER), sent)
