"""The followed symbols: the market service's only table."""

from candlewick.contracts.market import Instrument
from candlewick.ports.database import Transaction
from candlewick.ports.runtime import UnitOfWork

_FIELDS = (
    "exchange", "symbol", "venue_symbol", "base", "quote", "price_tick", "size_step", "price_scale", "size_scale",
    "status",
)  # fmt: skip
_COLUMNS = ", ".join(_FIELDS)


class SqlSymbolTable:
    """ports.SymbolTable on the service's database."""

    async def all(self, tx: Transaction, exchange: str) -> list[Instrument]:
        """The followed symbols of one exchange, in the order in which they were added."""
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM symbols WHERE exchange = :exchange ORDER BY added_at, symbol",
            {"exchange": exchange},
        )
        return [Instrument(*row) for row in rows]

    async def add(self, tx: UnitOfWork, instrument: Instrument, now_ns: int) -> bool:
        values = {name: getattr(instrument, name) for name in _FIELDS}
        places = ", ".join(f":{name}" for name in _FIELDS)
        changed = await tx.execute(
            f"INSERT INTO symbols ({_COLUMNS}, added_at) VALUES ({places}, :added_at) "
            "ON CONFLICT (exchange, symbol) DO NOTHING",
            {**values, "added_at": now_ns},
        )
        return changed > 0

    async def remove(self, tx: UnitOfWork, exchange: str, symbol: str) -> bool:
        changed = await tx.execute(
            "DELETE FROM symbols WHERE exchange = :exchange AND symbol = :symbol",
            {"exchange": exchange, "symbol": symbol},
        )
        return changed > 0
