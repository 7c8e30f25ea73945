"""``candlewick shadow`` on real brokers, with stream processors as the cluster profile makes them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters.log.kafka import KafkaEventLog, KafkaOptions
from candlewick.adapters.stream.quix.leaving import HandedOver
from candlewick.app.cli import main as cli
from candlewick.app.configuration import AppSettings, ClusterSettings
from candlewick.app.profiles.cluster import ClusterResources
from candlewick.contracts.topics import NORMALIZED_OHLCV, OPEN_OHLCV, RAW_MARKET_DATA
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import NewRecord
from candlewick.ports.stream import StreamRuntime
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.conformance.log_harness import everything
from tests.kafka import BROKERS, needs_kafka
from tests.simulation import quix_world as world
from tests.simulation.stream_world import expected, story

pytestmark = [needs_kafka, pytest.mark.slow, pytest.mark.timeout(300)]
OLD, NEW = "stream.candles", "stream.candles.2"


class Servers:
    """One prefix: its log, its stream processors, its command line."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert BROKERS is not None
        self.folder, self._capsys = folder, capsys
        self.options = KafkaOptions(prefix=f"test-{SystemIds().new().hex[-12:]}.")
        topics = (RAW_MARKET_DATA, NORMALIZED_OHLCV, OPEN_OHLCV)
        self.log = KafkaEventLog(BROKERS, SystemClock(), SystemIds(), topics=topics, options=self.options)
        self.running: list[StreamRuntime] = []
        self.failures: list[BaseException] = []

    async def write(self, records: list[NewRecord]) -> None:
        """As the collector does."""
        producer = await self.log.producer("collector")
        await producer.send(records)
        await producer.close()

    async def stream(self, where: str, **settings: Any) -> StreamRuntime:
        """As ``candlewick run stream --profile cluster --data-dir WHERE --set cluster.NAME=VALUE``."""
        servers = ClusterSettings(
            kafka_brokers=str(BROKERS),
            prefix=self.options.prefix,
            redis_url="redis://127.0.0.1:1",
            s3_url="http://k:s@127.0.0.1:1/b",
            **settings,
        )
        resources = ClusterResources(self.folder / where, AppSettings(), servers, services=["stream"], mode="live")
        runtime: StreamRuntime = await resources.own("stream", "stream", "stream")
        await runtime.start(CandleOperator(), on_failure=self.failures.append)
        self.running.append(runtime)
        return runtime

    async def told(self, verb: str, group: str, *given: str, status: int = 0) -> Any:
        """What ``candlewick shadow`` prints as JSON."""
        rest = ["--brokers", str(BROKERS), "--data-dir", str(self.folder)]
        rest += ["--set", f"cluster.prefix={self.options.prefix}", "--json", *given]
        self._capsys.readouterr()
        code = await asyncio.to_thread(cli.main, ["shadow", verb, group, *rest])
        out, err = self._capsys.readouterr()
        assert code == status, err
        return json.loads(out) if out else err

    async def end(self) -> None:
        for runtime in self.running:
            await runtime.stop()
        await self.log.close()
        admin = Admin(str(BROKERS), self.options)
        admin.delete([name for name in admin.metadata().topics if name.startswith(self.options.prefix)])


@pytest.fixture
async def servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Servers]:
    servers = Servers(tmp_path, capsys)
    await servers.log.apply()
    await servers.log.open()
    yield servers
    await servers.end()


async def test_a_new_version_takes_over_and_no_candle_is_lost_or_doubled(servers: Servers) -> None:
    messages = story(23, trades=300)
    records, quarter = world.records(messages), len(messages) // 4
    await servers.write(records[:quarter])
    old = await servers.stream("data")
    await old.caught_up()
    assert "at work" in await servers.told("drop", OLD, status=1)
    begun = await servers.told("begin", NEW)
    assert begun["from"] == OLD
    assert begun["entries"] > 0
    assert "must be new" in await servers.told("begin", NEW, status=1)

    new = await servers.stream("shadow", stream_group=NEW, stream_shadow=True)
    await servers.write(records[quarter : 2 * quarter])
    await old.caught_up()
    await new.caught_up()
    compared = await servers.told("compare", NEW)
    assert compared["messages"] == quarter
    assert compared["equal"] > 0
    assert (compared["different"], compared["only_old"], compared["only_new"]) == (0, 0, 0)
    stands = await servers.told("status", NEW)
    assert stands["old"] == {"group": OLD, "members": 1, "lag": 0}
    assert stands["new"] == {"group": NEW, "members": 1, "lag": 0}
    assert "must be stopped" in await servers.told("promote", NEW, status=1)

    await old.stop()
    await servers.write(records[2 * quarter : 3 * quarter])
    await new.caught_up()
    await new.stop()
    assert await _candles(servers) == expected(messages[: 2 * quarter]), "a shadow writes nothing"
    assert (await servers.told("promote", NEW))["records"] > 0
    assert await _candles(servers) == expected(messages[: 3 * quarter])

    with pytest.raises(HandedOver, match=r"cluster\.stream_group"):
        await servers.stream("data")
    new = await servers.stream("shadow", stream_group=NEW)
    await servers.write(records[3 * quarter :])
    await new.caught_up()
    assert await _candles(servers) == expected(messages)
    at_work = ("--set", f"cluster.stream_group={NEW}")
    assert "at work" in await servers.told("drop", NEW, *at_work, status=1)
    dropped = await servers.told("drop", OLD, *at_work)
    assert f"{servers.options.prefix}{OLD}--{servers.options.prefix}{RAW_MARKET_DATA.name}--state" in dropped["topics"]
    assert servers.failures == []


async def _candles(servers: Servers) -> dict[str, Any]:
    return world.candles(await everything(servers.log, NORMALIZED_OHLCV))
