"""An empty database on the real server, and a candle store on it."""

from collections.abc import AsyncIterator

import pytest

from candlewick.adapters.candles.postgres import PostgresCandleStore
from tests.postgres import free_database, new_database, url_of


@pytest.fixture
async def name() -> AsyncIterator[str]:
    made = await new_database()
    yield made
    await free_database(made)


@pytest.fixture
async def store(name: str) -> AsyncIterator[PostgresCandleStore]:
    made = PostgresCandleStore(url_of(name))
    await made.open()
    yield made
    await made.close()
