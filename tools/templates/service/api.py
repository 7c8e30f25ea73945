"""HTTP of the $name service."""

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter, Response

from candlewick.services.$name.domain import Close
from candlewick.services.$name.errors import NoCloseYet

Read = Callable[[str, str], Awaitable[Close | None]]


def router(read: Read) -> APIRouter:
    """Routes that answer from ``read(exchange, symbol)``."""
    routes = APIRouter(tags=["$name"])

    @routes.get("/$name/{exchange}/{symbol}", name="${name}_close")
    async def close(exchange: str, symbol: str) -> Response:
        """The newest final close of a symbol."""
        found = await read(exchange, symbol)
        if found is None:
            raise NoCloseYet(f"no final candle has been seen of this symbol, was {symbol!r}")
        return Response(msgspec.json.encode(found), media_type="application/json")

    return routes
