"""A cache that all processes share, in a Redis server."""

from candlewick.adapters.cache.redis.budget import SharedRateBudget
from candlewick.adapters.cache.redis.cache import RedisCache
from candlewick.adapters.cache.redis.sessions import RedisSessions
from candlewick.adapters.cache.redis.windows import RedisWindows

__all__ = ["RedisCache", "RedisSessions", "RedisWindows", "SharedRateBudget"]
