"""Candles into the log as history's own, and waiting until the store has them."""

from typing import Final

import numpy as np

from candlewick.contracts.history import CandlesFetched, CandlesRepaired
from candlewick.contracts.stream import CandleColumns
from candlewick.contracts.topics import HISTORY_CANDLES
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.ports.runtime import Context
from candlewick.services.history.domain import rows
from candlewick.services.history.errors import NotStoredYet

PAGE: Final = 1000
_STORED_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.02


async def publish_fetched(context: Context, exchange: str, symbol: str, columns: CandleColumns) -> None:
    """Candles as the venue serves them, a page a message."""
    await _publish(context, [CandlesFetched(exchange, symbol, page) for page in rows.pieces(columns, PAGE)])


async def publish_repaired(context: Context, exchange: str, symbol: str, gap_id: str, columns: CandleColumns) -> None:
    """Candles that close a gap, a page a message."""
    await _publish(context, [CandlesRepaired(exchange, symbol, gap_id, page) for page in rows.pieces(columns, PAGE)])


async def _publish(context: Context, messages: list[CandlesFetched] | list[CandlesRepaired]) -> None:
    now = context.clock.now_ns()
    sent = []
    for message in messages:
        last = len(message.columns_v1.open_time) - 1
        close = int(message.columns_v1.open_time[last]) + int(message.columns_v1.timeframe[last]) * NS_PER_SECOND
        sent.append((message, close, now))
    if sent:
        await context.messaging.publish(HISTORY_CANDLES.name, sent)


async def stored(context: Context, exchange: str, symbol: str, columns: CandleColumns) -> None:
    """Returns when the store gives each of these rows, or a better one of its open time. Raises NotStoredYet."""
    if not len(columns.open_time):
        return
    seconds = int(columns.timeframe[0])
    first, last = int(columns.open_time[0]), int(columns.open_time[-1])
    until = context.clock.monotonic_ns() + int(_STORED_WITHIN_S * NS_PER_SECOND)
    while True:
        found = await context.candles.range(exchange, symbol, seconds, first, last + 1)
        _, here, there = np.intersect1d(columns.open_time, found.open_time, return_indices=True)
        whole = len(here) == len(columns.open_time)
        if whole and (~rows.is_gapped(found)[there] & (found.revision[there] >= columns.revision[here])).all():
            return
        if context.clock.monotonic_ns() > until:
            raise NotStoredYet(f"{len(columns.open_time)} candles of {exchange} {symbol} are not in the store yet")
        await context.clock.sleep(_LOOK_EVERY_S)
