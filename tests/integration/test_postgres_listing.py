"""Processes of the market service share one PostgreSQL: one asks the venue for all, and what it says is kept whole."""

import asyncio

from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.contracts.market import SymbolUpdated
from candlewick.kernel.errors import Retryable
from tests.postgres import free_database, needs_postgres, new_database, url_of
from tests.unit.services.market.listing_house import HOUR_S, FakeVenue, instrument, listing_house

pytestmark = needs_postgres


async def test_one_process_asks_for_all(tmp_path):
    name = await new_database()
    try:
        async with listing_house(tmp_path, PostgresDatabase(url_of(name))) as house:
            new = instrument("BTC-USDT", tick="0.001", scale=3)
            venue = FakeVenue(new, instrument("ETH-USDT"))
            await house.follow(instrument("BTC-USDT"))
            for turn in range(1, 4):
                looks = (house.process().look(venue) for _ in range(6))
                ends = await asyncio.gather(*looks, return_exceptions=True)
                assert all(isinstance(end, (int, Retryable)) for end in ends), ends
                assert venue.asked == turn
                house.clock.jump(HOUR_S)
            assert house.messages("market.symbols") == [SymbolUpdated(new)]
            assert await house.followed() == [new]
            assert await house.process().listed(venue) == [new, instrument("ETH-USDT")]
            assert len(house.messages("market.markets")) == 1
    finally:
        await free_database(name)
