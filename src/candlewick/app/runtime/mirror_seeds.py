"""Where windows are seeded from: the candles that the history service stores."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from candlewick.app.runtime.mirror_windows import Seed, rows_of
from candlewick.contracts import codec
from candlewick.contracts.stream import CandleBatch, CandleColumns
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
    """Seeds by one question a timeframe, all at once; what they include is what every answer does."""

    async def ask(path: str, most: int) -> tuple[CandleColumns, dict[Place, Position]]:
        status, headers, body = await history.get(path, {"limit": str(most)})
        if status != 200:
            raise SeedUnavailable(f"history answered {status} for {path}")
        message = codec.decode(CandleBatch.__name__, body)
        assert isinstance(message, CandleBatch)
        return message.columns_v1, _positions(headers.get(_POSITIONS, "[]"))

    async def seed(exchange: str, symbol: str, most: int) -> tuple[Mapping[int, Rows], Mapping[Place, Position]]:
        paths = [f"/history/candles/{exchange}/{symbol}/{name}" for name in NAMES.values()]
        answers = await asyncio.gather(*(ask(path, most) for path in paths))
        rows: dict[int, Rows] = {}
        for seconds, (columns, _) in zip(NAMES, answers, strict=True):
            rows |= {one: some for one, some in rows_of(columns, most).items() if one == seconds}
        (_, first), *others = answers
        return rows, {
            place: min(position, *(at[place] for _, at in others))
            for place, position in first.items()
            if all(place in at for _, at in others)
        }

    return seed


def _positions(text: str) -> dict[Place, Position]:
    rows = msgspec.json.decode(text, type=list[tuple[str, int, int, int]])
    return {(topic, partition): Position(epoch, offset) for topic, partition, epoch, offset in rows}
