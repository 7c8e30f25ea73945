"""A history service's stores with something in every kind of table, for tests of backups on either profile."""

from typing import Any

from candlewick.app.registry import load
from candlewick.app.runtime import messaging, outbox
from candlewick.app.runtime.backups.archive import Archive
from candlewick.testing.conformance.candles import candles

SCHEMA = load("history").schema


class Died(BaseException):
    pass


async def fill(archive: Archive, gaps: int = 50, bars: int = 300) -> None:
    database, store = archive.database, archive.store
    assert database is not None
    assert store is not None
    assert SCHEMA is not None
    await database.migrate(SCHEMA)
    async with database.transaction() as tx:
        for statement in (*messaging.INBOX_TABLES, *outbox.TABLES):
            await tx.execute(statement)
        await tx.execute_many(
            "INSERT INTO gaps VALUES (:id, 'binance', 'BTC-USDT', 1, 2, 'é', 'open', 9007199254740993, '', 1, NULL, "
            "0, 0, 0, 0)",
            [{"id": f"gap {at}"} for at in range(gaps)],
        )
        await tx.execute("INSERT INTO pending SELECT id, 60, 1, 2, 3 FROM gaps")
        await tx.execute("INSERT INTO inbox_position VALUES ('collector.gaps', 3, 1, 500)")
        await tx.execute("INSERT INTO outbox VALUES (7, 'history.gaps', 'k', :raw, NULL, 5)", {"raw": b"\x00\xff"})
        await tx.execute("INSERT INTO outbox_sequence VALUES ('history.gaps', 0, 41)")
    for symbol in ("BTC-USDT", "ETH-USDT"):
        await store.append("binance", symbol, candles(bars))


async def rows_of(archive: Archive, table: str) -> list[Any]:
    assert archive.database is not None
    async with archive.database.reading() as tx:
        return await tx.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
