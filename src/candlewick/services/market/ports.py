"""What the market service wants besides the common ports."""

from typing import Protocol

from candlewick.contracts.market import Instrument
from candlewick.ports.runtime import UnitOfWork


class SymbolTable(Protocol):
    """The followed symbols, kept."""

    async def add(self, tx: UnitOfWork, instrument: Instrument, now_ns: int) -> bool:
        """False when it was there already."""
        ...

    async def remove(self, tx: UnitOfWork, exchange: str, symbol: str) -> bool:
        """False when it was not there."""
        ...
