"""The market service's tables: the followed symbols, and what venues list."""

from collections.abc import Sequence

import msgspec

from candlewick.contracts.market import Instrument
from candlewick.ports.database import Transaction
from candlewick.ports.runtime import UnitOfWork
from candlewick.services.market.ports import Turn

_FIELDS = (
    "exchange", "symbol", "venue_symbol", "base", "quote", "price_tick", "size_step", "price_scale", "size_scale",
    "status",
)  # fmt: skip
_COLUMNS = ", ".join(_FIELDS)
_CHANGING = ", ".join(f"{name} = :{name}" for name in _FIELDS if name not in ("exchange", "symbol"))
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Instrument]).decode


class SqlSymbolTable:
    """ports.SymbolTable on the service's database."""

    async def followed(self, tx: Transaction | UnitOfWork, exchange: str) -> list[Instrument]:
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM symbols WHERE exchange = :exchange ORDER BY added_at, symbol",
            {"exchange": exchange},
        )
        return [Instrument(*row) for row in rows]

    async def add(self, tx: UnitOfWork, instrument: Instrument, now_ns: int) -> bool:
        places = ", ".join(f":{name}" for name in _FIELDS)
        changed = await tx.execute(
            f"INSERT INTO symbols ({_COLUMNS}, added_at) VALUES ({places}, :added_at) "
            "ON CONFLICT (exchange, symbol) DO NOTHING",
            {**_values(instrument), "added_at": now_ns},
        )
        return changed > 0

    async def update(self, tx: UnitOfWork, instrument: Instrument) -> bool:
        changed = await tx.execute(
            f"UPDATE symbols SET {_CHANGING} WHERE exchange = :exchange AND symbol = :symbol", _values(instrument)
        )
        return changed > 0

    async def remove(self, tx: UnitOfWork, exchange: str, symbol: str) -> bool:
        changed = await tx.execute(
            "DELETE FROM symbols WHERE exchange = :exchange AND symbol = :symbol",
            {"exchange": exchange, "symbol": symbol},
        )
        return changed > 0


def _values(instrument: Instrument) -> dict[str, str | int]:
    return {name: getattr(instrument, name) for name in _FIELDS}


class SqlListingTable:
    """ports.ListingTable on the service's database."""

    async def take_turn(
        self, tx: UnitOfWork, exchange: str, now_ns: int, again_ns: int, every_ns: int, *, at_once: bool = False
    ) -> Turn:
        await tx.execute(
            "INSERT INTO listings (exchange, turn, due_at, looked_at) VALUES (:exchange, 0, :now, 0) "
            "ON CONFLICT (exchange) DO NOTHING",
            {"exchange": exchange, "now": now_ns},
        )
        if at_once:
            is_due, until_ns = "(looked_at <= :until OR looked_at > :now)", now_ns - again_ns
        else:
            is_due, until_ns = "(due_at <= :now OR due_at > :until)", now_ns + every_ns
        taken = await tx.execute(
            "UPDATE listings SET turn = turn + 1, due_at = :again, looked_at = :now "
            f"WHERE exchange = :exchange AND {is_due}",
            {"exchange": exchange, "now": now_ns, "again": now_ns + again_ns, "until": until_ns},
        )
        row = await tx.fetch_one("SELECT turn, due_at FROM listings WHERE exchange = :exchange", {"exchange": exchange})
        assert row is not None
        return Turn(row[0] if taken else None, row[1] - now_ns)

    async def keep(self, tx: UnitOfWork, exchange: str, turn: int, listed: Sequence[Instrument], due_ns: int) -> bool:
        changed = await tx.execute(
            "UPDATE listings SET instruments = :instruments, due_at = :due WHERE exchange = :exchange AND turn = :turn",
            {"exchange": exchange, "turn": turn, "instruments": _pack(listed), "due": due_ns},
        )
        return changed > 0

    async def last(self, tx: Transaction | UnitOfWork, exchange: str) -> list[Instrument] | None:
        row = await tx.fetch_one("SELECT instruments FROM listings WHERE exchange = :exchange", {"exchange": exchange})
        return None if row is None or row[0] is None else _unpack(row[0])
