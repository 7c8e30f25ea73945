"""The memory cache's own promises: its bytes, its oddities."""

import math

from candlewick.adapters.cache.memory import MemoryCache
from candlewick.adapters.cache.memory.cache import ENTRY_BYTES
from candlewick.kernel.system import SystemClock


async def test_bytes_are_counted_and_given_back() -> None:
    cache = MemoryCache(SystemClock(), max_bytes=10_000)
    await cache.set("ké", b"12345", ttl_s=60)
    assert cache.used_bytes == 3 + 5 + ENTRY_BYTES
    await cache.set("ké", b"1", ttl_s=60)
    assert cache.used_bytes == 3 + 1 + ENTRY_BYTES
    await cache.delete("ké")
    assert cache.used_bytes == 0
    for i in range(100):
        await cache.set(f"{i}", bytes(i * 10), ttl_s=60)
        assert cache.used_bytes <= 10_000
    await cache.close()
    assert cache.used_bytes == 0


async def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    cache = MemoryCache(SystemClock(), max_bytes=1000)
    await cache.set("k", b"old", ttl_s=60)
    await cache.set("small", b"s", ttl_s=60)
    await cache.set("k", bytes(5000), ttl_s=60)
    assert await cache.get("k") is None
    assert await cache.get("small") == b"s"


async def test_for_ever_is_a_time() -> None:
    cache = MemoryCache(SystemClock())
    await cache.set("k", b"v", ttl_s=math.inf)
    assert await cache.get("k") == b"v"
