"""State of sessions that any process may go on with: whoever saves names the version it began from.

A save on any other version than the newest is refused and changes nothing, so of two processes that go on with one
session at once the later one learns of it instead of undoing the other. A session not saved, touched or loaded with
``touch`` for ``ttl_s`` is gone. State that must survive the loss of the server does not belong here.
"""

from typing import Protocol

import msgspec

from candlewick.kernel.errors import Conflict


class SessionMoved(Conflict):
    """Another process has saved the session meanwhile, or it is gone."""

    code = "SESSION_MOVED"


class Session(msgspec.Struct, frozen=True):
    """``version`` counts saves, from 1."""

    state: bytes
    version: int


class Sessions(Protocol):
    async def load(self, name: str, *, touch: bool = False) -> Session | None:
        """None where there is none. ``touch`` begins its time to live anew."""
        ...

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        """Follow ``version``, 0 for a new session; gives the new version. Raises SessionMoved, BadTtl."""
        ...

    async def end(self, name: str) -> bool:
        """True if there was one."""
        ...

    async def close(self) -> None: ...
