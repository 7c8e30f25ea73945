"""Where candles are kept and read as arrays [15].

The identity of a stored row is (exchange, symbol, timeframe, open_time, revision, origin). Rows are append-only: a
revision never changes or replaces what was known before, and appending the same row again changes nothing. A read
gives one row an open time, the best by ``quant.candles.merge`` (not gapped first, then revision, then origin), or with
``as_of_ns`` the best among those with ``known_at`` <= ``as_of_ns``. Open (not final) rows are refused. Rows come back
sorted by open time. After ``append`` returned a killed process loses nothing. Folding moves rows from the tail into
day blobs without changing what any read gives, even when killed in the middle.
"""

from typing import Protocol

import msgspec

from candlewick.contracts.stream import CandleColumns
from candlewick.kernel.errors import Corrupt, Rejected


class NotFinal(Rejected):
    """An open candle was handed to the store; only final ones are kept."""

    code = "NOT_FINAL"


class BadCandles(Rejected):
    """Columns of unequal length, or a number no candle can have."""

    code = "BAD_CANDLES"


class CandlesCorrupt(Corrupt):
    """Stored candles fail their checksum. The message names series and day; other days stay readable."""

    code = "CANDLES_CORRUPT"


class SeriesInfo(msgspec.Struct, frozen=True):
    """What is stored of one series; times are open times, ns."""

    exchange: str
    symbol: str
    timeframe_s: int
    first_ns: int
    last_ns: int
    rows: int
    bytes: int


class CandleStore(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, exchange: str, symbol: str, rows: CandleColumns) -> int:
        """Keep final rows of any timeframes of one symbol, all or nothing; returns how many were new."""
        ...

    async def append_many(
        self, batches: list[tuple[str, str, CandleColumns]], *, mark: dict[str, int] | None = None
    ) -> int:
        """As ``append`` for several symbols in one transaction, together with inbox marks (name -> number) [14]."""
        ...

    async def marks(self) -> dict[str, int]:
        """The inbox marks committed with the rows."""
        ...

    async def range(
        self,
        exchange: str,
        symbol: str,
        timeframe_s: int,
        start_ns: int,
        end_ns: int,
        *,
        as_of_ns: int | None = None,
        limit: int | None = None,
    ) -> CandleColumns:
        """Open times in [start_ns, end_ns), oldest first; at most ``limit`` of the oldest."""
        ...

    async def last(
        self, exchange: str, symbol: str, timeframe_s: int, n: int, *, before_ns: int | None = None
    ) -> CandleColumns:
        """The newest ``n`` rows (open time < ``before_ns`` if given), oldest first."""
        ...

    async def drop_before(self, timeframe_s: int, before_ns: int) -> int:
        """Retention: forget rows of a timeframe older than ``before_ns``; returns how many open times left."""
        ...

    async def fold(self, now_ns: int) -> int:
        """Move what lies in finished days from the tail to day blobs; returns how many rows moved."""
        ...

    async def series(self) -> list[SeriesInfo]: ...

    async def check(self) -> str | None: ...
