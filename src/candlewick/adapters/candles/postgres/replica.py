"""Whether a read replica is fresh enough, proven without comparing two machines' clocks.

The primary is asked how far its log is, the replica how far it has replayed; with the times of asking kept, what the
replica has replayed was the whole truth at a known instant of our own clock. A standby that lost its primary would
report no lag at all by its own figures.
"""

import asyncio
from collections import deque

from candlewick.adapters._postgres.connections import Connections
from candlewick.kernel.errors import Retryable

_PRIMARY = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"
_REPLICA = "SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint"
_LOOK_EVERY_S = 0.25
# How often it is looked at for the sake of this process's own writes.
_LOOK_AGAIN_S = 0.02
_TRY_AGAIN_S = 1.0


class Replica:
    """Times are the event loop's, in seconds."""

    def __init__(self, primary: Connections, replica: Connections, max_staleness_s: float) -> None:
        self._primary = primary
        self.connections = replica
        self._max_staleness_s = max_staleness_s
        self._asked: deque[tuple[float, int]] = deque(maxlen=256)
        self._complete_s = float("-inf")
        self._looked_s = float("-inf")
        self._down_until_s = float("-inf")
        self._wrote_s = float("-inf")
        self._turn = asyncio.Lock()

    def wrote(self) -> None:
        """This process has just committed: only a replica that has seen it is fresh for it."""
        self._wrote_s = asyncio.get_running_loop().time()

    def failed(self) -> None:
        """A read on it failed; it is left alone for a moment."""
        self._down_until_s = asyncio.get_running_loop().time() + _TRY_AGAIN_S

    async def is_fresh(self) -> bool:
        """True if what it shows was the whole truth at most ``max_staleness_s`` ago, and holds our own writes."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until_s:
            return False
        every_s = _LOOK_AGAIN_S if self._complete_s < self._wrote_s else _LOOK_EVERY_S
        if loop.time() - self._looked_s > every_s:
            async with self._turn:
                if loop.time() - self._looked_s > every_s:
                    await self._look()
        return self._complete_s >= self._wrote_s and loop.time() - self._complete_s <= self._max_staleness_s

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            now = loop.time()
            ((at,),) = await self._primary.once(_PRIMARY)
            self._asked.append((now, at))
            await self.connections.open()
            ((replayed,),) = await self.connections.once(_REPLICA)
        except Retryable:
            self.failed()
            return
        finally:
            self._looked_s = loop.time()
        if replayed is None:
            # A server that replays nothing is no standby; its tables are somebody else's.
            self.failed()
            return
        while self._asked and self._asked[0][1] <= replayed:
            self._complete_s = self._asked.popleft()[0]

    async def close(self) -> None:
        await self.connections.close()
