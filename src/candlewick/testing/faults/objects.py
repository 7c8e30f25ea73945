"""Object stores that break one law each."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from candlewick.ports.objects import BadObjectKey, ObjectExists, ObjectInfo, ObjectNotFound, Objects
from candlewick.testing.conformance.harness import Fault


class _Around:
    """Everything as the sound store does it."""

    def __init__(self, sound: Objects) -> None:
        self.sound = sound

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        return await self.sound.put(key, data, create_only=create_only)

    async def get(self, key: str) -> bytes:
        return await self.sound.get(key)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return await self.sound.get_range(key, start, end)

    async def info(self, key: str) -> ObjectInfo:
        return await self.sound.info(key)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        async for info in self.sound.list(prefix):
            yield info

    async def delete(self, key: str) -> bool:
        return await self.sound.delete(key)

    async def close(self) -> None:
        await self.sound.close()


class KeepsInMemory(_Around):
    """Says kept while it only remembers the newest."""

    def __init__(self, sound: Objects) -> None:
        super().__init__(sound)
        self._waiting: tuple[str, bytes] | None = None

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        if self._waiting is not None:
            await self.sound.put(*self._waiting)
        self._waiting = (key, data)
        return ObjectInfo(key, len(data), "1", 0)


class TagsBySize(_Around):
    """The etag is the size."""

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        info = await self.sound.put(key, data, create_only=create_only)
        return msgspec.structs.replace(info, etag=str(info.size))

    async def info(self, key: str) -> ObjectInfo:
        info = await self.sound.info(key)
        return msgspec.structs.replace(info, etag=str(info.size))


class LooksThenCreates(_Around):
    """Two steps with a gap between them."""

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        if create_only:
            try:
                await self.sound.info(key)
            except ObjectNotFound:
                await asyncio.sleep(0.01)
            else:
                raise ObjectExists(key)
        return await self.sound.put(key, data)


class WritesInPlace(_Around):
    """A part is there before the rest."""

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        await self.sound.put(key, data[: len(data) // 2])
        await asyncio.sleep(0.02)
        return await self.sound.put(key, data)


class LeavesHalves(_Around):
    """What is only half written lies among the objects."""

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        await self.sound.put(f"{key}.part", data[: len(data) // 2])
        info = await self.sound.put(key, data, create_only=create_only)
        await self.sound.delete(f"{key}.part")
        return info


class IncludesTheEnd(_Around):
    """[start, end]."""

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return await self.sound.get_range(key, start, end + 1)


class ListsFolders(_Around):
    """A prefix is a folder."""

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        async for info in self.sound.list(prefix):
            if not prefix or info.key.startswith(prefix.rstrip("/") + "/"):
                yield info


class ListsByFolder(_Around):
    """In the order of folders, not of keys."""

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for info in sorted([info async for info in self.sound.list(prefix)], key=lambda info: info.key.split("/")):
            yield info


class DeletesBelow(_Around):
    """Takes the folder of the same name along."""

    async def delete(self, key: str) -> bool:
        async for info in self.sound.list(f"{key}/"):
            await self.sound.delete(info.key)
        return await self.sound.delete(key)


class GivesNothing(_Around):
    """What is not there is empty."""

    async def get(self, key: str) -> bytes:
        try:
            return await self.sound.get(key)
        except ObjectNotFound:
            return b""


class MendsKeys(_Around):
    """A bad key becomes a good one."""

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        try:
            return await self.sound.put(key, data, create_only=create_only)
        except BadObjectKey:
            return await self.sound.put("mended", data)


class ReadsWhatItRemembers(_Around):
    """Never looks again at what it once saw."""

    def __init__(self, sound: Objects) -> None:
        super().__init__(sound)
        self._seen: dict[str, ObjectInfo] = {}

    async def info(self, key: str) -> ObjectInfo:
        return self._seen.get(key) or await self.sound.info(key)

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        self._seen[key] = await self.sound.put(key, data, create_only=create_only)
        return self._seen[key]


FAULTS = [
    Fault("test_01_a_put_survives_a_kill", "lost write", KeepsInMemory),
    Fault("test_02_overwriting_replaces_the_whole", "etag of the size", TagsBySize),
    Fault("test_03_one_creator_wins", "two creators", LooksThenCreates),
    Fault("test_04_half_a_put_is_never_seen", "visible half", WritesInPlace),
    Fault("test_04_half_a_put_is_never_seen", "visible temporary", LeavesHalves),
    Fault("test_05_ranges", "end included", IncludesTheEnd),
    Fault("test_06_listing", "prefix as folder", ListsFolders),
    Fault("test_06_listing", "order of folders", ListsByFolder),
    Fault("test_07_deleting", "folder deleted", DeletesBelow),
    Fault("test_08_what_is_not_there", "empty instead of missing", GivesNothing),
    Fault("test_09_keys", "bad key mended", MendsKeys),
    Fault("test_10_readers_see_a_whole_object", "written in place", WritesInPlace),
    Fault("test_11_processes_share_objects", "stale read", ReadsWhatItRemembers),
]
