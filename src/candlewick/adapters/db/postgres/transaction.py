"""One unit of work on one connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from candlewick.adapters._postgres.errors import translated
from candlewick.adapters._postgres.statements import bound, bound_many, refuse_control
from candlewick.ports.database import DatabaseUnavailable, Row, StatementRefused, Value

T = TypeVar("T")

_CHANGING = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})


class PostgresTransaction:
    """A statement that fails ends it: what follows is refused."""

    def __init__(self, connection: Any, where: str) -> None:
        self._connection = connection
        self._where = where
        self._is_over = False
        self._turn = asyncio.Lock()
        self.failure: BaseException | None = None

    async def execute(self, sql: str, params: Mapping[str, Value] = {}) -> int:
        async def statement() -> int:
            text, args = bound(sql, params)
            if args:
                return _changed(await self._connection.execute(text, *args))
            # Without arguments the driver would take several statements at once.
            prepared = await self._connection.prepare(text)
            await prepared.fetch()
            return _changed(prepared.get_statusmsg())

        return await self._do(sql, statement)

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        async def statement() -> None:
            if not params:
                return
            made = bound_many(sql, params)
            if made is not None:
                await self._connection.executemany(*made)
                return
            for row in params:
                text, args = bound(sql, row)
                await self._connection.execute(text, *args)

        await self._do(sql, statement)

    async def fetch(self, sql: str, params: Mapping[str, Value] = {}) -> list[Row]:
        async def statement() -> list[Row]:
            text, args = bound(sql, params)
            return [tuple(row) for row in await self._connection.fetch(text, *args)]

        return await self._do(sql, statement)

    async def fetch_one(self, sql: str, params: Mapping[str, Value] = {}) -> Row | None:
        async def statement() -> Row | None:
            text, args = bound(sql, params)
            row = await self._connection.fetchrow(text, *args)
            return None if row is None else tuple(row)

        return await self._do(sql, statement)

    def end(self) -> None:
        """Nothing more may be asked of it."""
        self._is_over = True

    async def _do(self, sql: str, statement: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            if self._is_over:
                raise StatementRefused("the transaction is over; begin another one")
            if self.failure is not None:
                raise StatementRefused(f"the transaction was rolled back because of: {self.failure}")
            try:
                refuse_control(sql)
                return await statement()
            except asyncio.CancelledError:
                self.failure = DatabaseUnavailable(f"a statement was cancelled, was {self._where!r}")
                raise
            except Exception as error:
                self.failure = translated(error, self._where)
                if self.failure is error:
                    raise
                raise self.failure from error


def _changed(status: str) -> int:
    """Rows a command tag such as 'INSERT 0 3' speaks of."""
    verb, *rest = status.split()
    return int(rest[-1]) if verb in _CHANGING and rest else 0
