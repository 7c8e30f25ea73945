"""SQL of the $name service, and only here."""

from candlewick.ports.database import Row
from candlewick.services.$name.domain import Close
from candlewick.services.$name.ports import Reads, Writes


class SqlCloses:
    """The newest closes in the table ``closes``."""

    async def get(self, tx: Reads, exchange: str, symbol: str) -> Close | None:
        row: Row | None = await tx.fetch_one(
            "SELECT exchange, symbol, open_time, close FROM closes WHERE exchange = :exchange AND symbol = :symbol",
            {"exchange": exchange, "symbol": symbol},
        )
        return None if row is None else Close(*row)

    async def put(self, tx: Writes, close: Close) -> None:
        await tx.execute(
            "INSERT INTO closes (exchange, symbol, open_time, close) VALUES (:exchange, :symbol, :open_time, :close) "
            "ON CONFLICT (exchange, symbol) DO UPDATE SET open_time = excluded.open_time, close = excluded.close",
            {"exchange": close.exchange, "symbol": close.symbol, "open_time": close.open_time, "close": close.close},
        )
