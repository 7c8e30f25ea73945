"""A Redis server keeps the laws of windows, also while it is away."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from candlewick.adapters.cache.redis import RedisWindows
from candlewick.kernel.system import SystemIds
from candlewick.ports.cache import BadTtl, CacheUnavailable
from candlewick.testing import servers
from candlewick.testing.conformance.windows import BTC, PLACE, WindowsConformance, at, minutes_of, plain
from candlewick.testing.link import Link


class RedisHarness:
    """Keys of its own in one database. A kill cuts every connection there is."""

    capacity = 20
    ttl_s = 1.0

    def __init__(self, url: str, scratch: Path) -> None:
        self.url = url
        self.link = Link(url)
        self.namespace = f"test-{SystemIds().new().hex}"
        self._handles: list[RedisWindows] = []
        self.scratch = scratch

    async def handle(self, *, ttl_s: float | None = None, timeout_s: float = 1.0) -> RedisWindows:
        windows = RedisWindows(
            self.link.url, namespace=self.namespace, capacity=self.capacity, ttl_s=ttl_s or self.ttl_s,
            timeout_s=timeout_s,
        )  # fmt: skip
        self._handles.append(windows)
        return windows

    async def kill(self) -> None:
        await self.link.cut()
        await self.close()
        self.link = Link(self.url)
        await self.link.open()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        while self._handles:
            await self._handles.pop().close()
        await self.link.cut()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RedisHarness]:
    if (url := servers.address("redis")) is None:
        pytest.skip(servers.why_not("redis"))
    harness = RedisHarness(url, tmp_path)
    await harness.link.open()
    yield harness
    await harness.close()


class PatientHarness(RedisHarness):
    """For laws that write for longer than the short time to live on a busy machine."""

    ttl_s = 30.0


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[PatientHarness]:
    if (url := servers.address("redis")) is None:
        pytest.skip(servers.why_not("redis"))
    harness = PatientHarness(url, tmp_path)
    await harness.link.open()
    yield harness
    await harness.close()


class TestRedisWindows(WindowsConformance):
    @pytest.fixture
    def harness(self, harness: RedisHarness, patient: PatientHarness, request: pytest.FixtureRequest) -> RedisHarness:
        return harness if "vanish" in request.node.name else patient


async def test_without_its_server_windows_cost_only_time(patient: PatientHarness) -> None:
    windows = await patient.handle()
    await windows.seed(*BTC, {60: plain(1)}, {PLACE: at(10)})
    await patient.link.cut()
    for call in (
        windows.last(*BTC, 60, 5),
        windows.seed(*BTC, {60: plain(2)}, {PLACE: at(11)}),
        windows.apply(*BTC, {60: plain(2)}, PLACE, after=at(10), at=at(11)),
        windows.forget(*BTC),
    ):
        with pytest.raises(CacheUnavailable) as away:
            await call
        assert away.value.code == "CACHE_UNAVAILABLE"
    await patient.link.open()
    assert minutes_of(await windows.last(*BTC, 60, 5)) == [1]


async def test_a_connection_that_broke_is_made_again_for_every_reader(patient: PatientHarness) -> None:
    windows = await patient.handle()
    await windows.seed(*BTC, {60: plain(1)}, {PLACE: at(10)})
    for _ in range(3):
        found = await asyncio.gather(*(windows.last(*BTC, 60, 5) for _ in range(20)))
        assert [minutes_of(one) for one in found] == [[1]] * 20
        await patient.link.cut()
        await patient.link.open()


async def test_a_server_that_hangs_is_given_up(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    windows = RedisWindows(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout_s=0.2)
    async with asyncio.timeout(3):
        found = await asyncio.gather(*(windows.last(*BTC, 60, 5) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(one, CacheUnavailable) for one in found), found
    await windows.close()
    server.close()


async def test_a_reader_that_gives_up_disturbs_nobody(patient: PatientHarness) -> None:
    windows = await patient.handle()
    await windows.seed(*BTC, {60: plain(1)}, {PLACE: at(10)})
    await windows.seed("kraken", "ETH-USDT", {60: plain(2)}, {PLACE: at(10)})
    for _ in range(20):
        hasty = asyncio.create_task(windows.last(*BTC, 60, 5))
        await asyncio.sleep(0)
        steady = asyncio.create_task(windows.last("kraken", "ETH-USDT", 60, 5))
        await asyncio.sleep(0)
        hasty.cancel()
        assert minutes_of(await steady) == [2]


async def test_another_language_reads_a_window_by_its_layout(patient: PatientHarness) -> None:
    windows = await patient.handle()
    await windows.seed(*BTC, {60: plain(1, 2)}, {PLACE: at(10)})
    client = Redis.from_url(patient.url)
    data = await client.hget(f"{patient.namespace}:window:binance:BTC-USDT", "60")
    assert isinstance(data, bytes)
    assert len(data) == 2 * 88
    fields = struct.unpack_from("<qq7dqiBB2x", data, 88)
    assert fields[0] == 1_700_000_000_000 + 120_000
    assert fields[1] == (1 << 40) | 2
    assert fields[5] == plain(2)["close"][0]
    assert fields[9:] == (2, 0, 1, 1)
    assert await client.hget(f"{patient.namespace}:window:binance:BTC-USDT", "at") == b"normalized.ohlcv:7:1:10"
    await client.aclose()


async def test_bad_times_and_addresses_are_refused() -> None:
    with pytest.raises(BadTtl):
        RedisWindows("redis://127.0.0.1:1/0", ttl_s=0.0)
    windows = RedisWindows("redis://127.0.0.1:1/0")
    with pytest.raises(CacheUnavailable, match="cannot be reached"):
        await windows.last(*BTC, 60, 5)
    await windows.close()
    with pytest.raises(CacheUnavailable, match="closed"):
        await windows.last(*BTC, 60, 5)
