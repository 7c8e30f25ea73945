"""Writing records, alone or together with positions."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from candlewick.adapters._sqlite.logfile import Append, LogFile, Positions, WriteRequest, position_of
from candlewick.adapters.log.sqlite.bridge import Bridge
from candlewick.adapters.log.sqlite.consumer import SqliteConsumer
from candlewick.kernel.errors import Rejected
from candlewick.ports.log import Consumer, LogUnavailable, NewRecord, NotShared, Position, Transaction


class SqliteTransaction:
    """Gathers in memory; the file hears of it at the commit only, so an open one hides nothing and holds no lock."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._appends: list[Append] = []
        self._positions: dict[SqliteConsumer, dict[int, int]] = {}
        self._is_open = True

    def send(self, records: Sequence[NewRecord]) -> None:
        """Raises RecordTooLarge, UnknownTopic at once; none of ``records`` is in the transaction then."""
        self._ensure_open()
        appends = appends_of(self._file, records)
        for _, key, header, value in appends:
            self._file.check_size(key, header, value)
        self._appends += appends

    def advance(self, consumer: Consumer, positions: Mapping[tuple[str, int], Position]) -> None:
        """Raises NotShared for a broadcast consumer, Fenced for partitions it no longer has."""
        self._ensure_open()
        if not isinstance(consumer, SqliteConsumer):
            raise NotShared(f"the consumer must be one of this log, was {type(consumer).__name__!r}")
        self._positions.setdefault(consumer, {}).update(consumer.offsets_of(positions))

    def _ensure_open(self) -> None:
        if not self._is_open:
            raise Rejected("the transaction has ended", hint="Begin a new one")

    def request(self, producer: tuple[str, int]) -> WriteRequest | None:
        """End it; what is to be committed, None when nothing is."""
        self._is_open = False
        if not self._appends and not self._positions:
            return None
        return WriteRequest(
            appends=self._appends,
            positions=[Positions(c.group_name, offsets, c.instance) for c, offsets in self._positions.items()],
            producer=producer,
        )

    def abort(self) -> None:
        """End it; nothing of it was ever written."""
        self._is_open = False


class SqliteProducer:
    """Records in order of the calls to ``send``."""

    def __init__(self, file: LogFile, bridge: Bridge, seat: tuple[str, int] | None) -> None:
        """``seat``: transactional id and its epoch, which a later producer of that id raises."""
        self._file = file
        self._bridge = bridge
        self._seat = seat
        self._is_closed = False
        self._is_in_transaction = False

    async def send(self, records: Sequence[NewRecord]) -> list[Position]:
        self._ensure_open()
        if not records:
            return []
        request = WriteRequest(appends=appends_of(self._file, records), producer=self._seat)
        written = await self._bridge.write(request)
        return [position_of(offset) for offset in range(written.first, written.first + len(records))]

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        self._ensure_open()
        if self._seat is None:
            raise Rejected("the producer has no transactional id", hint="Make it with transactional_id")
        if self._is_in_transaction:
            raise Rejected(
                "the producer is in a transaction", hint="End it before the next; one producer has one at a time"
            )
        transaction = SqliteTransaction(self._file)
        self._is_in_transaction = True
        try:
            yield transaction
            request = transaction.request(self._seat)
            if request is not None:
                await self._bridge.write(request)
        finally:
            transaction.abort()
            self._is_in_transaction = False

    async def close(self) -> None:
        self._is_closed = True

    def _ensure_open(self) -> None:
        if self._is_closed:
            raise LogUnavailable("the producer is closed")


def appends_of(file: LogFile, records: Sequence[NewRecord]) -> list[Append]:
    """Records as the file takes them. Raises UnknownTopic."""
    number = file.number
    return [(number(record.topic, record.key), record.key, record.header, record.value) for record in records]
