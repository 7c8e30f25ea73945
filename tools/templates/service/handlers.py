"""Use cases of the $name service; each is one transaction, and the runtime commits it."""

from candlewick.contracts.stream import CandleBatch
from candlewick.ports.runtime import Event, UnitOfWork
from candlewick.services.$name.domain import is_newer, newest_close
from candlewick.services.$name.ports import Closes


async def on_candles(event: Event, tx: UnitOfWork, *, closes: Closes, timeframe_s: int) -> None:
    """Keep the newest final close of the batch, unless a newer one is known."""
    assert isinstance(event.message, CandleBatch)
    seen = newest_close(event.message, timeframe_s)
    if seen is not None and is_newer(await closes.get(tx, seen.exchange, seen.symbol), seen):
        await closes.put(tx, seen)
