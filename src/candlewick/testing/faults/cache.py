"""Caches that break one law each."""

import asyncio
from collections.abc import Awaitable, Callable

from candlewick.ports.cache import BadTtl, Cache, NotACounter
from candlewick.testing.conformance.harness import Fault

_Compute = Callable[[], Awaitable[bytes]]


class _Around:
    """Everything as the sound cache does it."""

    def __init__(self, sound: Cache) -> None:
        self.sound = sound

    async def get(self, key: str) -> bytes | None:
        return await self.sound.get(key)

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await self.sound.set(key, value, ttl_s=ttl_s)

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        return await self.sound.add(key, value, ttl_s=ttl_s)

    async def delete(self, key: str) -> bool:
        return await self.sound.delete(key)

    async def increment(self, key: str, by: int, *, ttl_s: float) -> int:
        return await self.sound.increment(key, by, ttl_s=ttl_s)

    async def single(self, key: str, compute: _Compute, *, ttl_s: float) -> bytes:
        return await self.sound.single(key, compute, ttl_s=ttl_s)

    async def close(self) -> None:
        await self.sound.close()


class ServesTheStale(_Around):
    """Keeps everything a little longer."""

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await self.sound.set(key, value, ttl_s=ttl_s * 1.01 if ttl_s > 0 else ttl_s)


class KeepsTheFirst(_Around):
    """``set`` of a key that is there does nothing."""

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await self.sound.add(key, value, ttl_s=ttl_s)


class LooksThenAdds(_Around):
    """Two steps with a gap between them."""

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        if await self.sound.get(key) is not None:
            return False
        await asyncio.sleep(0)
        await self.sound.set(key, value, ttl_s=ttl_s)
        return True


class DeletesSilently(_Around):
    """Always says that there was something."""

    async def delete(self, key: str) -> bool:
        await self.sound.delete(key)
        return True


class LooksThenCounts(_Around):
    """Reads, then writes: increments get lost."""

    async def increment(self, key: str, by: int, *, ttl_s: float) -> int:
        number = int(await self.sound.get(key) or 0) + by
        await asyncio.sleep(0)
        await self.sound.set(key, b"%d" % number, ttl_s=ttl_s)
        return number


class Prolongs(_Around):
    """Each increment begins a new life."""

    async def increment(self, key: str, by: int, *, ttl_s: float) -> int:
        number = await self.sound.increment(key, by, ttl_s=ttl_s)
        await self.sound.set(key, b"%d" % number, ttl_s=ttl_s)
        return number


class EachComputes(_Around):
    """Nobody waits for another."""

    async def single(self, key: str, compute: _Compute, *, ttl_s: float) -> bytes:
        found = await self.sound.get(key)
        if found is None:
            found = await compute()
            await self.sound.set(key, found, ttl_s=ttl_s)
        return found


class KeepsFailures(_Around):
    """What failed once fails for as long as the value would have lived."""

    def __init__(self, sound: Cache) -> None:
        super().__init__(sound)
        self._failed: dict[str, Exception] = {}

    async def single(self, key: str, compute: _Compute, *, ttl_s: float) -> bytes:
        if key in self._failed:
            raise self._failed[key]
        try:
            return await self.sound.single(key, compute, ttl_s=ttl_s)
        except Exception as error:
            self._failed[key] = error
            raise


class FallsWithItsLeader(_Around):
    """All callers hang on the first one's task."""

    def __init__(self, sound: Cache) -> None:
        super().__init__(sound)
        self._flights: dict[str, asyncio.Task[bytes]] = {}

    async def single(self, key: str, compute: _Compute, *, ttl_s: float) -> bytes:
        if key not in self._flights:
            self._flights[key] = asyncio.ensure_future(self.sound.single(key, compute, ttl_s=ttl_s))
        return await self._flights[key]


class NeverForgets(_Around):
    """Grows without bound."""

    def __init__(self, sound: Cache) -> None:
        super().__init__(sound)
        self._all: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self._all.get(key)

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self._all[key] = value


class ForgetsTheOldest(_Around):
    """First in, first out: reading does not count as use."""

    def __init__(self, sound: Cache) -> None:
        super().__init__(sound)
        self._all: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self._all.get(key)

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self._all[key] = value
        if len(self._all) > 15:
            del self._all[next(iter(self._all))]


class TakesAnyTtl(_Around):
    """Not positive means a second."""

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        try:
            await self.sound.set(key, value, ttl_s=ttl_s)
        except BadTtl:
            await self.sound.set(key, value, ttl_s=1.0)


class CountsFromNothing(_Around):
    """What is no counter starts at nought."""

    async def increment(self, key: str, by: int, *, ttl_s: float) -> int:
        try:
            return await self.sound.increment(key, by, ttl_s=ttl_s)
        except NotACounter:
            await self.sound.set(key, b"%d" % by, ttl_s=ttl_s)
            return by


FAULTS = [
    Fault("test_01_a_value_lives_for_its_time", "stale read", ServesTheStale),
    Fault("test_02_setting_replaces", "first value kept", KeepsTheFirst),
    Fault("test_03_exactly_one_adds", "two winners", LooksThenAdds),
    Fault("test_04_deleting", "says nothing", DeletesSilently),
    Fault("test_05_counting", "lost increment", LooksThenCounts),
    Fault("test_05_counting", "prolonged life", Prolongs),
    Fault("test_06_one_computes_for_all", "each computes", EachComputes),
    Fault("test_07_a_failure_is_raised_to_all_and_not_kept", "failure kept", KeepsFailures),
    Fault("test_08_who_waits_takes_over", "falls with its leader", FallsWithItsLeader),
    Fault("test_09_who_waits_may_leave", "one cancels all", FallsWithItsLeader),
    Fault("test_10_memory_is_bounded", "no bound", NeverForgets),
    Fault("test_10_memory_is_bounded", "first in, first out", ForgetsTheOldest),
    Fault("test_11_a_time_to_live_is_positive", "any time to live", TakesAnyTtl),
    Fault("test_12_only_counters_count", "counts from nothing", CountsFromNothing),
]
