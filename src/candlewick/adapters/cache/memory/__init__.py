"""A cache in this process's memory."""

from candlewick.adapters.cache.memory.cache import MemoryCache

__all__ = ["MemoryCache"]
