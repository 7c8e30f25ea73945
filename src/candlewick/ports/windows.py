"""Sliding windows: the newest final candles of every symbol and timeframe, shared by whoever starts cold.

A window holds the newest ``capacity`` candles by open time, one row each: of two rows of one candle the one that ranks
higher stands [8], whichever came first. Rows are arrays of one length, by field as in ``quant.windows.ring.FIELDS``,
oldest first. A symbol's windows of all timeframes change in one step, and know the log positions they include [13]:
reading on behind these misses nothing. They vanish together, at the latest ``ttl_s`` after their last change; what
vanished is seeded again. A store of windows that cannot be reached raises CacheUnavailable and costs only time.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from numpy.typing import NDArray

from candlewick.ports.log import Position

Rows = Mapping[str, NDArray[Any]]
Place = tuple[str, int]
"""(topic, partition)"""


class Window(msgspec.Struct, frozen=True):
    """Rows of one timeframe, and where in the log reading goes on behind them. The arrays are nobody else's."""

    rows: Rows
    at: Mapping[Place, Position]


class Windows(Protocol):
    @property
    def capacity(self) -> int: ...

    async def seed(self, exchange: str, symbol: str, rows: Mapping[int, Rows], at: Mapping[Place, Position]) -> None:
        """Begin a symbol's windows, or bring them up to ``at``. ``rows`` by timeframe in seconds: of each the newest
        ``capacity`` that there are, all that the log says up to ``at`` included."""
        ...

    async def apply(
        self, exchange: str, symbol: str, rows: Mapping[int, Rows], place: Place, *, after: Position, at: Position
    ) -> bool:
        """Take the final rows of the record ``at``, where everything of ``place`` up to ``after`` was taken before.

        False, and nothing is changed, where the windows are not there or do not reach ``after``: seed them. Rows may
        come again and from several writers.
        """
        ...

    async def last(self, exchange: str, symbol: str, seconds: int, n: int) -> Window | None:
        """The newest ``n`` rows, fewer where there are not so many; None where the symbol's windows are not kept."""
        ...

    async def forget(self, exchange: str, symbol: str) -> None:
        """No longer keep a symbol's windows."""
        ...

    async def close(self) -> None: ...
