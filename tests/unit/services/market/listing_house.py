"""Processes of the market service on one database, and a venue that lists what a test says."""

import asyncio
from contextlib import asynccontextmanager

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.app.registry import load
from candlewick.contracts.market import Instrument
from candlewick.ports.venue import VenueInfo
from candlewick.services.market.handlers.listing import Listing
from candlewick.services.market.storage import SqlListingTable, SqlSymbolTable
from candlewick.testing.clock import VirtualClock

HOUR_S = 3600.0


def instrument(symbol, *, exchange="fake", tick="0.01", scale=2, status="trading", venue_symbol=""):
    base, quote = symbol.split("-")
    return Instrument(
        exchange, symbol, venue_symbol or base + quote, base, quote, tick, "0.00001", scale, 5, status
    )  # fmt: skip


class FakeVenue:
    """Lists what it is told to; raises ``error`` while there is one; answers when ``gate`` is open."""

    info = VenueInfo("fake", "Fake", False, ("1m",), 1000)

    def __init__(self, *listed):
        self.listed, self.asked, self.error = list(listed), 0, None
        self.gate = asyncio.Event()
        self.gate.set()

    async def instruments(self):
        self.asked += 1
        listed = tuple(self.listed)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return listed


class Log:
    def __init__(self):
        self.said = []

    def warning(self, text, **facts):
        self.said.append((text, facts.get("code")))

    def info(self, text, **_):
        self.said.append((text, None))


class _Unit:
    def __init__(self, tx):
        self._tx, self.emitted = tx, []

    def __getattr__(self, name):
        return getattr(self._tx, name)

    def emit(self, topic, message, *, ts_event, cause=None):
        self.emitted.append((topic, message))


class House:
    """``process`` makes one more; what any of them told is in ``told``. ``killed`` is how many units are still rolled
    back at their end."""

    def __init__(self, database):
        self.database, self.clock, self.logger = database, VirtualClock(), Log()
        self.symbols, self.told, self.killed = SqlSymbolTable(), [], 0

    async def unit_of_work(self, work):
        async with self.database.transaction() as tx:
            unit = _Unit(tx)
            result = await work(unit)
            if self.killed and unit.emitted:
                self.killed -= 1
                raise RuntimeError("killed before the commit")
        self.told += unit.emitted
        return result

    def process(self):
        return Listing(self.symbols, SqlListingTable(), self, self.clock, self.logger, every_s=HOUR_S)

    async def follow(self, *instruments):
        async with self.database.transaction() as tx:
            for at, one in enumerate(instruments):
                assert await self.symbols.add(tx, one, at)

    async def followed(self):
        async with self.database.reading() as tx:
            return await self.symbols.followed(tx, "fake")

    def messages(self, topic):
        """What was told on a topic since this was last asked."""
        found = [message for at, message in self.told if at == topic]
        self.told = [(at, message) for at, message in self.told if at != topic]
        return found

    async def pass_time(self, seconds):
        """In steps that leave the database's thread its turns."""
        for _ in range(int(seconds // 10)):
            await self.clock.advance(10)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def listing_house(folder, database=None):
    """On a database of SQLite unless another, not open yet, is given."""
    database = database or SqliteDatabase(folder / "market.db", durable=False)
    await database.open()
    await database.migrate(load("market").schema)
    try:
        yield House(database)
    finally:
        await database.close()
