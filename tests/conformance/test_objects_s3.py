"""An S3 server keeps the laws of objects, also while connections break."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from candlewick.adapters.objects.s3 import S3Bucket, S3Objects
from candlewick.kernel.system import SystemIds
from candlewick.ports.objects import ObjectExists, ObjectNotFound, ObjectsUnavailable
from candlewick.testing import servers
from candlewick.testing.conformance.objects import ObjectsConformance
from candlewick.testing.link import Link

BUCKET = os.environ.get("CANDLEWICK_TEST_S3_BUCKET", "candlewick-test")


class S3Harness:
    """A prefix of its own in one bucket. A kill cuts every connection there is."""

    def __init__(self, url: str, scratch: Path) -> None:
        self._url = url
        self._link = Link(url)
        self._prefix = SystemIds().new().hex
        self._handles: list[S3Objects] = []
        self.scratch = scratch

    @property
    def link(self) -> Link:
        return self._link

    def bucket(self, *, patience_s: float = 15.0, name: str = BUCKET) -> S3Bucket:
        parts = urlsplit(self._link.url)
        access = parts.username or os.environ.get("CANDLEWICK_TEST_S3_ACCESS", "")
        secret = parts.password or os.environ.get("CANDLEWICK_TEST_S3_SECRET", "")
        return S3Bucket(
            name=name,
            endpoint=f"{parts.scheme}://{parts.hostname}:{parts.port}",
            access=unquote(access),
            secret=unquote(secret),
            prefix=self._prefix,
            patience_s=patience_s,
        )

    async def open(self) -> None:
        await self._link.open()
        await self.bucket().make()

    async def handle(self, *, patience_s: float = 15.0) -> S3Objects:
        objects = S3Objects(self.bucket(patience_s=patience_s), SystemIds(), style="folders")
        self._handles.append(objects)
        return objects

    async def kill(self) -> None:
        await self._link.cut()
        await self._close_handles()
        self._link = Link(self._url)
        await self._link.open()

    async def close(self) -> None:
        objects = await self.handle()
        for info in [info async for info in objects.list()]:
            await objects.delete(info.key)
        await self._close_handles()
        await self._link.cut()

    async def _close_handles(self) -> None:
        while self._handles:
            await self._handles.pop().close()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[S3Harness]:
    if (url := servers.address("s3")) is None:
        pytest.skip(servers.why_not("s3"))
    harness = S3Harness(url, tmp_path)
    await harness.open()
    yield harness
    await harness.close()


class TestS3Objects(ObjectsConformance):
    @pytest.fixture
    def harness(self, harness: S3Harness) -> S3Harness:
        return harness


async def test_a_large_object_goes_in_parts(harness: S3Harness) -> None:
    objects = await harness.handle()
    data = bytes(range(256)) * (160 << 10)
    put = await objects.put("large", data)
    assert put.etag.endswith("-3")
    assert put == await objects.info("large")
    assert [info async for info in objects.list()] == [put]
    assert await objects.get("large") == data
    assert await objects.get_range("large", (16 << 20) - 3, (16 << 20) + 3) == data[(16 << 20) - 3 : (16 << 20) + 3]


async def test_a_server_that_was_away_is_waited_for(harness: S3Harness) -> None:
    objects = await harness.handle()
    await objects.put("k", b"before")
    await harness.link.cut()
    calls = [asyncio.create_task(objects.get("k")), asyncio.create_task(objects.put("new", b"1", create_only=True))]
    await asyncio.sleep(0.5)
    assert not any(call.done() for call in calls)
    await harness.link.open()
    assert await calls[0] == b"before"
    assert (await calls[1]).key == "new"


async def test_a_server_that_stays_away_is_an_error_that_may_pass(harness: S3Harness) -> None:
    objects = await harness.handle(patience_s=0.2)
    await objects.put("k", b"1")
    await harness.link.cut()
    for call in (objects.get("k"), objects.put("k", b"2"), objects.info("k"), objects.delete("k")):
        with pytest.raises(ObjectsUnavailable) as away:
            await call
        assert "Debug source" not in str(away.value)
    with pytest.raises(ObjectsUnavailable):
        _ = [info async for info in objects.list()]
    await harness.link.open()
    assert await objects.get("k") == b"1"


async def test_a_creation_whose_answer_got_lost_finds_itself(harness: S3Harness) -> None:
    class SameId:
        def __init__(self) -> None:
            self.id = SystemIds().new()

        def new(self) -> object:
            return self.id

    again = S3Objects(harness.bucket(), SameId(), style="folders")  # type: ignore[arg-type]
    first = await again.put("k", b"1", create_only=True)
    assert await again.put("k", b"1", create_only=True) == first
    with pytest.raises(ObjectExists):
        await (await harness.handle()).put("k", b"1", create_only=True)
    await again.close()


async def test_a_missing_bucket_and_a_wrong_key_are_no_missing_object(harness: S3Harness) -> None:
    nowhere = S3Objects(harness.bucket(name="candlewick-no-such-bucket"), SystemIds(), style="folders")
    for call in (nowhere.get("k"), nowhere.put("k", b""), nowhere.info("k"), nowhere.delete("k")):
        with pytest.raises(ObjectsUnavailable, match="bucket"):
            await call
    await nowhere.close()
    with pytest.raises(ObjectsUnavailable, match="closed"):
        await nowhere.get("k")
    assert await harness.bucket().make() is False


async def test_plain_names_are_the_keys(harness: S3Harness) -> None:
    plain = S3Objects(harness.bucket(), SystemIds())
    foreign = await harness.handle()
    try:
        keys = ["history/day=1.parquet", "history/day=2.parquet", "historya", "z"]
        for key in keys:
            await plain.put(key, key.encode())
        for prefix in ("", "history", "history/", "history/day=2", "z", "y", "/", "a b"):
            found = [info.key async for info in plain.list(prefix)]
            assert found == [key for key in keys if key.startswith(prefix)]
        assert [info.key async for info in foreign.list()] == []
        with pytest.raises(ObjectExists, match="folders"):
            await plain.put("z/below", b"")
        with pytest.raises(ObjectNotFound):
            await plain.get("history")
    finally:
        for info in [info async for info in plain.list()]:
            await plain.delete(info.key)
        await plain.close()


async def test_long_parts_keep_the_order_of_keys(harness: S3Harness) -> None:
    objects = await harness.handle()
    part = "p" * 200
    keys = [part, part + "-x", part + ".x", part + "/x", part + "0", part + "x/y", part + "p" * 230, "q"]
    for key in keys:
        await objects.put(key, b"")
    for prefix in ("", part, part + "/", part + "-", part + "x", part + "p" * 210):
        assert [info.key async for info in objects.list(prefix)] == sorted(k for k in keys if k.startswith(prefix))
