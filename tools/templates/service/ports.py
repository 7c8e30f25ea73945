"""What the $name service wants of the world."""

from collections.abc import Mapping
from typing import Protocol

from candlewick.ports.database import Row, Value
from candlewick.services.$name.domain import Close


class Reads(Protocol):
    """A transaction that answers."""

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None: ...


class Writes(Protocol):
    """A transaction that changes rows."""

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int: ...


class Closes(Protocol):
    """Where the newest closes are kept."""

    async def get(self, tx: Reads, exchange: str, symbol: str) -> Close | None: ...

    async def put(self, tx: Writes, close: Close) -> None: ...
