"""Windows begin with what history has stored and miss nothing that the log said meanwhile [13]."""

import asyncio
import contextlib
from uuid import UUID

import msgspec

from candlewick.contracts import codec
from candlewick.contracts.base import Envelope
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.topics import NORMALIZED_OHLCV
from candlewick.kernel.errors import Retryable
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.logging import logger
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import Position
from candlewick.ports.runtime import Event
from candlewick.services.market.domain.state import OLDEST
from candlewick.services.market.handlers.market import Market
from candlewick.services.market.handlers.pages import Page
from candlewick.services.market.settings import MarketSettings
from tests.unit.services.history.house import MINUTE, rows

T0 = 1_700_000_040 * 10**9 // MINUTE * MINUTE
TOPIC = NORMALIZED_OHLCV.name
PART = partition_of("fake:BTC-USDT", NORMALIZED_OHLCV.partitions)
MINUTES = Page("fake", "BTC-USDT", 60, None, None, 100)


class Store:
    """History as market asks it: the minutes stored so far, and the log offset they include."""

    def __init__(self, minutes, offset):
        self.minutes, self.offset, self.is_down, self.asked = minutes, offset, False, 0

    async def get(self, path, params=()):
        self.asked += 1
        if self.is_down:
            raise Retryable("nobody there")
        headers = {"x-log-positions": f'[["{TOPIC}",{PART},0,{self.offset}]]'}
        if path == "/history/series":
            series = [{"exchange": "fake", "symbol": "BTC-USDT"}] if self.minutes else []
            return 200, headers, msgspec.json.encode({"series": series})
        opens = [T0 + n * MINUTE for n in self.minutes] if path.endswith("/1m") else []
        return 200, headers, codec.encode(CandleBatch("fake", "BTC-USDT", rows(opens)))


def told(minute, offset):
    """The log's word on a final minute."""
    message = CandleBatch("fake", "BTC-USDT", rows([T0 + minute * MINUTE]))
    envelope = Envelope(UUID(int=offset), "CandleBatch", 1, 1, message.key, "stream")
    return Event(TOPIC, PART, Position(0, offset), envelope, message, 1)


@contextlib.asynccontextmanager
async def market_on(store, *, discover=True):
    market = Market(MarketSettings(), None, None, store, SystemClock(), logger("market"), discover=discover)
    loading = asyncio.ensure_future(market.load_new())
    yield market
    loading.cancel()


async def minutes_of(market):
    found = await market.page(MINUTES)
    return [(int(ms) * 10**6 - T0) // MINUTE for ms in found.rows["open_time_ms"]], found.at


async def test_law_13_a_symbol_first_heard_of_now_has_all_that_is_stored():
    store = Store([0, 1, 2], offset=7)
    async with market_on(store) as market:
        store.minutes = []  # the series are empty when the market starts
        await market.stand()
        store.minutes = [0, 1, 2]
        market.on_events([told(3, 8)])
        store.minutes, store.offset = [0, 1, 2, 3], 8
        assert await minutes_of(market) == ([0, 1, 2, 3], {(TOPIC, PART): Position(0, 8), **others(market)})


def others(market):
    return {place: at for place, at in market.places.of("fake", "BTC-USDT").items() if place != (TOPIC, PART)}


async def test_law_13_a_market_that_starts_after_the_last_event_has_all_that_is_stored():
    async with market_on(Store([0, 1, 2], offset=7)) as market:
        after = await market.stand()
        assert after[TOPIC, PART] == Position(0, 7), "the log is followed behind what the store has"
        assert after[TOPIC, PART - 1] == OLDEST, "and from its beginning where the store has nothing"
        assert (await minutes_of(market))[0] == [0, 1, 2]


async def test_law_13_what_passed_by_before_the_symbol_was_known_is_waited_for_in_the_store():
    store = Store([0, 1], offset=7)
    async with market_on(store, discover=False) as market:
        await market.stand()
        market.on_events([told(2, 8)])  # nobody follows it yet; the store does not have it yet either
        market.add_state(_instrument())
        page = asyncio.ensure_future(minutes_of(market))
        while store.asked < 10:
            await asyncio.sleep(0.01)
        assert not page.done(), "a page without minute 2 would be a hole"
        market.on_events([told(3, 9)])
        store.minutes, store.offset = [0, 1, 2], 8
        assert (await page)[0] == [0, 1, 2, 3]


async def test_while_history_is_down_the_log_is_read_from_its_beginning_and_pages_wait():
    store = Store([0, 1], offset=7)
    store.is_down = True
    async with market_on(store) as market:
        after = await market.stand()
        assert set(after.values()) == {OLDEST}
        market.on_events([told(1, 7), told(2, 8)])
        page = asyncio.ensure_future(minutes_of(market))
        await asyncio.sleep(0.05)
        assert not page.done()
        store.is_down, store.minutes, store.offset = False, [0, 1, 2], 8
        assert (await page)[0] == [0, 1, 2]


def _instrument():
    return Instrument("fake", "BTC-USDT", "BTCUSDT", "BTC", "USDT", "0.01", "0.01", 2, 2)
