"""Ending a transaction so that its fate is known, also when the answer to COMMIT was lost with the connection."""

import asyncio
from typing import Any, Final

from candlewick.adapters._postgres.connections import Connections
from candlewick.adapters._postgres.errors import is_lost, translated
from candlewick.kernel.errors import Retryable
from candlewick.ports.database import DatabaseUnavailable

#: Gives a transaction its number, which ``commit`` asks for when it has to.
NUMBER: Final = "pg_current_xact_id()::text"

_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.5


async def commit(connections: Connections, connection: Any, number: str, settle_timeout_s: float) -> None:
    """Returns when the transaction is committed, raises when it is not. A server that restarts meanwhile is waited for
    up to ``settle_timeout_s``; only if it stays away does nobody know, and DatabaseUnavailable says so."""
    where = connections.where
    try:
        said = await connection.execute("COMMIT")
    except Exception as error:
        if not is_lost(error) and not isinstance(error, TimeoutError):
            raise
        connections.drop(connection)
        if not await _is_committed(connections, number, settle_timeout_s):
            raise translated(error, where) from error
        return
    if said != "COMMIT":
        raise DatabaseUnavailable(f"the server rolled the transaction back, was {where!r}")


async def _is_committed(connections: Connections, number: str, settle_timeout_s: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settle_timeout_s
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            rows = await connections.once("SELECT pg_xact_status($1::text::xid8)", number)
            if rows[0][0] != "in progress":
                return bool(rows[0][0] == "committed")
        except Retryable:
            if loop.time() > deadline:
                raise
        if loop.time() > deadline:
            raise DatabaseUnavailable(
                f"the server did not say whether the transaction was committed, was {connections.where!r}"
            )
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
