"""What the market service wants besides the common ports."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from candlewick.contracts.market import Instrument
from candlewick.ports.runtime import UnitOfWork


class SymbolTable(Protocol):
    """The followed symbols, kept."""

    async def followed(self, tx: UnitOfWork, exchange: str) -> list[Instrument]:
        """Of one exchange, in the order in which they were added."""
        ...

    async def add(self, tx: UnitOfWork, instrument: Instrument, now_ns: int) -> bool:
        """False when it was there already."""
        ...

    async def update(self, tx: UnitOfWork, instrument: Instrument) -> bool:
        """False when it is not there."""
        ...

    async def remove(self, tx: UnitOfWork, exchange: str, symbol: str) -> bool:
        """False when it was not there."""
        ...


class Turn(msgspec.Struct, frozen=True):
    """The right to ask a venue, until another process takes the next turn; or how long nobody has to."""

    number: int | None
    wait_ns: int


class ListingTable(Protocol):
    """What venues list, and which process asks them."""

    async def take_turn(
        self, tx: UnitOfWork, exchange: str, now_ns: int, again_ns: int, every_ns: int, *, at_once: bool = False
    ) -> Turn:
        """One process at a time gets a number. The next turn comes after ``again_ns``, unless ``keep`` puts it off; a
        turn further away than ``every_ns`` was planned by a clock that was wrong, and is due. ``at_once`` does not wait
        for what ``keep`` planned, only for ``again_ns`` since a turn began."""
        ...

    async def keep(self, tx: UnitOfWork, exchange: str, turn: int, listed: Sequence[Instrument], due_ns: int) -> bool:
        """What the venue listed, asked in this turn. False, and nothing is kept, when another turn has begun."""
        ...

    async def last(self, tx: UnitOfWork, exchange: str) -> list[Instrument] | None:
        """What the venue listed when it was last asked; None when it never was."""
        ...
