"""Where windows are seeded from: the candles that the history service stores."""

from collections.abc import Mapping
from typing import Final

import msgspec

from candlewick.app.runtime.mirror_windows import Seed, rows_of
from candlewick.contracts import codec
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.errors import Retryable
from candlewick.ports.log import Position
from candlewick.ports.runtime import ServiceClient
from candlewick.ports.windows import Place, Rows

_POSITIONS: Final = "x-log-positions"


class SeedUnavailable(Retryable):
    """The history service does not give its candles now."""

    code = "SEED_UNAVAILABLE"


def from_history(history: ServiceClient) -> Seed:
    """Seeds by one question a timeframe; what they include is what every answer does."""

    async def seed(exchange: str, symbol: str, most: int) -> tuple[Mapping[int, Rows], Mapping[Place, Position]]:
        rows: dict[int, Rows] = {}
        at: dict[Place, Position] | None = None
        for seconds, name in NAMES.items():
            path = f"/history/candles/{exchange}/{symbol}/{name}"
            status, headers, body = await history.get(path, {"limit": str(most)})
            if status != 200:
                raise SeedUnavailable(f"history answered {status} for {path}")
            message = codec.decode(CandleBatch.__name__, body)
            assert isinstance(message, CandleBatch)
            rows |= {one: some for one, some in rows_of(message.columns_v1, most).items() if one == seconds}
            there = _positions(headers.get(_POSITIONS, "[]"))
            known = there if at is None else at
            at = {place: min(position, known[place]) for place, position in there.items() if place in known}
        return rows, at or {}

    return seed


def _positions(text: str) -> dict[Place, Position]:
    rows = msgspec.json.decode(text, type=list[tuple[str, int, int, int]])
    return {(topic, partition): Position(epoch, offset) for topic, partition, epoch, offset in rows}
