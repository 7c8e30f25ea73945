"""``ports.sessions`` in this process."""

from dataclasses import dataclass

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.cache import BadTtl
from candlewick.ports.sessions import Session, SessionMoved


@dataclass(slots=True)
class _Kept:
    session: Session
    ttl_ns: int
    until_ns: int


class MemorySessions:
    """One event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def load(self, name: str, *, touch: bool = False) -> Session | None:
        kept = self._living(name)
        if kept is None:
            return None
        if touch:
            kept.until_ns = self._clock.monotonic_ns() + kept.ttl_ns
        return kept.session

    async def save(self, name: str, state: bytes, *, version: int, ttl_s: float) -> int:
        if not ttl_s > 0:
            raise BadTtl(f"a time to live must be positive seconds, was {ttl_s!r}")
        now_ns = self._clock.monotonic_ns()
        for other in [one for one, kept in self._kept.items() if kept.until_ns <= now_ns]:
            del self._kept[other]
        known = self._kept[name].session.version if name in self._kept else 0
        if known != version:
            where = f"it is at {known} now" if known else "it is gone"
            raise SessionMoved(f"session {name} must be saved on its newest version, {where}, was {version!r}")
        ttl_ns = int(ttl_s * NS_PER_SECOND)
        self._kept[name] = _Kept(Session(bytes(state), version + 1), ttl_ns, now_ns + ttl_ns)
        return version + 1

    async def end(self, name: str) -> bool:
        there = self._living(name) is not None
        self._kept.pop(name, None)
        return there

    async def close(self) -> None:
        self._kept.clear()

    def _living(self, name: str) -> _Kept | None:
        kept = self._kept.get(name)
        return kept if kept is not None and kept.until_ns > self._clock.monotonic_ns() else None
