"""Writes an import's messages to the log."""

from collections.abc import Sequence

from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.collector import Progress, TradeBatch
from candlewick.contracts.history import CandlesFetched
from candlewick.contracts.topics import HISTORY_CANDLES, RAW_MARKET_DATA
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.ids import IdSource
from candlewick.ports.log import EventLog, NewRecord, Producer


class Publisher:
    """An import stands in for the producer that the catalogue names: trades and progress are written as the collector
    would have written them had it been connected at the time, candles as history does that fetched them. The topic's
    one producer stays one to whoever reads it."""

    def __init__(self, log: EventLog, ids: IdSource, clock: Clock) -> None:
        self._log, self._ids, self._clock = log, ids, clock
        self._producer: Producer | None = None

    async def trades(self, messages: Sequence[TradeBatch | Progress]) -> None:
        """Returns once the log keeps them."""
        await self._send(
            RAW_MARKET_DATA.name,
            RAW_MARKET_DATA.producer,
            [(m, m.complete_through if isinstance(m, Progress) else int(m.columns_v1.ts_event[-1])) for m in messages],
        )

    async def candles(self, messages: Sequence[CandlesFetched]) -> None:
        """Returns once the log keeps them."""
        closes = [
            (m, int(m.columns_v1.open_time[-1]) + int(m.columns_v1.timeframe[-1]) * NS_PER_SECOND) for m in messages
        ]
        await self._send(HISTORY_CANDLES.name, HISTORY_CANDLES.producer, closes)

    async def _send(self, topic: str, producer: str, messages: Sequence[tuple[Message, int]]) -> None:
        if not messages:
            return
        if self._producer is None:
            self._producer = await self._log.producer("import")
        now = self._clock.now_ns()
        records = []
        for message, ts_event in messages:
            envelope = Envelope(
                id=self._ids.new(),
                type=type(message).__name__,
                ts_event=ts_event,
                ts_recv=now,
                key=message.key,
                producer=producer,
                schema_version=message.VERSION,
            )
            header = codec.encode_envelope(envelope)
            records.append(NewRecord(topic, message.key, codec.encode(message), header, ts_event))
        await self._producer.send(records)

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.close()
