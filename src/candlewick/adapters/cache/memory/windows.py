"""``ports.windows`` in this process: the rings of ``quant.windows``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.log import Position
from candlewick.ports.windows import Place, Rows, Window
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.ring import FIELDS, Ring


@dataclass(slots=True)
class _Symbol:
    rings: dict[int, Ring] = field(default_factory=dict)
    at: dict[Place, Position] = field(default_factory=dict)
    until_ns: int = 0


class MemoryWindows:
    """One event loop. What is read is copied out of the rings, which go on moving."""

    def __init__(self, clock: Clock, *, capacity: int = 100, ttl_s: float = 86_400.0) -> None:
        self.capacity = capacity
        self._clock = clock
        self._ttl_ns = int(ttl_s * NS_PER_SECOND)
        self._symbols: dict[tuple[str, str], _Symbol] = {}

    async def seed(self, exchange: str, symbol: str, rows: Mapping[int, Rows], at: Mapping[Place, Position]) -> None:
        kept = self._kept(exchange, symbol) or _Symbol()
        self._symbols[exchange, symbol] = kept
        self._merge(kept, rows)
        for place, position in at.items():
            kept.at[place] = max(position, kept.at.get(place, position))

    async def apply(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], place: Place, *, after: Position, at: Position
    ) -> bool:
        kept = self._kept(exchange, symbol)
        if kept is None or place not in kept.at or kept.at[place] < after:
            return False
        self._merge(kept, rows)
        kept.at[place] = max(at, kept.at[place])
        return True

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        kept = self._kept(exchange, symbol)
        if kept is None:
            return None
        rows = kept.rings.get(seconds, Ring(1)).view(max(0, n))
        return Window({name: array.copy() for name, array in rows.items()}, dict(kept.at))

    async def forget(self, exchange: str, symbol: str) -> None:
        self._symbols.pop((exchange, symbol), None)

    async def close(self) -> None:
        self._symbols.clear()

    def _kept(self, exchange: str, symbol: str) -> _Symbol | None:
        kept = self._symbols.get((exchange, symbol))
        if kept is not None and kept.until_ns <= self._clock.monotonic_ns():
            del self._symbols[exchange, symbol]
            return None
        return kept

    def _merge(self, kept: _Symbol, rows: Mapping[int, Rows]) -> None:
        for seconds, some in rows.items():
            ring = kept.rings.setdefault(seconds, Ring(self.capacity))
            ring.apply(CandleArrays(**{name: some[name] for name, _ in FIELDS}))
        kept.until_ns = self._clock.monotonic_ns() + self._ttl_ns
