"""``ports.sessions`` in a Redis server: a hash of state, version and time to live for each session."""

from typing import Any, Final

from redis.exceptions import RedisError

from candlewick.adapters.cache.redis.server import RedisServer, refused
from candlewick.kernel.ids import IdSource
from candlewick.ports.cache import BadTtl
from candlewick.ports.sessions import Session, SessionMoved

# KEYS: the session. ARGV: version, state, time to live in ms, mark. Returns the newest version and whether it is ours:
# a save whose answer got lost is asked again, and knows its own mark.
_SAVE: Final = """
local kept = redis.call('HMGET', KEYS[1], 'version', 'mark')
local known = tonumber(kept[1] or 0)
if kept[2] == ARGV[4] and known == tonumber(ARGV[1]) + 1 then return {known, 1} end
if known ~= tonumber(ARGV[1]) then return {known, 0} end
redis.call('HSET', KEYS[1], 'version', known + 1, 'state', ARGV[2], 'ttl', ARGV[3], 'mark', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {known + 1, 1}
"""
# KEYS: the session. ARGV: 1 to begin its time anew.
_LOAD: Final = """
local kept = redis.call('HMGET', KEYS[1], 'state', 'version', 'ttl')
if kept[1] and ARGV[1] == '1' then redis.call('PEXPIRE', KEYS[1], kept[3]) end
return kept
"""


class RedisSessions:
    """A save is one step on the server. One event loop."""

    def __init__(
        self, url: str, ids: IdSource, *, namespace: str = "candlewick", timeout_s: float = 1.0, connections: int = 8
    ) -> None:
        self._server = RedisServer(url, timeout_s=timeout_s, connections=connections)
        self._ids = ids
        self._prefix = f"{namespace}:session:"

    async def load(self, name: str, *, touch: bool = False) -> Session | None:
        """Raises CacheUnavailable."""
        state, version, _ = await self._run(_LOAD, name, [int(touch)])
        return Session(state, int(version)) if state is not None else None

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        """Raises SessionMoved, BadTtl, CacheUnavailable: it may be saved."""
        if not ttl_s > 0:
            raise BadTtl(f"a time to live must be positive seconds, was {ttl_s!r}")
        ttl_ms = max(1, int(ttl_s * 1000) - 1)
        known, is_saved = await self._run(_SAVE, name, [version, state, ttl_ms, self._ids.new().hex])
        if not is_saved:
            where = f"it is at {known} now" if known else "it is gone"
            raise SessionMoved(f"session {name} must be saved on its newest version, {where}, was {version!r}")
        return int(known)

    async def end(self, name: str) -> bool:
        """Raises CacheUnavailable: it may be there still."""
        try:
            ended = await self._server.ask(lambda client: client.unlink(self._prefix + name), may_repeat=False)
        except RedisError as error:
            raise refused(error) from error
        return bool(ended)

    async def close(self) -> None:
        """What is kept stays in the server."""
        await self._server.close()

    async def _run(self, script: str, name: str, arguments: list[str | bytes | int]) -> Any:
        try:
            return await self._server.run(script, [self._prefix + name], arguments, may_repeat=True)
        except RedisError as error:
            raise refused(error) from error
