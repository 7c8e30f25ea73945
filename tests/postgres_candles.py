"""What tests ask of a candle store on PostgreSQL behind its back."""

from typing import Any

import asyncpg

from candlewick.contracts.stream import CandleColumns
from candlewick.testing.conformance.candles import DAY_S, START_S, candles, rows
from tests.postgres import url_of

EVER = 1 << 62
DAY_NS = DAY_S * 10**9
START_NS = START_S * 10**9


def first(n: int) -> CandleColumns:
    """The first n of the same hundred candles."""
    return rows(candles(100), slice(0, n))


async def ask(name: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url_of(name))
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def held_is_true(name: str, timeframe_s: int = 60) -> None:
    """What is counted beside the rows is what there is."""
    span = DAY_NS if timeframe_s <= 60 else 0
    counted = await ask(
        name,
        f"SELECT series, open_time / {span} * {span}, count(*), min(open_time), max(open_time) "
        f"FROM candles.candle_{timeframe_s} GROUP BY 1, 2 ORDER BY 1, 2",
    )
    told = "SELECT h.* FROM candles.held h JOIN candles.series s ON s.id = series "
    assert counted == await ask(name, told + f"WHERE timeframe_s = {timeframe_s} ORDER BY 1, 2")
