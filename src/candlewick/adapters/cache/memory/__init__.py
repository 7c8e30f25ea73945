"""A cache in this process's memory."""

from candlewick.adapters.cache.memory.cache import MemoryCache
from candlewick.adapters.cache.memory.sessions import MemorySessions
from candlewick.adapters.cache.memory.windows import MemoryWindows

__all__ = ["MemoryCache", "MemorySessions", "MemoryWindows"]
