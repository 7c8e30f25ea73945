"""The laws of ``ports.objects``, for every adapter.

 1 After ``put`` returned a killed process loses nothing.
 2 Overwriting replaces the object as a whole; its etag changes whenever the content does; ``put`` and ``info`` agree.
 3 ``create_only`` refuses a taken key as ObjectExists; of two at once exactly one wins.
 4 A put that was killed or given up half-way shows nothing: no part of an object, and no key.
 5 ``get_range`` is [start, end), shorter at the object's end.
 6 ``list`` gives every object with the prefix, in key order; ``a`` and ``a/b`` can both be there.
 7 ``delete`` says whether there was something; afterwards it is gone.
 8 What is not there is ObjectNotFound.
 9 A key outside the alphabet or the lengths is BadObjectKey, whatever is asked; every key inside works.
10 Who reads while another overwrites gets the whole old or the whole new object.
11 What one process put another one sees.
"""

import asyncio

import pytest

from candlewick.ports.objects import BadObjectKey, ObjectExists, ObjectInfo, ObjectNotFound, Objects
from candlewick.testing.conformance.harness import Harness


async def _keys(objects: Objects, prefix: str = "") -> list[str]:
    return [info.key async for info in objects.list(prefix)]


class ObjectsConformance:
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> Harness[Objects]:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_a_put_survives_a_kill(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        content = {f"history/day={i}.parquet": bytes([i]) * i * 1000 for i in range(10)}
        for key, data in content.items():
            await objects.put(key, data)
        await harness.kill()
        objects = await harness.handle()
        assert await _keys(objects) == sorted(content)
        for key, data in content.items():
            assert await objects.get(key) == data

    async def test_02_overwriting_replaces_the_whole(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        etags = set()
        for data in (b"a" * 1000, b"b" * 1000, b"c", b"", b"d", b"e"):
            put = await objects.put("k", data)
            assert put == await objects.info("k")
            assert (put.key, put.size) == ("k", len(data))
            assert await objects.get("k") == data
            etags.add(put.etag)
        assert len(etags) == 6
        assert await _keys(objects) == ["k"]

    async def test_03_one_creator_wins(self, harness: Harness[Objects]) -> None:
        handles = [await harness.handle() for _ in range(2)]
        for i in range(5):
            tries = (
                handle.put(f"k{i}", f"{i} {j}".encode(), create_only=True)
                for j, handle in enumerate((*handles, *handles))
            )
            results = await asyncio.gather(*tries, return_exceptions=True)
            won = [j for j, result in enumerate(results) if isinstance(result, ObjectInfo)]
            assert len(won) == 1
            assert all(isinstance(result, ObjectExists | ObjectInfo) for result in results)
            assert await handles[0].get(f"k{i}") == f"{i} {won[0]}".encode()

    async def test_04_half_a_put_is_never_seen(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        await objects.put("old", b"whole")
        large = bytes(8 << 20)
        tasks = [asyncio.create_task(objects.put(key, large)) for key in ("new", "old")]
        for _ in range(50):
            await asyncio.sleep(0.001)
            for info in [info async for info in objects.list()]:
                assert info.size == len(large) or (info.key == "old" and info.size == 5), "half an object is listed"
        for task in tasks:
            task.cancel()
        await harness.kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        objects = await harness.handle()
        for key in await _keys(objects):
            assert key in {"old", "new"}
            assert await objects.get(key) in ({large, b"whole"} if key == "old" else {large})

    async def test_05_ranges(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        data = bytes(range(100))
        await objects.put("k", data)
        for start, end in ((0, 100), (0, 1), (10, 20), (99, 100), (90, 1000), (100, 200), (500, 600), (7, 7)):
            assert await objects.get_range("k", start, end) == data[start:end]

    async def test_06_listing(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a/c", "a=b", "a_b", "ab/c", "B", "b/a", "0", "a/b-c/d", "a/b.c"]
        for key in keys:
            await objects.put(key, key.encode())
        assert await _keys(objects) == sorted(keys)
        for prefix in ("a", "a/", "a/b", "a/b/", "ab", "b/a", "zz", "a/b-"):
            assert await _keys(objects, prefix) == sorted(key for key in keys if key.startswith(prefix))
        assert [info.size async for info in objects.list("a/b/")] == [5]

    async def test_07_deleting(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        await objects.put("a", b"1")
        await objects.put("a/b", b"2")
        assert await objects.delete("a") is True
        assert await objects.delete("a") is False
        assert await _keys(objects) == ["a/b"]
        with pytest.raises(ObjectNotFound):
            await objects.get("a")
        assert (await objects.put("a", b"3", create_only=True)).size == 1
        await objects.delete("a/b")
        await harness.kill()
        assert await _keys(await harness.handle()) == ["a"]

    async def test_08_what_is_not_there(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        await objects.put("a/b", b"1")
        for key in ("none", "a", "a/b/c", "a/none"):
            for call in (objects.get, objects.info):
                with pytest.raises(ObjectNotFound) as missing:
                    await call(key)
                assert missing.value.code == "OBJECT_NOT_FOUND"
            with pytest.raises(ObjectNotFound):
                await objects.get_range(key, 0, 1)
            assert await objects.delete(key) is False

    async def test_09_keys(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        bad = [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            "a b",
            "a\\b",
            "a\n",
            "ü",
            "a:b",
            "~",
            "x" * 513,
            "a+",
        ]
        for key in bad:
            with pytest.raises(BadObjectKey) as refused:
                await objects.put(key, b"")
            assert refused.value.code == "BAD_OBJECT_KEY"
            for call in (objects.get, objects.info, objects.delete):
                with pytest.raises(BadObjectKey):
                    await call(key)
        good = ["x" * 512, "a/" + "y" * 510, "/".join("ab" * 85), "...", "a/.b", "-", "A=1/B_2/c.d-e", "y" * 300 + "/z"]
        for key in good:
            await objects.put(key, key.encode())
        assert await _keys(objects) == sorted(good)
        for key in good:
            assert await objects.get(key) == key.encode()

    async def test_10_readers_see_a_whole_object(self, harness: Harness[Objects]) -> None:
        objects = await harness.handle()
        versions = [bytes([i]) * (200_000 + i) for i in range(8)]
        await objects.put("k", versions[0])
        seen = set()

        async def overwrite() -> None:
            for version in versions[1:]:
                await objects.put("k", version)

        writer = asyncio.create_task(overwrite())
        while not writer.done():
            data = await objects.get("k")
            assert data in versions, "a mixture or a part was read"
            seen.add(data[0])
        await writer
        assert await objects.get("k") == versions[-1]

    async def test_11_processes_share_objects(self, harness: Harness[Objects]) -> None:
        one, other = await harness.handle(), await harness.handle()
        await one.put("k", b"1")
        assert await other.get("k") == b"1"
        await other.put("k", b"22")
        assert (await one.info("k")).size == 2
        await one.delete("k")
        assert await _keys(other) == []
